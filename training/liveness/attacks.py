#!/usr/bin/env python3
"""Real attacks (attacks-dev) and every live set: error rates without and with `facegate adapt`.

    python3 attacks.py --facegate FACEGATE --data DATA --work SCRATCH [--repeats 5] [--before OLD_FACEGATE]

DATA is the folder of the development sets (shared/data). attacks-dev is for measuring: nothing that is shipped is fitted on it; the
heads that are fitted here stay in SCRATCH.

1. Without a head: per kind AUC, APCER where 1, 5 and 10 % of the live pictures are refused, APCER and BPCER at 0.5, with 95 %
   intervals (Wilson for shares; every picture is a series of its own; bootstrap for AUC).
2. With a head fitted on 20 and on 40 pictures of each kind (all but the rest, where there are fewer), tested on the others,
   `--repeats` times with fixed seeds; and across both halves of the series (those before and after the median of each kind).
3. BPCER at 0.5 on every live set, and on every fourth of the live-hagrid pictures with skin darkened and with light from one
   side, both drawn.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from calibrate import LEAST_FACE, SOURCES, pictures
from common import analyze, save, score, surrounding, wilson
import subprocess

KINDS = ("paper_mask", "print", "replay")


def auc(live, attacks):
    live, attacks = np.asarray(live)[:, None], np.asarray(attacks)[None]
    return float(((live > attacks) + 0.5 * (live == attacks)).mean())


def share(hits):
    hits = np.asarray(hits, bool)
    p, low, high = wilson(hits.sum(), len(hits))
    return "%5.1f %% [%.1f to %.1f]" % (100 * p, 100 * low, 100 * high)


def auc_interval(live, attacks):
    rng = np.random.default_rng(1)
    draws = [auc(rng.choice(live, len(live)), rng.choice(attacks, len(attacks))) for _ in range(500)]
    return "%.3f [%.3f to %.3f]" % (auc(live, attacks), *np.percentile(draws, [2.5, 97.5]))


def figures(scores, kinds, title):
    live = scores[kinds == "live"]
    print(f"\n{title}: BPCER at 0.5 {share(live < 0.5)}, n {len(live)}")
    for kind in KINDS:
        attacks = scores[kinds == kind]
        cells = ["%d %%: %s" % (100 * b, share(attacks >= np.quantile(live, b))) for b in (0.01, 0.05, 0.10)]
        print("  %-11s n %3d  AUC %s  APCER at 0.5 %s  at BPCER %s" % (
            kind, len(attacks), auc_interval(live, attacks), share(attacks >= 0.5), "  ".join(cells)))


def scores_of(facegate, paths, *options):
    return np.array([score(a) for a in analyze(facegate, paths, *options)])


def adapted(options, name, paths, kinds, train):
    """Scores of the pictures that are not trained on, by a head fitted on the others; NaN elsewhere and without a face."""
    folder = options.work / "heads"
    folder.mkdir(parents=True, exist_ok=True)
    labels = folder / f"{name}.csv"
    with open(labels, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "liveness", "group"))
        writer.writerows((p, k, f"series {i}") for i, (p, k) in enumerate(zip(paths, kinds)) if train[i])
    head = folder / f"{name}.head"
    head.unlink(missing_ok=True)
    run = subprocess.run([options.facegate, "adapt", str(labels), "--out", str(head), "--report", str(folder / name)],
                         capture_output=True, text=True)
    if not head.exists():
        print(f"{name}: {run.stderr.strip()}")
        return np.full(len(paths), np.nan)
    found = np.full(len(paths), np.nan)
    found[~train] = scores_of(options.facegate, [p for p, t in zip(paths, train) if not t],
                              "--set", f"analysis.liveness.head={head}")
    return found


def summary(title, without, rounds, kinds):
    """The mean over rounds; per kind APCER at BPCER 5 % of the round's own live pictures, and at 0.5."""
    rows = {k: [] for k in KINDS}
    bpcer = []
    for found in rounds:
        known = np.isfinite(found) & np.isfinite(without)
        if not known.any():
            continue
        live = known & (kinds == "live")
        bpcer.append((found[live] < 0.5).mean())
        for k in KINDS:
            at = known & (kinds == k)
            rows[k].append(((found[at] >= np.quantile(found[live], 0.05)).mean(),
                            (without[at] >= np.quantile(without[live], 0.05)).mean(),
                            (found[at] >= 0.5).mean(), auc(found[live], found[at])))
    if not bpcer:
        return
    print(f"\n{title}, {len(bpcer)} rounds: BPCER at 0.5 {100 * np.mean(bpcer):.1f} %")
    for k in KINDS:
        with_, without_, half, area = np.mean(rows[k], 0)
        print("  %-11s APCER at BPCER 5 %%: %.1f %% (without the head %.1f %%), at 0.5: %.1f %%, AUC %.3f" % (
            k, 100 * with_, 100 * without_, 100 * half, area))
    print("  all kinds   APCER at BPCER 5 %%: %.1f %% (without %.1f %%)" % tuple(
        100 * np.mean([np.mean(rows[k], 0)[i] for k in KINDS]) for i in (0, 1)))


