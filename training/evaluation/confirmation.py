#!/usr/bin/env python3
"""Fits the rule that confirms a face (crates/face-analysis/src/confirmation.rs) and draws its operating curve.

    python3 confirmation.py --facegate FACEGATE --data DATA --faceless FACELESS --work SCRATCH [--every 3]

FACELESS is the folder that faceless.py makes. facegate answers with analysis.detection.min_certainty = 0, so that
candidates that are no faces are listed too; the main one of each picture counts. Fitted on half of the people of masks/bare,
masks/masked, live-hagrid and the parliaments (DATA) and on FACELESS/fit; the curve is that of the other half and of
FACELESS/test. A logistic regression without a penalty to speak of; nothing is random. Before that, what the program's own rule
makes of all of them. Needs numpy and scikit-learn.
"""

import argparse
import csv
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

SETS = {"masks/masked": 1, "masks/bare": 3, "live-hagrid": 9, "age-uk-parliament": 9, "age-us-congress": 6}
TRUSTED = 0.9  # as in confirmation.rs


def drawn(text, parts):
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % parts


def members(data, name):
    if name.startswith("masks"):
        paths = sorted(p for p in (data / name).iterdir() if p.is_file())
        return [(p, "_".join(p.stem.split("_")[:-1]) or p.stem) for p in paths]
    with open(data / name / "labels.csv", newline="") as file:
        return [(data / name / row["path"], row.get("group") or row.get("person")) for row in csv.DictReader(file)]


def answers(facegate, paths, cache):
    if cache.exists():
        return json.loads(cache.read_text())
    found = []
    for start in range(0, len(paths), 100):
        command = [facegate, "analyze", "--details", "--set", "analysis.detection.min_certainty=0", "--set",
                   "analysis.liveness.crops=1", *map(str, paths[start : start + 100])]
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
            details = json.loads(line).get("details") or {}
            faces = details.get("faces") or []
            found.append({"turned": details["image"]["uprightRotation"], **faces[0]} if faces else None)
    cache.write_text(json.dumps(found))
    return found


def logit(p, margin):
    p = np.clip(p, margin, 1 - margin)
    return np.log(p / (1 - p))


def features(faces):
    """As in confirmation.rs."""
    column = lambda pick: np.array([pick(f) for f in faces], float)
    return np.c_[logit(column(lambda f: f["score"]), 0.02), logit(column(lambda f: f.get("closerScore", f["score"])), 0.05),
                 logit(column(lambda f: max(f["landmarkConfidence"], f.get("covered", 0))), 0.1),
                 np.clip(column(lambda f: f["disagreement"]), 0.05, 0.3) / 0.1]


def wilson(hits, n, z=1.959964):
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * (p * (1 - p) / n + q / n / 4) ** 0.5 / (1 + q)
    return "%.1f %% [%.1f to %.1f] (%d of %d)" % (100 * p, 100 * (middle - half), 100 * (middle + half), hits, n)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faceless", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="only so many of the groups, for a quick look")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    people = []
    for name, every in SETS.items():
        chosen = [(p, g) for p, g in members(options.data, name) if drawn(g, every * options.every) == 0]
        found = answers(options.facegate, [p for p, _ in chosen], options.work / f"{name.replace('/', '-')}.json")
        people += [(name, "test" if drawn("half" + g, 2) else "fit", f) for (_, g), f in zip(chosen, found, strict=True)]
    things = []
    for half in ("fit", "test"):
        paths = sorted((options.faceless / half).iterdir())
        things += [(half, f) for f in answers(options.facegate, paths, options.work / f"faceless-{half}.json")]
    print("the rule as the program has it, certainty 0.5, on both halves")
    is_face = lambda f: f is not None and f["certainty"] >= 0.5
    for name in SETS:
        rows = [f for n, _, f in people if n == name]
        print("      %-18s found %s" % (name, wilson(sum(map(is_face, rows)), len(rows))))
    print("      %-18s false %s" % ("faceless", wilson(sum(is_face(f) for _, f in things), len(things))))
    faces = [f for _, half, f in people if half == "fit" and f and not f["turned"]]
    others = [f for half, f in things if half == "fit" and f]
    x = np.r_[features(faces), features(others)]
    model = LogisticRegression(C=1.0, max_iter=1000).fit(x, np.r_[np.ones(len(faces)), np.zeros(len(others))])
    print("fitted on %d faces and %d others: score %.2f, closer %.2f, second opinion %.2f, disagreement %.2f, prior %.2f" % (
        len(faces), len(others), *model.coef_[0], model.intercept_[0]))
    odds = lambda f: float(model.decision_function(features([f]))[0])
    no_face = lambda f, least: f is None or f["certainty"] == 0 or odds(f) < least or (f["turned"] and f["landmarkConfidence"] < 0.5)
    print("log-odds from which on it is a face; faces missed, by set; false faces; both on what was not fitted on")
    for least in (-3, -2, -1.5, -1.25, -1, -0.5, 0, 0.5, 1, 2, 3):
        print("%5.2f" % least)
        for name in SETS:
            rows = [f for n, half, f in people if n == name and half == "test"]
            print("      %-18s missed %s" % (name, wilson(sum(no_face(f, least) for f in rows), len(rows))))
        rows = [f for half, f in things if half == "test"]
        print("      %-18s false %s" % ("faceless", wilson(sum(not no_face(f, least) for f in rows), len(rows))))


if __name__ == "__main__":
    main()
