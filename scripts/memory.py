#!/usr/bin/env python3
"""Measures the service's memory for docs/sizing.md: resident set before the first request, and its peak while every worker
analyses the same kind of picture. Of its own process alone: the cells that decode are not in it. Linux; needs Pillow to
make the pictures.

    scripts/memory.py [--facegate target/release/facegate] [--workers 1 2 4]
"""

import argparse
import concurrent.futures
import io
import os
import pathlib
import random

from PIL import Image
from soak import Service, body, envelope


def pictures():
    """The demonstration's portrait, and the largest pictures that the default limits let in: 25 megapixels, 12 MiB."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "facegate"
    portrait = max(cache.glob("models-*/pictures/demo-portrait.jpg"), key=lambda path: path.stat().st_mtime)
    small = Image.open(portrait).convert("RGB")
    large = small.resize((5000, 5000), Image.Resampling.BICUBIC)

    def encoded(picture, *arguments, **more):
        out = io.BytesIO()
        picture.save(out, *arguments, **more)
        return out.getvalue()

    yield "portrait, 1 megapixel JPEG", portrait.read_bytes()
    yield "25 megapixel JPEG", encoded(large, "JPEG", quality=90)
    yield "25 megapixel progressive JPEG", encoded(large, "JPEG", quality=90, progressive=True)
    yield "25 megapixel PNG with transparency", encoded(large.quantize(64).convert("RGBA"), "PNG", compress_level=1)


def peak(service):
    """The largest resident set so far, in MB."""
    status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facegate", default="target/release/facegate")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4])
    options = parser.parse_args()
    kinds = [(name, body(picture)) for name, picture in pictures()]
    print("| workers | at rest |", " | ".join(name for name, _ in kinds), "|")
    for workers in options.workers:
        row = []
        for _, request in kinds:
            service = Service(options.facegate, random.randrange(20_000, 30_000), "--set", f"server.workers={workers}",
                              "--set", f"server.queue={2 * workers}", "--set", "server.max_buffered_bytes=1073741824")
            if not row:
                row.append(service.sample()[0])
            with concurrent.futures.ThreadPoolExecutor(workers) as callers:
                answers = list(callers.map(lambda _: service.detect(request), range(5 * workers)))
            assert all(envelope(*answer) == 200 for answer in answers), answers
            row.append(peak(service))
            service.stop()
        print(f"| {workers} |", " | ".join(map(str, row)), "|")


if __name__ == "__main__":
    main()
