#!/usr/bin/env python3
"""Age, gender and detection on small square crops: what a picture of 200 x 200 pixels round the face changes.

    python3 crops.py --facegate FACEGATE --bare BARE --work SCRATCH [--pictures 80]

The pictures of the bare folder with one upright face and the largest surrounding are cut to squares of 2.0 down to 1.0 times
the longer side of the face box, moved inside where they would leave the picture, and resized to 200 x 200. Reported: faces
found, and how far age and gender move from the answer for the whole picture. Nobody knows the ages here: this says whether
the crop disturbs the answer, not how right it is.
"""

import argparse
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np

STEPS = (2.0, 1.5, 1.25, 1.1, 1.0)
SIDE = 200
RULES = ("max_second_face", "min_interpupillary_distance", "min_face_side", "min_face_area", "max_outside", "min_surrounding",
         "min_opposite_margins", "min_margin", "max_yaw", "max_pitch", "max_occlusion")


def analyze(facegate, paths):
    options = [part for rule in RULES for part in ("--set", f"analysis.rules.{rule}.action=off")]
    command = [facegate, "analyze", "--details", *options, *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line).get("details") or {} for line in lines]


def cut(picture, extent, step):
    """The square, or None when the picture is too small for it."""
    height, width = picture.shape[:2]
    side = step * max(extent["width"], extent["height"])
    if side > min(height, width):
        return None
    left = np.clip(extent["left"] + extent["width"] / 2 - side / 2, 0, width - side)
    top = np.clip(extent["top"] + extent["height"] / 2 - side / 2, 0, height - side)
    window = picture[round(top) : round(top + side), round(left) : round(left + side)]
    return cv2.resize(window, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--bare", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=80)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in options.bare.iterdir() if p.is_file())
    whole = [(a["liveness"]["surrounding"], path, a) for path, a in zip(paths, analyze(options.facegate, paths), strict=True)
             if len(a.get("faces", ())) == 1 and a["image"]["uprightRotation"] == 0]
    whole = sorted(whole, key=lambda w: -w[0])[: options.pictures]
    print("%d pictures, surrounding %.2f to %.2f" % (len(whole), whole[-1][0], whole[0][0]))
    for step in STEPS:
        files, before = [], []
        for number, (_, path, answer) in enumerate(whole):
            window = cut(cv2.imread(str(path)), answer["faces"][0]["extent"], step)
            if window is not None:
                files.append(options.work / f"{number:03}-{step}.png")
                cv2.imwrite(str(files[-1]), window)
                before.append(answer)
        after = analyze(options.facegate, files)
        pairs = [(a, b) for a, b in zip(before, after, strict=True) if b.get("faces")]
        years = np.array([b["age"] - a["age"] for a, b in pairs])
        same = np.mean([(a["femaleProbability"] > 0.5) == (b["femaleProbability"] > 0.5) for a, b in pairs])
        print("square of %.2f: %d cut, face found in %d; age moves by %.2f years (mean %+.2f); same gender %.1f %%" % (
            step, len(files), len(pairs), np.abs(years).mean(), years.mean(), 100 * same))


if __name__ == "__main__":
    main()
