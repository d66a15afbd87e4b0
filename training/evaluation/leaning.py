#!/usr/bin/env python3
"""Do pose, the distance of the pupils, age and gender stay what they are when a head leans?

    python3 leaning.py --facegate FACEGATE --data DATA --work SCRATCH [--number 40]

Every so many pictures of live-hagrid and of both parliaments that the lenient profile accepts, turned about their middle by 15 to 60 degrees
either way on a larger canvas of grey, stored without loss. Against the picture as it is: roll less the turn (a head that leans more than
half way is found as lying on its side: to within quarters), yaw and pitch, the ratio of the distances, years of age and whether the
gender is the same.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "liveness"))
from common import analyze

SETS = (("live-hagrid", "img"), ("age-uk-parliament", "img"), ("age-us-congress", "img"))
TURNS = (15, 30, 45, 60)


def turned(picture, degrees):
    height, width = picture.shape[:2]
    side = int(np.ceil(np.hypot(width, height)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    matrix[:, 2] += [(side - width) / 2, (side - height) / 2]
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=(128, 128, 128))


def measured(answer):
    details = answer.get("details") or {}
    if not details.get("pose") or not details.get("interpupillaryDistance"):
        return None
    pose = details["pose"]
    return np.array([pose["yaw"], pose["pitch"], pose["roll"], details["interpupillaryDistance"], details.get("age", np.nan), details.get("femaleProbability", np.nan)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--number", type=int, default=40)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    plain = []
    for name, folder in SETS:
        paths = sorted(p for p in (options.data / name / folder).rglob("*") if p.is_file())
        paths = [str(p) for p in paths[:: max(1, len(paths) // (2 * options.number))]]
        seen = [(p, measured(a)) for p, a in zip(paths, analyze(options.facegate, paths)) if not a["hasError"]]
        plain += [(p, m) for p, m in seen if m is not None and abs(m[2]) < 15][: options.number]
    print(f"{len(plain)} pictures")
    for degrees in TURNS:
        rows, lost = [], 0
        for sign in (-1, 1):
            files = []
            for index, (path, _) in enumerate(plain):
                files.append(str(options.work / f"{index}.png"))
                cv2.imwrite(files[-1], turned(cv2.imread(path), sign * degrees))
            for (_, before), answer in zip(plain, analyze(options.facegate, files)):
                after = measured(answer)
                if after is None:
                    lost += 1
                    continue
                roll = (after[2] - before[2] - sign * degrees + 45) % 90 - 45
                same = (after[5] >= 0.5) == (before[5] >= 0.5)
                rows.append([abs(roll), *np.abs(after[:2] - before[:2]), after[3] / before[3] - 1, after[4] - before[4], same])
        rows = np.array(rows, float)
        print(f"{degrees:3} degrees: {len(rows)} found, {lost} not; roll off by {np.median(rows[:, 0]):.1f} (95 % within {np.quantile(rows[:, 0], 0.95):.1f}), "
              f"yaw {np.median(rows[:, 1]):.1f} ({np.quantile(rows[:, 1], 0.95):.1f}), pitch {np.median(rows[:, 2]):.1f} ({np.quantile(rows[:, 2], 0.95):.1f}); "
              f"pupils off by {100 * np.median(np.abs(rows[:, 3])):.1f} % ({100 * np.quantile(np.abs(rows[:, 3]), 0.95):.0f}); "
              f"age {np.nanmean(rows[:, 4]):+.1f}, off by {np.nanmean(np.abs(rows[:, 4])):.1f}; gender the same in {100 * np.mean(rows[:, 5]):.0f} %", flush=True)


if __name__ == "__main__":
    main()
