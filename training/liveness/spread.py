#!/usr/bin/env python3
"""How much the passive liveness score of one picture moves when nothing that matters changes, with 1, 3 and 5 crops.

Each picture is moved by whole pixels (a window of the same size, up to 4 px to the right, then down), compressed as JPEG
with quality 70 to 95, and resized by 0.5 to 2. Per picture and kind: standard deviation and largest minus smallest score.
The pictures are the portrait of the model folder (2x), T1, F1, F2 and doubtful pictures: those of the bare folder that the
lenient profile accepts and that score 0.1 to 0.9 with one crop. Scores near 0 and 1 hardly move and would flatter.

    python3 spread.py --facegate FACEGATE --bare BARE --samples SAMPLES --work SCRATCH
"""

import argparse

import cv2
import numpy as np

from common import analyze, arguments, bootstrap, named, save, scan, score, word

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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments(parser)
    parser.add_argument("--pictures", type=int, default=40, help="how many doubtful ones")
    options = parser.parse_args()
    doubtful = [path for path, a in scan(options, 1) if 0.1 <= score(a) <= 0.9 and word(a) == "OK"]
    print(f"{len(doubtful)} doubtful pictures")
    step = max(1, len(doubtful) / options.pictures)
    chosen = [doubtful[int(i * step)] for i in range(min(options.pictures, len(doubtful)))]
    pictures = named(options) | {path.name: cv2.imread(str(path)) for path in chosen}
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
        print("%-24s" % "" + "".join("%18s" % f"{crops} crop" for crops in CROPS))
        groups = {name: [name] for name in list(made)[:4]}
        groups |= {f"{len(chosen)} doubtful, mean": [p.name for p in chosen]}
        for label, names in groups.items():
            cells = [np.nanmean([figures(name, kind, crops) for name in names], 0) for crops in CROPS]
            print("%-24s" % label + "".join("     %.4f  %.4f" % tuple(c) for c in cells))
        worst = [np.nanmax([figures(p.name, kind, crops) for p in chosen], 0) for crops in CROPS]
        print("%-24s" % "doubtful, worst" + "".join("     %.4f  %.4f" % tuple(c) for c in worst))
    print("\nmean standard deviation of the doubtful pictures (95 % interval, bootstrap over pictures)")
    for kind in (*KINDS, "all kinds"):
        line = "%-10s" % kind
        means = []
        for crops in CROPS:
            kinds = KINDS if kind == "all kinds" else (kind,)
            each = np.array([np.mean([figures(p.name, k, crops)[0] for k in kinds]) for p in chosen])
            means.append(each)
            line += "   %d crop: %.4f (%.4f to %.4f)" % (crops, *bootstrap(each[np.isfinite(each)]))
        for i in (1, 2):
            both = np.isfinite(means[0]) & np.isfinite(means[i])
            line += "   %d against 1: %.0f %%" % (CROPS[i], 100 * means[i][both].mean() / means[0][both].mean())
        print(line)
    lost = {crops: int(sum(np.isnan(list(s.values())))) for crops, s in scores.items()}
    print(f"variants without a face: {lost} of {len(files)}")
    crossed = {crops: sum(len({scores[crops][f] >= 0.5 for k in KINDS for f in made[p.name][k]
                               if np.isfinite(scores[crops][f])}) > 1 for p in chosen) for crops in CROPS}
    print(f"doubtful pictures whose variants lie on both sides of 0.5: {crossed} of {len(chosen)}")


if __name__ == "__main__":
    main()
