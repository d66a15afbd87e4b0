"""Compares facegate's decoder with Pillow and ImageMagick on files: same size, orientation and colours, or a refusal.

A file counts as
  same       like Pillow or ImageMagick, within rounding
  refused    facegate gives a reason; counted by whether the others read the file
  explained  facegate gives other pixels than both, for a reason that stands in EXPLAINED
  silent     facegate gives other pixels than both: the only outcome that fails
  alone      facegate reads what neither other decoder reads (looked at by hand when it happens)
"""

import collections
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pass
try:
    import pillow_avif  # noqa: F401
except ImportError:
    pass

# Pillow refuses over twice this: facegate takes at most 25 megapixels, so it misses nothing.
Image.MAX_IMAGE_PIXELS = 15_000_000
LIMITS = ["-limit", "memory", "1GiB", "-limit", "map", "1GiB", "-limit", "disk", "0", "-limit", "time", "30"]
warnings.simplefilter("ignore")
ImageFile.LOAD_TRUNCATED_IMAGES = False

# Decoders differ in how they bring colour to full size and in their rounding: a mean of two steps, and 99 % of the samples
# within 24 (hard edges of halved colour). Wrong colours, shifts and lost rows are far beyond both.
MEAN, NEAR, SHARE = 2.0, 24, 0.99
# HEIC: our decoder and libheif place halved colour half a pixel apart, which shows in small pictures.
MEAN_HEIC, SHARE_HEIC = 6.0, 0.9


# Where facegate differs from Pillow and ImageMagick on purpose: how the path ends, and why.
EXPLAINED = [
    (
        r"/gif-test-suite/(dispose-restore-background|high-color|image-(inside|outside|overlap)-bg|images-combine"
        r"|missing-pixels|invalid-colors)\.gif",
        "what the first frame leaves free is the page's white, as in browsers; Pillow fills in a background colour that "
        "browsers ignore, ImageMagick gives the frame without its place",
    ),
    (
        r"/contrib/testpngs/gray-[24]-linear-tRNS\.png",
        "Pillow overlooks transparency of 2 and 4 bits a pixel; ImageMagick applies the gamma of the file, facegate no profile",
    ),
    (
        r"/minisblack-2c-8b-alpha\.tiff",
        "libtiff's own tiff2rgba shows what facegate shows; ImageMagick loses the transparency, Pillow does not read it",
    ),
    (
        r"/exif_imagemagick_orientation\.png",
        "EXIF as hexadecimal text, ImageMagick's own way before PNG had a chunk for it: browsers do not look there either",
    ),
    (
        r"/afl-bmp/id:\d+,[^/]*\.bmp",
        "made by a fuzzer: pixels beyond a palette of one colour are black, as in browsers; Pillow takes such a palette for "
        "grey, ImageMagick refuses",
    ),
    (r"/(rgb32bf-abgr|bmp_alpha_empty)\.bmp", "every alpha is 0: taken as opaque, as browsers do; the others show an empty picture"),
]


def explained(path):
    return any(re.search(pattern + "$", path) for pattern, _ in EXPLAINED)


def reference(path):
    """What bmpsuite says that one of its bitmaps shows, or None."""
    drawn = Path(path).parent.parent / "html" / (Path(path).stem + ".png")
    return pillow(drawn) if path.endswith(".bmp") and drawn.exists() else None


def ours(binary, files, folder):
    """Path -> (picture's file or None, orientation, code or format, message)."""
    found = {}
    pending = list(files)
    while pending:
        place = Path(folder) / str(len(pending))
        place.mkdir(exist_ok=True)
        run = subprocess.run([binary, place], input="\n".join(pending), capture_output=True, text=True, timeout=3600)
        lines = run.stdout.splitlines()
        for index, line in enumerate(lines):
            path, code, *rest = line.split("\t")
            if code == "ok":
                found[path] = (place / f"{index}.ppm", int(rest[1]), rest[0], "")
            else:
                found[path] = (None, 0, code, rest[0])
        if len(lines) < len(pending):
            found[pending[len(lines)]] = (None, 0, "CRASH", run.stderr.strip()[:200])
        pending = pending[len(lines) + 1 :]
    return found


def over_white(image):
    """As a person sees it on a page."""
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image).astype(float)
        image = Image.fromarray((values / 257 + 0.5).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(page, image).convert("RGB"))
    return np.array(image.convert("RGB"))


def pillow(path):
    """Array with the orientation applied, or None."""
    try:
        with Image.open(path) as image:
            image.seek(0)
            image.load()
            return over_white(ImageOps.exif_transpose(image))
    except Exception:
        return None


def magick(path):
    command = ["convert", *LIMITS, f"{path}[0]", "-auto-orient", "-background", "white", "-alpha", "remove", "-depth", "8"]
    command += ["-colorspace", "sRGB", "ppm:-"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=60)
        if run.returncode or not run.stdout.startswith(b"P"):
            return None
        with tempfile.NamedTemporaryFile(suffix=".ppm") as file:
            file.write(run.stdout)
            file.flush()
            return np.array(Image.open(file.name).convert("RGB"))
    except Exception:
        return None


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


def same(a, b, heic=False):
    if b is None:
        return None
    if a.shape != b.shape:
        return False
    difference = np.abs(a.astype(int) - b.astype(int))
    mean, share = (MEAN_HEIC, SHARE_HEIC) if heic else (MEAN, SHARE)
    return bool(difference.mean() <= mean and (difference <= NEAR).mean() >= share)


def how(a, b):
    if b is None:
        return "unread"
    if a.shape != b.shape:
        return f"size {b.shape[1]}x{b.shape[0]}"
    difference = np.abs(a.astype(int) - b.astype(int))
    return f"mean {difference.mean():.2f} max {difference.max()}"


def compare(binary, files, verbose=True):
    """Outcome -> number of files; prints what needs eyes. True when no file gives other pixels silently."""
    counts, reasons = collections.Counter(), collections.Counter()
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        found = ours(binary, files, folder)
        for path in files:
            file, orientation, code, message = found[path]
            if code == "CRASH":
                counts["crash"] += 1
                bad.append(f"CRASH {path}: {message}")
            elif file is None:
                readers = [name for name, read in (("Pillow", pillow), ("ImageMagick", magick)) if read(path) is not None]
                counts["refused, others read it" if readers else "refused, nobody reads it"] += 1
                if readers:
                    reasons[re.sub(r"\d+", "N", f"{code}: {message}")] += 1
                    if verbose:
                        print(f"refused ({'+'.join(readers)} read it) {path}: {code}: {message}")
            else:
                seen = TURNS[orientation](np.array(Image.open(file)))
                first = pillow(path)
                heic = code == "heic"
                verdict = same(seen, first, heic)
                second = None if verdict else magick(path)
                if verdict or same(seen, second, heic) or same(seen, reference(path)):
                    counts["same"] += 1
                elif explained(path):
                    counts["explained"] += 1
                elif first is None and second is None:
                    counts["alone"] += 1
                    if verbose:
                        print(f"alone {path}")
                else:
                    counts["silent"] += 1
                    bad.append(f"SILENT {path}: Pillow {how(seen, first)}, ImageMagick {how(seen, second)}")
    for line in bad:
        print(line)
    for reason, count in reasons.most_common():
        print(f"  {count:5} refused though read by others: {reason}")
    for outcome, count in sorted(counts.items()):
        print(f"  {count:5} {outcome}")
    return not bad


if __name__ == "__main__":
    names = [line.rstrip("\n") for line in sys.stdin]
    sys.exit(0 if compare(sys.argv[1], names, "--quiet" not in sys.argv) else 1)
