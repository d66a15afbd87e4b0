#!/usr/bin/env python3
"""Measures where 0.5 of the liveness score belongs and how far it is to be relied on, and writes both into the program.

    python3 calibrate.py --facegate FACEGATE --data DATA --work SCRATCH [--write] [--fresh] [--every N]

DATA is the folder of the development sets (shared/data). One command, no arguments to choose: run it again after every change of
crops, face boxes, networks or heads, raise FEATURES_REVISION (crates/face-analysis/src/liveness/heads.rs; its test says what else to
write), then build again. With --write it writes crates/face-analysis/src/liveness/calibration/table.rs;
without, it only prints. Answers are kept in SCRATCH until --fresh. --every N looks at one picture of N only.

What is measured is `details.liveness.evidence`: what the networks and the built-in heads on drawn attacks say together, before any
calibration.

1. Live people of every set, each an independent source: all pictures of live-hagrid, live-hagrid-full, the British parliament
   as studio, masks/bare. The American congress is measured and reported, and has no part in the
   level: its portraits of 1989 to 1995 are scans of prints, which is what the networks are there to refuse. Faces of 80 px
   and more, surrounding 1.05 and more (what the default profile takes).
2. Some of the same live people cut ever tighter round the face: evidence falls, since the networks see less. The fall of its 4 %
   quantile, the mean over sources, made monotone, times SHARE, is the shape of the level. From 1.8 on it is flat: the sets
   differ in which pictures are wide enough, and in whether evidence goes on rising.
3. The level: so high that refusing below it refuses TARGET of the live pictures, the mean over sources. Checked by leaving one
   source out each time and setting the level by the others.
4. Reliability: how well evidence tells real attacks from live people (attacks-dev, measuring only: no level is chosen by it), both
   cut to one surrounding: 2 AUC - 1, relative to the most that is reached, made monotone.

SHARE is 1: the level follows the whole fall, so that tight pictures of live people are refused about as often as others. What less
would do is printed as a table.
"""

import argparse
import csv
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np

from common import analyze, save

STEPS = (1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8)
SOURCES = {
    "hagrid": "live-hagrid/img",
    "hagrid-full": "live-hagrid-full/img",
    "uk-parliament": "age-uk-parliament/img",
    "bare": "masks/bare",
    "us-congress": "age-us-congress/img",
}
LEVEL_SOURCES = ("hagrid", "hagrid-full", "uk-parliament", "bare")
# Of each of these one picture in so many is cut.
CUT_SOURCES = {"hagrid": 2, "hagrid-full": 1, "uk-parliament": 3}
TARGET, SHARE, TEMPER = 0.04, 1.0, 0.5
LEAST_FACE, LEAST_SURROUNDING = 80, 1.05
TABLE = Path(__file__).parents[2] / "crates/face-analysis/src/liveness/calibration/table.rs"


def judged(options, name, paths):
    """Path, evidence, surrounding and box of each picture with a face."""
    kept = options.work / f"{name}.jsonl"
    if options.fresh or not kept.exists():
        lines = []
        for path, answer in zip(paths, analyze(options.facegate, paths)):
            details = answer.get("details") or {}
            if details.get("liveness"):
                face = details["faces"][0]["extent"]
                lines.append({"path": str(path), "evidence": details["liveness"]["evidence"],
                              "surrounding": details["liveness"]["surrounding"],
                              "box": [face["left"], face["top"], face["width"], face["height"]]})
        kept.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [json.loads(line) for line in kept.read_text().splitlines()]


def thinned(options, name):
    """The smallest set is small enough."""
    return 1 if name == "hagrid-full" else options.every


def pictures(folder, step):
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))[::step]


def cut(picture, box, s):
    """The window of s times the box, or None when the picture is too small for it."""
    height, width = picture.shape[:2]
    w, h = box[2] * s, box[3] * s
    if w > width + 1 or h > height + 1:
        return None
    left = np.clip(box[0] + box[2] / 2 - w / 2, 0, max(width - w, 0))
    top = np.clip(box[1] + box[3] / 2 - h / 2, 0, max(height - h, 0))
    return picture[int(round(top)) : int(round(top + h)), int(round(left)) : int(round(left + w))]


def cuts(options, name, seen):
    """Evidence of each picture cut to each step: {step: {path: evidence}}. A cut in which no face is found is left out."""
    files = {}
    for i, line in enumerate(seen):
        if min(line["box"][2:]) < LEAST_FACE:
            continue
        picture = cv2.imread(line["path"])
        for s in STEPS:
            window = cut(picture, line["box"], s)
            if window is not None:
                path = options.work / "cuts" / name / f"{i:04}-{s}.png"
                files[path] = (line["path"], s)
                if options.fresh or not path.exists():
                    save(path, window)
    found = {s: {} for s in STEPS}
    for line in judged(options, f"{name}-cuts", list(files)):
        path, s = files[Path(line["path"])]
        found[s][path] = line["evidence"]
    return found


