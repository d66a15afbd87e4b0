#!/usr/bin/env python3
"""Pixelated faces through facegate: told as covered, not found, or passed.

    python3 pixelated.py --facegate FACEGATE --data DATA --faces OTHERS.csv --out SCRATCH [--number 25]

DATA holds live-hagrid, fairface-200, age-uk-parliament and age-us-congress; OTHERS.csv is what training/occlusion/sources.py wrote to
its cache. Of the test side of each (the congress's all), NUMBER bare faces as they are, as JPEG of quality 25, and with the face box in
9, 12, 16 and 20 cells across (JPEG 92).
"""

import argparse
import csv
import sys
from pathlib import Path

import cv2
import numpy as np

TRAINING = Path(__file__).parent.parent
sys.path[:0] = [str(TRAINING / "occlusion"), str(TRAINING / "liveness")]
from common import analyze
from prepare import verdicts


def pixelated(picture, points, cells):
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    unit, (x, y) = np.hypot(*(mouth - eyes)), (eyes + mouth) / 2
    left, top = int(max(x - 2.23 * unit / 2, 0)), int(max(y - 2.7 * unit * 0.55, 0))
    right, bottom = int(min(x + 2.23 * unit / 2, picture.shape[1])), int(min(y + 2.7 * unit * 0.45, picture.shape[0]))
    face = picture[top:bottom, left:right]
    small = cv2.resize(face, (cells, max(2, round(cells * face.shape[0] / max(face.shape[1], 1)))), interpolation=cv2.INTER_AREA)
    out = picture.copy()
    out[top:bottom, left:right] = cv2.resize(small, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--number", type=int, default=25)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    left_out = verdicts(TRAINING / "occlusion" / "labels.csv")
    sets, views, rng = {}, {}, np.random.default_rng(5)
    with open(options.faces, newline="") as file:
        for row in csv.DictReader(file):
            if (row["split"] == "test" or row["set"] == "age-us-congress") and row["kind"] != "mute" and (row["set"], Path(row["path"]).name) not in left_out:
                sets.setdefault(row["set"], []).append(row)
    for name, rows in sets.items():
        for n in rng.permutation(len(rows))[:options.number]:
            picture = cv2.imread(str(options.data / name / rows[n]["path"]))
            points = np.array(list(map(float, rows[n]["points"].split()))).reshape(5, 2)
            made = {"as it is": (picture, 97), "JPEG 25": (picture, 25)} | {f"{c} cells": (pixelated(picture, points, c), 92) for c in (9, 12, 16, 20)}
            for view, (drawn, quality) in made.items():
                path = options.out / f"{name}-{n}-{view}.jpg"
                cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, quality])
                views.setdefault(view, []).append(str(path))
    for view, paths in views.items():
        answers = analyze(options.facegate, paths)
        found = [d for d in (answer.get("details") or {} for answer in answers) if d.get("faces") and d.get("occlusion")]
        told = sum(d["occlusion"]["probability"] >= 0.5 for d in found)
        print(f"{view}: of {len(answers)} told {told}, no face {len(answers) - len(found)}, passed {len(found) - told}", flush=True)


if __name__ == "__main__":
    main()
