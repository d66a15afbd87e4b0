#!/usr/bin/env python3
"""What the detector's thresholds cost and bring: masked faces found and false detections, for several settings.

    python3 detector.py --facegate FACEGATE --masked MASKED --faceless FACELESS

A face counts as found when `details.faces` is not empty. The settings are min_score and weak_score of analysis.detection;
a weak_score equal to min_score turns the closer look at weak detections off.
"""

import argparse
import json
import subprocess
from pathlib import Path

SETTINGS = ((0.6, 0.4), (0.6, 0.6), (0.5, 0.4), (0.7, 0.4), (0.6, 0.3))


def percent(hits, n, z=1.959964):
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * (p * (1 - p) / n + q / n / 4) ** 0.5 / (1 + q)
    return "%.1f %% (%d of %d; 95 %% interval %.1f to %.1f %%)" % (100 * p, hits, n, 100 * (middle - half), 100 * (middle + half))


def found(facegate, paths, minimum, weak):
    names = []
    for start in range(0, len(paths), 200):
        command = [facegate, "analyze", "--details", "--set", "analysis.attributes.effort=fast",
                   "--set", f"analysis.detection.min_score={minimum}", "--set", f"analysis.detection.weak_score={weak}",
                   *map(str, paths[start : start + 200])]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        answers = [json.loads(line) for line in lines]
        names += [Path(a["sessionId"]).name for a in answers if (a.get("details") or {}).get("faces")]
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--masked", type=Path, required=True)
    parser.add_argument("--faceless", type=Path, required=True)
    options = parser.parse_args()
    folders = [sorted(p for p in folder.iterdir() if p.is_file()) for folder in (options.masked, options.faceless)]
    for minimum, weak in SETTINGS:
        masked, faceless = (found(options.facegate, paths, minimum, weak) for paths in folders)
        print(f"min_score {minimum}, weak_score {weak}: masked found {percent(len(masked), len(folders[0]))}; "
              f"false detections {percent(len(faceless), len(folders[1]))} {' '.join(faceless)}", flush=True)


if __name__ == "__main__":
    main()
