#!/usr/bin/env python3
"""Age and gender against known ones, and how far a shift or a compression moves the answer. Compares programs and settings.

    python3 age.py --data DATA --work SCRATCH --program before=OLD/facegate --program after=facegate \\
        --program "accurate=facegate --set analysis.attributes.effort=accurate"

DATA holds age-uk-parliament and age-us-congress (ages known to three years are judged) and fairface-200 (age groups: their
middles stand for the age). For the spread, every 45th picture of these is cut by 0 to 3 pixels at two sides in six ways, and
saved as JPEG of quality 60 to 95 in five; reported is the mean over pictures of the standard deviation, in years. Means have
95 % bootstrap intervals drawn by person, shares Wilson's. A name of a program may be given with a folder of models:
`before@FOLDER=...`.
"""

import argparse
import csv
import json
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

SETS = ("age-uk-parliament", "age-us-congress", "fairface-200")
MIDDLE = {"20-29": 25, "30-39": 35, "40-49": 45, "50-59": 55, "60-69": 65, "more than 70": 75}
RULES = ("max_second_face", "min_interpupillary_distance", "min_face_side", "min_face_area", "max_outside", "min_surrounding",
         "min_opposite_margins", "min_margin", "max_yaw", "max_pitch", "max_occlusion")
SHIFTS = ((0, 0), (1, 0), (0, 1), (2, 1), (1, 3), (3, 2))
QUALITIES = (60, 70, 80, 90, 95)


def analyze(program, models, paths):
    """Age and probability of a woman by path; pictures without an answer are left out."""
    command = [*shlex.split(program), "--profile", "lenient", "--details", "-q"]
    command[1:1] = ["analyze"]
    command += [part for rule in RULES for part in ("--set", f"analysis.rules.{rule}.action=off")]
    environment = {**os.environ, "FACEGATE_MODELS_DIR": models} if models else None
    found = {}
    for start in range(0, len(paths), 300):
        lines = subprocess.run([*command, *map(str, paths[start : start + 300])], check=True, capture_output=True, text=True,
                               env=environment).stdout.splitlines()
        for path, line in zip(paths[start : start + 300], lines, strict=True):
            details = json.loads(line).get("details") or {}
            if details.get("age") is not None:
                found[path] = (details["age"], details["femaleProbability"])
    return found


def labels(folder):
    """Age (NaN when it is not known to three years), gender (1 female, 0 male, NaN) and person of each picture."""
    rows = {}
    with open(folder / "labels.csv", newline="") as file:
        for row in csv.DictReader(file):
            age = MIDDLE[row["age_group"]] if "age_group" in row else float(row["age"] or "nan")
            if "age_error" in row and float(row["age_error"] or 99) > 3:
                age = np.nan
            gender = {"female": 1.0, "male": 0.0}.get(row["gender"], np.nan)
            rows[folder / row["path"]] = (age, gender, row.get("person") or row["path"])
    return rows


def wilson(hits, n, z=1.959964):
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * np.sqrt(p * (1 - p) / n + q / n / 4) / (1 + q)
    return 100 * p, 100 * (middle - half), 100 * (middle + half)


def interval(values, persons, rng):
    names, index = np.unique(persons, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    draws = rng.integers(0, len(names), (2000, len(names)))
    return np.percentile(sums[draws].sum(1) / counts[draws].sum(1), [2.5, 97.5])


def spread_pictures(paths, folder):
    folder.mkdir(parents=True, exist_ok=True)
    groups = []
    for number, path in enumerate(paths):
        picture = Image.open(path).convert("RGB")
        width, height = picture.width - 3, picture.height - 3
        shifted, compressed = [], []
        for x, y in SHIFTS:
            shifted.append(folder / f"{number:03d}-shift-{x}{y}.png")
            picture.crop((x, y, x + width, y + height)).save(shifted[-1])
        for quality in QUALITIES:
            compressed.append(folder / f"{number:03d}-quality-{quality}.jpg")
            picture.crop((0, 0, width, height)).save(compressed[-1], quality=quality)
        groups += [("shifted", shifted), ("compressed", compressed)]
    return groups


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--program", action="append", required=True, help="NAME[@MODELS]=COMMAND")
    options = parser.parse_args()
    known = {name: labels(options.data / name) for name in SETS}
    groups = spread_pictures([p for name in SETS for p in sorted(known[name])[::45]], options.work)
    errors = {}
    for text in options.program:
        name, command = text.split("=", 1)
        name, _, models = name.partition("@")
        rng = np.random.default_rng(1)
        print(f"{name}:")
        for data in SETS:
            answers = analyze(command, models, sorted(known[data]))
            rows = [(*answers[p], *known[data][p]) for p in sorted(known[data]) if p in answers]
            age, female, true, gender = (np.array([r[k] for r in rows], float) for k in range(4))
            person = np.array([r[4] for r in rows])
            judged = ~np.isnan(true)
            error, decade = (age - true)[judged], np.clip(true[judged] // 10, 2, 8).astype(int)
            low, high = interval(np.abs(error), person[judged], rng)
            sure = ~np.isnan(gender)
            right = int(((female[sure] > 0.5) == (gender[sure] > 0.5)).sum())
            print("  %s: error %.2f years [%.2f to %.2f], mean %+.2f, n %d; %s" % (
                data, np.abs(error).mean(), low, high, error.mean(), judged.sum(),
                " ".join("%d0s %+.1f (%d)" % (d, error[decade == d].mean(), (decade == d).sum()) for d in np.unique(decade))))
            print("  %s: gender %.1f %% [%.1f to %.1f], %d of %d; of women %.1f %%, of men %.1f %%" % (
                data, *wilson(right, sure.sum()), right, sure.sum(),
                *(100 * ((female[sure & (gender == g)] > 0.5) == (g == 1)).mean() for g in (1, 0))))
            errors[name, data] = dict(zip(np.array([p for p in sorted(known[data]) if p in answers])[judged], np.abs(error)))
        answers = analyze(command, models, [p for _, paths in groups for p in paths])
        for kind in ("shifted", "compressed"):
            values = [[answers[p][0] for p in paths if p in answers] for k, paths in groups if k == kind]
            spreads = np.array([np.std(v, ddof=1) for v in values if len(v) > 2])
            low, high = interval(spreads, np.arange(len(spreads)), rng)
            print("  %s: standard deviation %.2f years [%.2f to %.2f], %d pictures" % (
                kind, spreads.mean(), low, high, len(spreads)))
    first = options.program[0].split("=")[0].split("@")[0]
    for name in {n: None for n, _ in errors}:
        for data in SETS if name != first else ():
            both = [p for p in errors[first, data] if p in errors[name, data]]
            change = np.array([errors[name, data][p] - errors[first, data][p] for p in both])
            low, high = interval(change, np.array([known[data][p][2] for p in both]), np.random.default_rng(1))
            print("%s against %s, %s: error changes by %+.2f years [%+.2f to %+.2f]" % (name, first, data, change.mean(), low, high))


if __name__ == "__main__":
    main()
