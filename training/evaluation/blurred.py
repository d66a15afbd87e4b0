#!/usr/bin/env python3
"""Faces that were blurred away, through facegate: told as covered, not found, or passed.

    python3 blurred.py --facegate FACEGATE --data DATA --work SCRATCH [--number 60]

Of live-hagrid, both parliaments and the bare folder of masks so many pictures whose face is bare and has 20 pixels and more between eyes and
mouth, as they are and blurred as a whole by a part of the face's width (standard deviation), JPEG of quality 92.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "liveness"))
from common import analyze

SETS = ("live-hagrid/img", "age-uk-parliament/img", "age-us-congress/img", "masks/bare")
PERCENT = (0, 1, 2, 3, 4, 5, 6, 8)


def bare(answer):
    """The face's width, where it is bare and large enough."""
    details = answer.get("details") or {}
    if not details.get("faces") or not details.get("occlusion") or details["occlusion"]["probability"] >= 0.5 or details["image"].get("uprightRotation"):
        return None
    face = details["faces"][0]
    points = np.array(face["keypoints"])
    return face["extent"]["width"] if np.hypot(*(points[3:].mean(0) - points[:2].mean(0))) >= 20 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--number", type=int, default=60)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    chosen = []
    for folder in SETS:
        paths = sorted(str(p) for p in (options.data / folder).rglob("*") if p.is_file())[::7]
        widths = zip(paths[: 3 * options.number], map(bare, analyze(options.facegate, paths[: 3 * options.number])))
        chosen += [(p, w) for p, w in widths if w][: options.number]
    for percent in PERCENT:
        files = []
        for index, (path, width) in enumerate(chosen):
            picture = cv2.imread(path)
            files.append(str(options.work / f"{index}.jpg"))
            cv2.imwrite(files[-1], cv2.GaussianBlur(picture, (0, 0), percent / 100 * width) if percent else picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        found = [d for d in ((a.get("details") or {}) for a in analyze(options.facegate, files)) if d.get("faces") and d.get("occlusion")]
        told = sum(d["occlusion"]["probability"] >= 0.5 for d in found)
        print(f"{percent} %: of {len(files)} told {told}, no face {len(files) - len(found)}, passed {len(found) - told}", flush=True)


if __name__ == "__main__":
    main()
