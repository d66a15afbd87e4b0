"""Runs the comparison on every collection and on the sweep. See `run`."""

import re
import sys
from pathlib import Path

import compare
import sweep

binary, folder = sys.argv[1], Path(sys.argv[2])
named = re.compile(r"\.(jpe?g|jpe|png|bmp|dib|gif|tiff?|webp|heic|heif|avif)$", re.I)
good = True
for collection in sorted((folder / "collections").iterdir()):
    files = sorted(str(path) for path in collection.rglob("*") if path.is_file() and named.search(path.name))
    if files:
        print(f"== {collection.name}: {len(files)} files", flush=True)
        good &= compare.compare(binary, files, verbose=False)

sweep.write(folder / "sweep")
files = sorted(str(path) for path in (folder / "sweep").rglob("*.*") if path.is_file() and "broken" not in path.parts)
print(f"== sweep: {len(files)} files", flush=True)
good &= compare.compare(binary, files)

files = sorted(str(path) for path in (folder / "sweep" / "broken").iterdir())
found = compare.ours(binary, files, folder)
whole = [path for path in files if found[path][2] != "image_malformed"]
print(f"== damaged: {len(files)} files, {len(files) - len(whole)} refused")
for path in whole:
    print(f"TAKEN FOR WHOLE {path}")
sys.exit(0 if good and not whole else 1)
