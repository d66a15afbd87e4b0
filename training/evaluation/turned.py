#!/usr/bin/env python3
"""Are pictures that lie on their side or upside down brought upright?

    python3 turned.py --facegate FACEGATE --bare BARE --work SCRATCH [--every 9]

Every so many pictures of the bare folder, turned by 90, 180 and 270 degrees without loss (PNG, no EXIF). Right is when
`details.image.uprightRotation` turns the picture back. The unturned pictures must not be turned. A picture is small and
tight here, and the folder's own pictures are not all upright, so the figures are those of a hard set.
"""

import argparse
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np

TURNS = {0: None, 90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def percent(hits, n, z=1.959964):
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * np.sqrt(p * (1 - p) / n + q / n / 4) / (1 + q)
    return "%.1f %% (%d of %d; 95 %% interval %.1f to %.1f %%)" % (100 * p, hits, n, 100 * (middle - half), 100 * (middle + half))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--bare", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--every", type=int, default=9)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in options.bare.iterdir() if p.is_file())[:: options.every]
    right = {}
    for degrees, turn in TURNS.items():
        files = []
        for i, path in enumerate(paths):
            picture = cv2.imread(str(path))
            files.append(options.work / f"{i:03}-{degrees}.png")
            cv2.imwrite(str(files[-1]), picture if turn is None else cv2.rotate(picture, turn))
        command = [options.facegate, "analyze", "--details", "--set", "analysis.attributes.effort=fast", *map(str, files)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        answers = [json.loads(line).get("details") or {} for line in lines]
        found = [bool(a.get("faces")) for a in answers]
        right[degrees] = [f and a["image"]["uprightRotation"] == (360 - degrees) % 360 for f, a in zip(found, answers)]
        scores = [a["faces"][0]["score"] for a, f in zip(answers, found) if f]
        print("turned by %3d: right %s; a face found in %d; detection score median %.3f, share of 0.9 and more %.0f %%" % (
            degrees, percent(sum(right[degrees]), len(paths)), sum(found), np.median(scores), 100 * np.mean(np.array(scores) >= 0.9)))
    turned = [r for d in (90, 180, 270) for r in right[d]]
    print("90, 180 and 270 together: " + percent(sum(turned), len(turned)))


if __name__ == "__main__":
    main()
