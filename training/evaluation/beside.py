#!/usr/bin/env python3
"""Things beside a person: how often is one of them taken for a second face, and is a real second person still one?

    python3 beside.py --facegate FACEGATE --data DATA --work SCRATCH [--number 400] [--seed 1]

DATA holds live-hagrid, hands, textures and device-frames. Each picture of live-hagrid with one labelled face is sent as it is;
with a hand, a phone, tablet or laptop, or a textured thing (a cushion, a board) of 0.5 to 1.3 times the face's height pasted where
the face, grown to twice its size, is not; and with the head of another person, 0.6 times as high or more, pasted there.
One picture a group, so that no person counts twice. Every rule but that of the second face is off.
"""

import argparse
import csv
import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from masks import OTHERS, percent

RULES = ["--profile", "default", "--set", "analysis.rules.max_occlusion.action=off", "--set", "analysis.attributes.effort=fast"]
RULES += [part for rule in OTHERS if rule != "max_second_face" for part in ("--set", f"analysis.rules.{rule}.action=off")]
KINDS = ("as it is", "hand", "device", "textured thing", "another person")


def too_many(facegate, paths):
    """Whether each picture is rejected for a second face; None where no face is found."""
    found = []
    for start in range(0, len(paths), 200):
        command = [facegate, "analyze", "--details", *RULES, *map(str, paths[start:start + 200])]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        for answer in map(json.loads, lines):
            faces = (answer.get("details") or {}).get("faces")
            found.append(answer.get("error") == "TOO_MANY_FACES" if faces else None)
    return found


def textured(rng, path, size):
    """A tile cut to a rounded shape."""
    tile = Image.open(path).convert("RGBA").resize((size, size), Image.Resampling.BICUBIC)
    y, x = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
    power = rng.choice([2, 4, 10])
    tile.putalpha(Image.fromarray(np.uint8(255 * (np.abs(x) ** power + np.abs(y) ** power < 1))))
    return tile


def head(rng, row, folder, height):
    """Another person's head with some hair and neck, cut to an ellipse with a soft edge."""
    x, y, w, h = (float(row[k]) for k in ("face_x", "face_y", "face_w", "face_h"))
    box = [round(v) for v in (x - 0.3 * w, y - 0.35 * h, x + 1.3 * w, y + 1.25 * h)]
    cut = Image.open(folder / row["path"]).convert("RGBA").crop(box)
    scale = height / h
    cut = cut.resize([max(1, round(v * scale)) for v in cut.size], Image.Resampling.LANCZOS)
    y, x = np.mgrid[-1:1:cut.height * 1j, -1:1:cut.width * 1j]
    cut.putalpha(Image.fromarray(np.uint8(255 * np.clip((1 - np.hypot(x, y)) * 8, 0, 1))))
    return cut


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--number", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    def rows(name):
        with open(options.data / name / "labels.csv", newline="") as file:
            return list(csv.DictReader(file))

    paths = {name: [options.data / name / r["path"] for r in rows(name)] for name in ("hands", "textures", "device-frames")}
    groups, people = set(), []
    for row in rows("live-hagrid"):
        if row["faces"] == "1" and row["face_x"] and row["group"] not in groups:
            groups.add(row["group"])
            people.append(row)
    rng = np.random.default_rng(options.seed)
    rng.shuffle(people)
    folder, files = options.data / "live-hagrid", {kind: [] for kind in KINDS}
    for number, row in enumerate(people):
        if len(files[KINDS[0]]) == options.number:
            break
        picture = Image.open(folder / row["path"]).convert("RGB")
        x, y, w, h = (float(row[k]) for k in ("face_x", "face_y", "face_w", "face_h"))
        left, right = x - 0.5 * w, picture.width - (x + 1.5 * w)
        if max(left, right) < 0.8 * h:  # no room beside the head
            continue
        made = []
        for kind in KINDS[1:]:
            height = float(rng.uniform(0.6, 0.9) if kind == "another person" else rng.uniform(0.5, 1.3)) * h
            if kind == "another person":
                thing = head(rng, people[(number + 7) % len(people)], folder, height)
            elif kind == "textured thing":
                thing = textured(rng, paths["textures"][rng.integers(len(paths["textures"]))], max(8, round(height)))
            else:
                which = paths["hands" if kind == "hand" else "device-frames"]
                thing = Image.open(which[rng.integers(len(which))]).convert("RGBA")
                thing = thing.rotate(float(rng.choice([0, 90, 270]) + rng.uniform(-25, 25)), expand=True)
                scale = height / max(thing.size)
                thing = thing.resize([max(1, round(v * scale)) for v in thing.size], Image.Resampling.LANCZOS)
            canvas = picture.copy()
            centre = left * rng.uniform(0.3, 0.6) if left > right else picture.width - right * rng.uniform(0.3, 0.6)
            middle = float(np.clip(y + h * rng.uniform(0.2, 1.2), thing.height / 2, max(picture.height - thing.height / 2, thing.height / 2)))
            canvas.paste(thing, (round(centre - thing.width / 2), round(middle - thing.height / 2)), thing)
            made.append((kind, canvas))
        for kind, canvas in [(KINDS[0], picture), *made]:
            path = options.work / f"{kind.replace(' ', '-')}-{number}.jpg"
            canvas.save(path, quality=90)
            files[kind].append(path)
    results = {kind: too_many(options.facegate, found) for kind, found in files.items()}
    alone = [many is False for many in results[KINDS[0]]]
    print(f"{len(alone)} pictures of as many people; as they are: too many faces in {percent(sum(m is True for m in results[KINDS[0]]), len(alone))}, "
          f"none found in {sum(m is None for m in results[KINDS[0]])}")
    for kind in KINDS[1:]:
        seen = [many for many, one in zip(results[kind], alone) if one and many is not None]
        print(f"{kind} beside the one person: too many faces in {percent(sum(seen), len(seen))}", flush=True)


if __name__ == "__main__":
    main()
