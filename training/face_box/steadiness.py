#!/usr/bin/env python3
"""How much the face's box moves when nothing that matters changes, with one program or several.

    python3 steadiness.py --data DATA --work SCRATCH NAME=FACEGATE...

Pictures of the half that fit.py does not fit on, at most 40 of each set, in four copies of each kind: moved by a pixel, compressed anew, with the
noise of a sensor, resized, blurred, darker or brighter. Jitter is the standard deviation over the four copies, in
coordinates of the picture as it was, the mean of the four edges, in parts of the longer side; the median over pictures that all programs can
judge. Seeds are fixed. Needs the packages of requirements.txt.
"""

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from fit import QUALITIES, SETS, answers, compared, held_out

EACH = 40


def copies(picture, random):
    """Kind, copy, what its coordinates are divided by and then moved by, for each copy."""
    width, height = picture.size
    pixels = np.asarray(picture, float)
    of = lambda values: Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        yield "moved", picture.crop((x, y, width - 1 + x, height - 1 + y)), (1, 1), (x, y)
    for quality in QUALITIES:
        yield quality, picture, (1, 1), (0, 0)
    for _ in range(4):
        yield "noise of 6 levels", of(pixels + random.normal(0, 6, pixels.shape)), (1, 1), (0, 0)
    for factor in (0.7, 0.85, 1.15, 1.4):
        size = (round(width * factor), round(height * factor))
        yield "resized by 0.7 to 1.4", picture.resize(size, Image.LANCZOS), (size[0] / width, size[1] / height), (0, 0)
    for part in (0.6, 1.0, 1.5, 2.0):
        yield "blurred by 0.06 to 0.2 % of the longer side", picture.filter(ImageFilter.GaussianBlur(part * max(width, height) / 1000)), (1, 1), (0, 0)
    for factor in (0.8, 0.9, 1.1, 1.25):
        yield "0.8 to 1.25 times as bright", of(pixels * factor), (1, 1), (0, 0)


def main():
    options = compared(__doc__)
    folder = options.work / "steadiness"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    made = []
    for name in SETS:
        paths = held_out(options.data, name)
        for path in paths[:: max(1, len(paths) // EACH)][:EACH]:
            picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            for kind, copy, scale, shift in copies(picture, random):
                compressed = kind in QUALITIES
                file = folder / f"{path.stem}-{len(made)}.{'jpg' if compressed else 'png'}"
                copy.save(file, **({"quality": kind} if compressed else {"compress_level": 1}))
                made.append((f"JPEG of quality {QUALITIES[0]} to {QUALITIES[-1]}" if compressed else kind, file, scale, shift))
    found = {}
    for name, program in options.programs.items():
        found[name] = answers(program, [file for _, file, _, _ in made], options.work / f"steadiness-{name}.pickle")
        assert len(found[name]) == len(made)
    jitter = {}
    for n in range(0, len(made), 4):
        seen = {name: each[n : n + 4] for name, each in found.items()}
        if not all(a and not a["turned"] for each in seen.values() for a in each):
            continue
        scale, shift = (np.array([np.tile(m[k], 2) for m in made[n : n + 4]]) for k in (2, 3))
        for name, each in seen.items():
            boxes = np.array([a["box"] for a in each]) / scale + shift
            longer = max(boxes[0, 2] - boxes[0, 0], boxes[0, 3] - boxes[0, 1])
            jitter.setdefault(made[n][0], {}).setdefault(name, []).append(100 * boxes.std(0).mean() / longer)
    for kind, each in jitter.items():
        print("%-44s %3d  " % (kind, len(next(iter(each.values())))) + "  ".join("%s %.3f %%" % (name, np.median(v)) for name, v in each.items()))


if __name__ == "__main__":
    main()
