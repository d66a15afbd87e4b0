#!/usr/bin/env python3
"""Makes a set of pictures that show no face: what a detector must not take for one.

    python3 faceless.py --data DATA --out FOLDER [--samples SKIMAGE_DATA] [--seed 1]

DATA holds textures, device-frames, hands and live-hagrid (docs of the development checkout). FOLDER gets `fit` and `test`,
which share no texture, device, hand or group of people, and in each

- textures: single tiles, and four different ones side by side, enlarged, since cloth and stone have knots and eyes;
- devices: phones, tablets and laptops before a texture;
- hands: one to four hands before a texture, turned any way;
- people: parts of pictures of one person that lie wholly beside the head, which the box of the labels, grown to 2.2 times its
  size, stands for; hands and bodies mostly;
- samples (only in test): scikit-image's own samples but the astronaut, the man with the camera and the drawing.

SKIMAGE_DATA is skimage/data out of PyPI `scikit-image==0.26.0`. Needs numpy and pillow.
"""

import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = {"textures": 150, "devices": 60, "hands": 120, "people": 200}
PEOPLE = ("astronaut.png", "camera.png", "no_time_for_that_tiny.gif")


def half(text):
    return "test" if int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 else "fit"


def rows(data, name):
    with open(data / name / "labels.csv", newline="") as file:
        return list(csv.DictReader(file))


def texture(rng, tiles, width, height):
    tile = Image.open(tiles[rng.integers(len(tiles))]).convert("RGB")
    side = int(rng.integers(126, 700))
    tile = tile.resize((side, side), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (width, height))
    for top in range(0, height, side):
        for left in range(0, width, side):
            canvas.paste(tile, (left, top))
    return canvas


def paste(rng, canvas, thing, share):
    """Puts a picture with alpha somewhere, its longer side at `share` of the canvas's shorter one."""
    thing = Image.open(thing).convert("RGBA").rotate(float(rng.choice([0, 90, 180, 270]) + rng.uniform(-20, 20)), expand=True)
    scale = share * min(canvas.size) / max(thing.size)
    thing = thing.resize([max(1, round(s * scale)) for s in thing.size], Image.Resampling.LANCZOS)
    left, top = (int(rng.integers(-s // 4, c - 3 * s // 4 + 1)) for s, c in zip(thing.size, canvas.size))
    canvas.paste(thing, (left, top), thing)


def beside(rng, row):
    """The largest part of the picture beside the grown face box, or None when it is small."""
    width, height = int(row["width"]), int(row["height"])
    x, y, w, h = (float(row[k]) for k in ("face_x", "face_y", "face_w", "face_h"))
    left, right, top, bottom = x - 0.6 * w, x + 1.6 * w, y - 0.6 * h, y + 1.6 * h
    parts = [(0, 0, left, height), (right, 0, width, height), (0, bottom, width, height), (0, 0, width, top)]
    parts = [tuple(round(v) for v in p) for p in parts if p[2] - p[0] >= 150 and p[3] - p[1] >= 150]
    return parts[rng.integers(len(parts))] if parts else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sources = {name: [options.data / name / row["path"] for row in rows(options.data, name)]
               for name in ("textures", "device-frames", "hands")}
    hagrid = [row for row in rows(options.data, "live-hagrid") if row["faces"] == "1"]
    for number, part in enumerate(("fit", "test")):
        rng = np.random.default_rng((options.seed, number))
        folder = options.out / part
        folder.mkdir(parents=True, exist_ok=True)
        tiles, devices, hands = ([p for p in paths if half(p.name) == part] for paths in sources.values())
        people = [row for row in hagrid if half(row["group"]) == part]
        size = lambda: tuple(int(v) for v in rng.choice([(480, 640), (640, 480), (720, 720), (1280, 720), (600, 1000)]))
        for i in range(COUNTS["textures"]):
            canvas = texture(rng, tiles, *size())
            if i % 2:
                middle = [s // 2 for s in canvas.size]
                for corner in ((middle[0], 0), (0, middle[1]), tuple(middle)):
                    canvas.paste(texture(rng, tiles, *canvas.size), corner)
            canvas.save(folder / f"textures-{i:03}.jpg", quality=90)
        for name, things, most in (("devices", devices, 2), ("hands", hands, 4)):
            for i in range(COUNTS[name]):
                canvas = texture(rng, tiles, *size())
                for _ in range(int(rng.integers(1, most + 1))):
                    paste(rng, canvas, things[rng.integers(len(things))], rng.uniform(0.3, 1.1))
                canvas.save(folder / f"{name}-{i:03}.jpg", quality=90)
        made = 0
        for index in rng.permutation(len(people)):
            area = beside(rng, people[index])
            if area is not None and made < COUNTS["people"]:
                picture = Image.open(options.data / "live-hagrid" / people[index]["path"]).convert("RGB").crop(area)
                picture.save(folder / f"people-{made:03}.jpg", quality=95)
                made += 1
    for path in sorted(options.samples.iterdir()) if options.samples else ():
        if path.suffix in (".png", ".jpg", ".jpeg", ".gif") and path.name not in PEOPLE:
            Image.open(path).convert("RGB").save(options.out / "test" / f"samples-{path.stem}.png")


if __name__ == "__main__":
    main()