def monotone(values):
    """The nearest rising curve (pool adjacent violators)."""
    blocks = []
    for v in values:
        blocks.append([v, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    return np.concatenate([[v] * n for v, n in blocks])


def level(values, sources, target):
    """The highest value at which the mean over sources of the share below it is at most the target."""
    grid = np.unique(np.round(np.concatenate([values[s] for s in sources]), 2))
    shares = np.mean([[(values[s] < t).mean() for t in grid] for s in sources], 0)
    return grid[max(np.searchsorted(shares, target, side="right") - 1, 0)]


def auc(live, attacks):
    live, attacks = np.asarray(live)[:, None], np.asarray(attacks)[None]
    return float(((live > attacks) + 0.5 * (live == attacks)).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    live = {name: judged(options, name, pictures(options.data / folder, thinned(options, name))) for name, folder in SOURCES.items()}
    for name in live:
        live[name] = [x for x in live[name] if min(x["box"][2:]) >= LEAST_FACE and x["surrounding"] >= LEAST_SURROUNDING]
    tighter = {name: cuts(options, name, live[name][::step]) for name, step in CUT_SOURCES.items()}
    falls = []
    print("4 % quantile of the evidence of live people, cut to a surrounding (n)")
    for s in STEPS:
        each = {n: np.quantile(list(t[s].values()), 0.04) for n, t in tighter.items() if len(t[s]) >= 20}
        falls.append(np.mean(list(each.values())))
        print("%.2f  %6.2f   " % (s, falls[-1]) + "  ".join("%s %.2f (%d)" % (n, q, len(tighter[n][s])) for n, q in each.items()))
    curve = monotone(falls)

    attacks = judged(options, "attacks-dev", pictures(options.data / "attacks-dev/img", 1))
    kinds = {str(options.data / "attacks-dev" / r["path"]): r["liveness"]
             for r in csv.DictReader(open(options.data / "attacks-dev/labels.csv"))}
    names = sorted({k for k in kinds.values() if k != "live"})
    attack_cuts = cuts(options, "attacks-dev", attacks[:: options.every])

    def shape(share, s):
        return share * (np.interp(s, STEPS, curve) - curve[-1])

    def values(share, lines):
        return np.array([x["evidence"] - shape(share, x["surrounding"]) for x in lines])

    print("\nshare  level  left out: each source, mean         us-congress  attacks-dev: BPCER, APCER of " + ", ".join(names))
    for share in (0.0, 0.25, 0.5, 0.75, SHARE):
        v = {name: values(share, lines) for name, lines in live.items()}
        rounds = {s: (v[s] < level(v, [o for o in LEVEL_SOURCES if o != s], TARGET)).mean() for s in LEVEL_SOURCES}
        at = level(v, LEVEL_SOURCES, TARGET)
        dev = values(share, attacks)
        kind = np.array([kinds[x["path"]] for x in attacks])
        print("%.2f  %6.2f  " % (share, at) + " ".join("%s %.3f" % r for r in rounds.items())
              + ", %.3f   %.3f   %.3f " % (np.mean(list(rounds.values())), (v["us-congress"] < at).mean(), (dev[kind == "live"] < at).mean())
              + " ".join("%.3f" % (dev[kind == n] >= at).mean() for n in names))
        if share == SHARE:
            chosen = at
    print("own share refused: " + ", ".join("%s %.3f (%d)" % (s, (values(SHARE, l) < chosen).mean(), len(l)) for s, l in live.items()))

    levels = [chosen + shape(SHARE, s) for s in STEPS]
    power = []
    print("\ncut    level   refused of live, " + ", ".join(names) + " (attacks-dev)   AUC")
    for s, at in zip(STEPS, levels):
        below = {n: np.mean([e < at for p, e in attack_cuts[s].items() if kinds[p] == n] or [np.nan]) for n in ("live", *names)}
        told = {w: [e for p, e in attack_cuts[s].items() if (kinds[p] == "live") == w] for w in (True, False)}
        # Where fewer pictures are wide enough they are others than at tighter cuts.
        enough = len(told[True]) * options.every >= 60
        power.append(2 * auc(told[True], told[False]) - 1 if enough else np.nan)
        print("%.2f  %6.2f   " % (s, at) + " ".join("%.3f" % b for b in below.values()) + "   %.3f" % ((power[-1] + 1) / 2))
    known = [(s, p) for s, p in zip(STEPS, power) if np.isfinite(p)]
    left = np.clip(monotone([p for _, p in known]), 0, None)
    left = left / left.max()
    if options.write:
        def points(xs, ys):
            return "".join(f"    ({x}, {y:.2f}),\n" for x, y in zip(xs, ys))
        TABLE.write_text(
            "//! The measured curves. Written by training/liveness/calibrate.py; do not edit.\n\n"
            "/// Surrounding, and the log-odds at the operating point there.\n"
            f"pub(super) const LEVELS: [(f32, f32); {len(STEPS)}] = [\n{points(STEPS, levels)}];\n\n"
            "/// Surrounding, and what is left of the networks' power there.\n"
            f"pub(super) const RELIABILITY: [(f32, f32); {len(known)}] = [\n{points([s for s, _ in known], left)}];\n\n"
            "/// What log-odds are multiplied with.\n"
            f"pub(super) const TEMPER: f32 = {TEMPER};\n")
        subprocess.run(["rustfmt", "--edition", "2024", str(TABLE)], check=True)
        print(f"\n{TABLE} is written: raise FEATURES_REVISION in liveness/heads.rs and build again")


if __name__ == "__main__":
    main()