def darkened(picture, box):
    """Skin as of a person with much melanin, drawn: the face's box and below darker and browner, with soft edges."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    x, y, w, h = (int(v) for v in box)
    cv2.ellipse(mask, (x + w // 2, y + h // 2), (int(0.62 * w), int(0.72 * h)), 0, 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), max(w * 0.06, 1))[..., None]
    linear = (picture.astype(np.float32) / 255) ** 2.2
    dark = (linear * np.float32([0.22, 0.30, 0.42])) ** (1 / 2.2) * 255
    return np.clip(picture * (1 - mask) + dark * mask, 0, 255).astype(np.uint8)


def sidelit(picture, _):
    """Light from one side, drawn: 4 times as much on the left as on the right."""
    ramp = np.geomspace(1.4, 0.35, picture.shape[1], dtype=np.float32)[None, :, None]
    return np.clip(((picture.astype(np.float32) / 255) ** 2.2 * ramp).clip(0, 1) ** (1 / 2.2) * 255, 0, 255).astype(np.uint8)


def live_sets(options):
    print("\nBPCER at 0.5 on live sets (faces of 80 px and more, surrounding of 1.05 and more)")
    for name, folder in SOURCES.items():
        paths = pictures(options.data / folder, 1)
        usable = []
        for path, answer in zip(paths, analyze(options.facegate, paths)):
            face = (answer.get("details") or {}).get("faces")
            if face and np.isfinite(score(answer)) and surrounding(answer) >= 1.05:
                box = [face[0]["extent"][k] for k in ("left", "top", "width", "height")]
                if min(box[2:]) >= LEAST_FACE:
                    usable.append((path, box, score(answer)))
        print("  %-14s n %4d  %s" % (name, len(usable), share([s < 0.5 for _, _, s in usable])))
        if name == "hagrid":
            for title, change in (("skin darkened", darkened), ("lit from a side", sidelit)):
                files = [save(options.work / title.replace(" ", "-") / f"{i:04}.png", change(cv2.imread(str(p)), b))
                         for i, (p, b, _) in enumerate(usable[::4])]
                found = scores_of(options.facegate, files)
                print("  %-14s n %4d  %s" % (title, np.isfinite(found).sum(), share(found[np.isfinite(found)] < 0.5)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--before", help="an older program, for comparison")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-live", action="store_true")
    options = parser.parse_args()
    rows = list(csv.DictReader(open(options.data / "attacks-dev/labels.csv")))
    paths = [str((options.data / "attacks-dev" / r["path"]).resolve()) for r in rows]
    kinds = np.array([r["liveness"] for r in rows])
    series = np.array([int(r["series"]) for r in rows])
    if options.before:
        old = scores_of(options.before, paths)
        figures(old[np.isfinite(old)], kinds[np.isfinite(old)], "before")
    without = scores_of(options.facegate, paths)
    seen = np.isfinite(without)
    print(f"{(~seen).sum()} of {len(seen)} pictures without a face")
    figures(without[seen], kinds[seen], "without a head")
    for n in (20, 40):
        rounds = []
        for seed in range(options.repeats):
            rng = np.random.default_rng(seed)
            train = np.zeros(len(paths), bool)
            for k in ("live", *KINDS):
                of = np.flatnonzero((kinds == k) & seen)
                train[rng.choice(of, min(n, len(of) * 3 // 4), replace=False)] = True
            rounds.append(adapted(options, f"{n}-{seed}", paths, kinds, train))
        summary(f"fitted on {n} pictures of each kind", without, rounds, kinds)
    first = np.zeros(len(paths), bool)
    for k in ("live", *KINDS):
        of = np.flatnonzero((kinds == k) & seen)
        first[of[np.argsort(series[of])][: len(of) // 2]] = True
    halves = [adapted(options, "half-1", paths, kinds, first & seen), adapted(options, "half-2", paths, kinds, ~first & seen)]
    summary("fitted on one half of the series, tested on the other", without, halves, kinds)
    if not options.skip_live:
        live_sets(options)


if __name__ == "__main__":
    main()
