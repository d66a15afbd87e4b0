#!/usr/bin/env python3
"""Light, colour and bars end to end: what the rules min_contrast and min_colour measure, and which pictures lose bars.

    python3 light.py --facegate FACEGATE --data DATA --out SCRATCH [--number 150]

DATA holds live-hagrid, fairface-200, age-uk-parliament and age-us-congress. Of each, NUMBER pictures are sent as they are,
without colour (JPEG 90), tinted like an old photograph, darkened, burnt out, and between bars of several colours (JPEG 60). A
face that overlaps the one of the picture as it is by less than 0.3, with contrast enough for the rule, counts as a phantom.
"""

import argparse
import csv
import json
import random
import subprocess
from pathlib import Path

import cv2
import numpy as np

SETS = ("live-hagrid", "fairface-200", "age-uk-parliament", "age-us-congress")
LIGHTS = (0.5, 0.2, 0.1, 0.05, 0.03)
BARS = ((0, 0, 0), (255, 255, 255), (90, 40, 20))


def sepia(picture):
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None] / 255.0
    return np.clip(np.concatenate([grey**1.35 * 220, grey**1.1 * 235, grey**0.85 * 250], 2), 0, 255).astype(np.uint8)


def boxed(picture, number):
    colour, (h, w) = BARS[number % len(BARS)], picture.shape[:2]
    if number % 2:
        return cv2.copyMakeBorder(picture, h // 6, h // 6, 0, 0, cv2.BORDER_CONSTANT, value=colour)
    return cv2.copyMakeBorder(picture, 0, 0, w // 5, w // 5, cv2.BORDER_CONSTANT, value=colour)


def box(details, number, view, picture):
    """The main face in the coordinates of the picture without bars; None without one."""
    if not details or not details.get("faces"):
        return None
    e = details["faces"][0]["extent"]
    right, down = (0, 0) if view != "bars" else (0, picture.shape[0] // 6) if number % 2 else (picture.shape[1] // 5, 0)
    return e["left"] - right, e["top"] - down, e["width"], e["height"]


def apart(a, b):
    """Whether two boxes overlap by less than 0.3 (intersection over union)."""
    w, h = (min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    both = max(w, 0) * max(h, 0)
    return both < 0.3 * (a[2] * a[3] + b[2] * b[3] - both)


def contrast(details):
    return next((r["measured"] for r in details["rules"] if r["rule"] == "min_contrast" and "measured" in r), 0)


def analyze(facegate, paths):
    command = [facegate, "analyze", "--details", "--profile", "lenient", "--set", "analysis.attributes.effort=fast"]
    answers = []
    for start in range(0, len(paths), 200):
        lines = subprocess.run([*command, *map(str, paths[start:start + 200])], check=True, capture_output=True, text=True).stdout.splitlines()
        answers += [json.loads(line).get("details") for line in lines]
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--number", type=int, default=150)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        with open(options.data / name / "labels.csv", newline="") as file:
            paths = [options.data / name / row["path"] for row in csv.DictReader(file)]
        random.Random(5).shuffle(paths)
        pictures = [cv2.imread(str(path)) for path in paths[:options.number]]
        views = {"as they are": [cv2.imencode(".png", p)[1] for p in pictures],
                 "without colour": [cv2.imencode(".jpg", cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), [1, 90])[1] for p in pictures],
                 "tinted": [cv2.imencode(".jpg", sepia(p), [1, 90])[1] for p in pictures],
                 "bars": [cv2.imencode(".jpg", boxed(p, n), [1, 60])[1] for n, p in enumerate(pictures)]}
        for light in LIGHTS:
            views[f"{light} of the light"] = [cv2.imencode(".png", (p * light).astype(np.uint8))[1] for p in pictures]
            views[f"all but {light} white"] = [cv2.imencode(".png", (255 - (255 - p.astype(float)) * light).astype(np.uint8))[1] for p in pictures]
        for view, files in views.items():
            made = []
            for number, data in enumerate(files):
                made.append(options.out / f"{number}.bin")
                made[-1].write_bytes(data.tobytes())
            answers = analyze(options.facegate, made)
            boxes = [box(d, n, view, pictures[n]) for n, d in enumerate(answers)]
            if view == "as they are":
                places = boxes
            phantoms = sum(b is not None and a is not None and apart(a, b) and contrast(d) >= 12 for a, b, d in zip(places, boxes, answers))
            found = [d for d in answers if d]
            values = {rule: [r["measured"] for d in found for r in d["rules"] if r["rule"] == rule and "measured" in r] for rule in ("min_colour", "min_contrast")}
            colours, contrasts = (np.array(values[rule]) for rule in ("min_colour", "min_contrast"))
            cut = sum(d["image"]["content"]["width"] * d["image"]["content"]["height"] < d["image"]["width"] * d["image"]["height"] for d in found)
            quantiles = lambda v: " ".join(f"{q:.1f}" for q in np.quantile(v, (0, 0.01, 0.5, 1))) if len(v) else "-"
            print(f"{name}, {view}: faces in {len(colours)} of {len(found)}; colour {quantiles(colours)} (smallest, 1 %, median, largest), under 2.5: "
                  f"{(colours < 2.5).sum()}; contrast {quantiles(contrasts)}, under 12: {(contrasts < 12).sum()}; bars cut in {cut}; phantoms {phantoms}", flush=True)


if __name__ == "__main__":
    main()
