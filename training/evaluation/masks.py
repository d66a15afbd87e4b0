#!/usr/bin/env python3
"""Masked faces end to end through facegate: found at all, told apart from bare ones, and false detections.

    python3 masks.py --facegate FACEGATE --data DATA --faces FACES.csv --faceless FACELESS --out SCRATCH

DATA holds bare/ and masked/ (data/masks). FACES.csv holds the split; training/occlusion/prepare.py writes it to its cache.
FACELESS is a folder of pictures that show no human face (scikit-image's samples without astronaut and the like).

Occlusion is measured on the test split only: never trained on, never calibrated on, near-duplicates and the pictures that
training/occlusion/labels.csv leaves out removed. LABELS.csv (expected = FACE_IS_OCCLUDED or OK) goes to `facegate
evaluate` with every rule off but the detector's and FACE_IS_OCCLUDED, because these small, tight pictures break the others
first. The probability comes from `facegate analyze --details`. Found at all: all pictures of both folders.
"""

import argparse
import csv
import json
import os
import subprocess
from pathlib import Path

import numpy as np

OTHERS = ("max_second_face", "min_interpupillary_distance", "min_face_side", "min_face_area", "max_outside", "min_surrounding",
          "min_opposite_margins", "min_margin", "max_yaw", "max_pitch")
RULES = ["--profile", "lenient", "--set", "analysis.rules.max_occlusion.action=reject"]
RULES += [part for rule in OTHERS for part in ("--set", f"analysis.rules.{rule}.action=off")]
# MODEL_CARD.md, the same split through the training's own detector and alignment in Python.
CARD = {"recall": (165, 165), "false alarms": (2, 164)}


def wilson(hits, n, z=1.959964):
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * np.sqrt(p * (1 - p) / n + q / n / 4) / (1 + q)
    return p, middle - half, middle + half


def percent(hits, n):
    if n == 0:
        return "none"
    return "%.1f %% (%d of %d; 95 %% interval %.1f to %.1f %%)" % (
        100 * hits / n, hits, n, *(100 * v for v in wilson(hits, n)[1:]))


def analyze(facegate, paths):
    answers = []
    for start in range(0, len(paths), 200):
        command = [facegate, "analyze", "--details", "--profile", "lenient", "--set", "analysis.attributes.effort=fast",
                   *map(str, paths[start : start + 200])]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        answers += [json.loads(line).get("details") or {} for line in lines]
    return dict(zip(paths, answers))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--faceless", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    with open(options.faces, newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "test" and r["copy"] == "0" and r["verdict"] != "skip"]
    labels = options.out / "LABELS.csv"
    kind = {}
    with open(labels, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "expected"])
        for row in rows:
            path = os.path.relpath(options.data / row["label"] / row["name"], options.out)
            kind[path] = "masked" if row["label"] == "masked" else "bare" if row["verdict"] == "bare" else "covered"
            writer.writerow([path, "OK" if kind[path] == "bare" else "FACE_IS_OCCLUDED"])
    subprocess.run([options.facegate, "evaluate", labels, "--out", options.out / "evaluation", "--title",
                    "Occlusion, held-out split", *RULES], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    outcomes = [json.loads(l) for l in (options.out / "evaluation" / "outcomes.jsonl").read_text().splitlines()]
    words = {o["path"]: o["word"] for o in outcomes if "path" in o}
    print("Words of `facegate evaluate` on the test split")
    for group in ("masked", "bare", "covered"):
        given = [words[p] for p, k in kind.items() if k == group]
        print("  %-8s" % group + ", ".join(f"{w} {given.count(w)}" for w in sorted(set(given))))
    got = {g: [words[p] for p, k in kind.items() if k == g] for g in ("masked", "bare", "covered")}
    found = {g: [w for w in ws if w != "FACE_NOT_FOUND"] for g, ws in got.items()}
    for title, counted in (("of all pictures", got), ("of faces found", found)):
        print(f"  recall, {title}:       " + percent(counted["masked"].count("FACE_IS_OCCLUDED"), len(counted["masked"])))
        print(f"  false alarms, {title}: " + percent(counted["bare"].count("FACE_IS_OCCLUDED"), len(counted["bare"])))
    print("  other coverings:             " + percent(got["covered"].count("FACE_IS_OCCLUDED"), len(got["covered"])))
    for name, (hits, n) in CARD.items():
        print(f"  MODEL_CARD.md, {name}: {percent(hits, n)}")

    folders = {name: sorted(p for p in (options.data / name).iterdir() if p.is_file()) for name in ("masked", "bare")}
    folders["faceless"] = sorted(p for p in options.faceless.iterdir() if p.is_file())
    answers = {name: analyze(options.facegate, paths) for name, paths in folders.items()}
    probability = {g: [] for g in ("masked", "bare", "covered")}
    for path, group in kind.items():
        details = answers["masked" if group == "masked" else "bare"][options.data / Path(path).parent.name / Path(path).name]
        if "occlusionProbability" in details:
            probability[group].append(details["occlusionProbability"])
    masked, bare = np.array(probability["masked"]), np.array(probability["bare"])
    print("\ndetails.occlusionProbability on the same split, faces found")
    print("  AUC %.4f" % (masked[:, None] > bare[None]).mean())
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7):
        print("  at %.1f: recall %s, false alarms %s" % (threshold, percent(int((masked >= threshold).sum()), len(masked)),
                                                         percent(int((bare >= threshold).sum()), len(bare))))
    print("\nA face found at all")
    for name in ("masked", "bare"):
        hits = [p for p, d in answers[name].items() if d.get("faces")]
        print(f"  {name}: {percent(len(hits), len(folders[name]))}")
        turned = sum(1 for p in hits if answers[name][p]["image"]["uprightRotation"])
        print(f"    of these turned by 90, 180 or 270 degrees, wrongly: {percent(turned, len(hits))}")
    hits = {p.name: d["faces"][0]["score"] for p, d in answers["faceless"].items() if d.get("faces")}
    print(f"  faceless (false detections): {percent(len(hits), len(folders['faceless']))} {hits or ''}")


if __name__ == "__main__":
    main()
