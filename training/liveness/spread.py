#!/usr/bin/env python3
"""How much the passive liveness score of one picture moves when nothing that matters changes, with 1, 3 and 5 crops.

Each picture is moved by whole pixels (a window of the same size, up to 4 px to the right, then down), compressed as JPEG
with quality 70 to 95, and resized by 0.5 to 2. Per picture and kind: standard deviation and largest minus smallest score.
The pictures are the portrait of the model folder (2x), T1, F1, F2 and doubtful pictures: those of the bare folder that the
lenient profile accepts and that score 0.1 to 0.9 with one crop. Scores near 0 and 1 hardly move and would flatter. Moved
crops need room in the picture, which the bare folder seldom offers; `--wide` names a folder (data/masks/masked) that gives
further doubtful pictures, with a surrounding of at least 2.81 (room for the largest crop, moved) and a face of at
least 40 px, whatever the rules say of them.

    python3 spread.py --facegate FACEGATE --bare BARE --samples SAMPLES --work SCRATCH [--wide FOLDER]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from common import analyze, arguments, bootstrap, named, save, scan, score, surrounding, word

CROPS = (1, 3, 5)
SHIFT = 4
QUALITIES = (70, 75, 80, 85, 90, 95)
FACTORS = (0.5, 0.6, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
KINDS = ("shift", "jpeg", "resize")


def variants(folder, picture):
    """Writes the variants of one picture: kind to files. Every variant but the JPEGs is stored without loss."""
    height, width = picture.shape[:2]
    made = {kind: [] for kind in KINDS}
    for x, y in [(x, 2) for x in range(SHIFT + 1)] + [(2, y) for y in range(SHIFT + 1) if y != 2]:
        window = picture[y : height - SHIFT + y, x : width - SHIFT + x]
        made["shift"].append(save(folder / f"shift{x}{y}.png", window))
    for quality in QUALITIES:
        made["jpeg"].append(save(folder / f"jpeg{quality}.jpg", picture, cv2.IMWRITE_JPEG_QUALITY, quality))
    for factor in FACTORS:
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        resized = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
        made["resize"].append(save(folder / f"resize{factor}.png", resized))
    return made


def spaced(items, n):
    """At most n of the items, evenly spaced."""
    return [items[i * len(items) // n] for i in range(n)] if len(items) > n else items


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments(parser)
    parser.add_argument("--pictures", type=int, default=40, help="how many doubtful ones of each folder")
    parser.add_argument("--wide", type=Path)
    options = parser.parse_args()
    doubtful = [(path, a) for path, a in scan(options, 1) if 0.1 <= score(a) <= 0.9 and word(a) == "OK"]
    print(f"{len(doubtful)} doubtful pictures")
    groups = {f"surrounding {low} to {high}": [p for p, a in spaced(doubtful, options.pictures) if low <= surrounding(a) < high]
              for low, high in ((1.1, 1.5), (1.5, 2.0), (2.0, 3.0))}
    chosen = [p for paths in groups.values() for p in paths]
    groups["all of these"] = list(chosen)
    if options.wide:
        wide = [(p, a) for p, a in scan(options, 1, options.wide) if 0.1 <= score(a) <= 0.9 and surrounding(a) >= 2.81
                and min(a["details"]["faces"][0]["extent"][side] for side in ("width", "height")) >= 40]
        print(f"{len(wide)} doubtful pictures with room")
        groups["with room (--wide)"] = [p for p, _ in spaced(wide, options.pictures)]
    pictures = named(options) | {path: cv2.imread(str(path)) for paths in groups.values() for path in paths}
    made = {name: variants(options.work / "spread" / f"{i:02}", p) for i, (name, p) in enumerate(pictures.items())}
    files = [path for kinds in made.values() for paths in kinds.values() for path in paths]
    scores = {}
    for crops in CROPS:
        answers = analyze(options.facegate, files, "--set", f"analysis.liveness.crops={crops}")
        scores[crops] = dict(zip(files, map(score, answers)))

    def figures(name, kind, crops):
        found = np.array([scores[crops][path] for path in made[name][kind]])
        found = found[np.isfinite(found)]
        return (found.std(), np.ptp(found)) if len(found) > 1 else (np.nan, np.nan)

    for kind in KINDS:
        print(f"\n{kind}: standard deviation, and largest minus smallest, of the score of one picture")
        print("%-30s" % "" + "".join("%18s" % f"{crops} crop" for crops in CROPS))
        for label, names in ({name: [name] for name in list(made)[:4]} | groups).items():
            cells = [np.nanmean([figures(name, kind, crops) for name in names], 0) for crops in CROPS]
            label = label if len(names) < 2 else f"{label}, n {len(names)}"
            print("%-30s" % label + "".join("    %.4f  %.4f" % tuple(c) for c in cells))
    print("\nmean standard deviation (95 % interval, bootstrap over pictures), and its share of that with one crop")
    for label, names in groups.items():
        for kind in (*KINDS, "all kinds"):
            kinds = KINDS if kind == "all kinds" else (kind,)
            each = {c: np.array([np.mean([figures(n, k, c)[0] for k in kinds]) for n in names]) for c in CROPS}
            known = np.isfinite(list(each.values())).all(0)
            print("%-22s %-10s" % (label, kind) + "".join("  %d crop: %.4f (%.4f to %.4f)" % (
                c, *bootstrap(v[known])) for c, v in each.items())
                + "".join("  %d: %.0f %%" % (c, 100 * each[c][known].mean() / each[1][known].mean()) for c in CROPS[1:]))
        crossed = {c: sum(len({scores[c][f] >= 0.5 for k in KINDS for f in made[n][k] if np.isfinite(scores[c][f])}) > 1
                          for n in names) for c in CROPS}
        print("%-22s pictures whose variants lie on both sides of 0.5, of %d: " % (label, len(names))
              + ", ".join(f"{c} crop: {v}" for c, v in crossed.items()))
    lost = {crops: int(sum(np.isnan(list(s.values())))) for crops, s in scores.items()}
    print(f"variants without a face: {lost} of {len(files)}")


if __name__ == "__main__":
    main()
