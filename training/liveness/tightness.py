#!/usr/bin/env python3
"""How the passive liveness score of one picture moves as it is cropped ever tighter round the face.

Surrounding is what facegate reports: the smaller of picture width / box width and picture height / box height. A picture
is cut to s times the box along both axes, s from 4 (or what the picture offers) down to 1.0, with the face in the middle
where the picture allows and moved inside where it does not, as the networks' own crops are. The pictures are T1, F1, F2,
the portrait of the model folder (2x) and those of the bare folder with the largest surrounding that show one face; they
count as live although nobody saw them taken. Nothing is enlarged. `--wide` names a folder (data/masks/masked) for a second
group: the pictures with a surrounding of at least 3.5 and a face of at least 40 px, which offer the larger network's crop
or nearly so, but show masks and often small faces; of them only the change counts.

`--recaptured FOLDER` (what recapture.py left in its scratch folder) adds the order of originals and SIMULATED recaptures.

    python3 tightness.py --facegate FACEGATE --bare BARE --samples SAMPLES --work SCRATCH [--wide FOLDER] [--plot PLOT.svg]

The plot needs matplotlib.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from common import analyze, arguments, bootstrap, liveness, named, percent, save, scan, score, surrounding

STEPS = (4.0, 3.5, 3.0, 2.7, 2.5, 2.3, 2.1, 2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0)
MOVED = 0.1


def cut(picture, extent, s):
    """The window of s times the box, or None when the picture is too small for it."""
    height, width = picture.shape[:2]
    w, h = extent["width"] * s, extent["height"] * s
    if w > width + 1 or h > height + 1:
        return None
    left = np.clip(extent["left"] + extent["width"] / 2 - w / 2, 0, max(width - w, 0))
    top = np.clip(extent["top"] + extent["height"] / 2 - h / 2, 0, max(height - h, 0))
    return picture[int(round(top)) : int(round(top + h)), int(round(left)) : int(round(left + w))]


def curves(options, pictures, label):
    """The answer for each whole picture; score and reported surrounding for each picture and step."""
    folder = options.work / "tightness" / label
    whole = [save(folder / f"{i:03}-whole.png", p) for i, p in enumerate(pictures.values())]
    first = dict(zip(pictures, analyze(options.facegate, whole)))
    files = {}
    for i, (name, picture) in enumerate(pictures.items()):
        if not liveness(first[name]):
            continue
        for s in STEPS:
            window = cut(picture, first[name]["details"]["faces"][0]["extent"], s)
            if window is not None:
                files[name, s] = save(folder / f"{i:03}-{s}.png", window)
    answers = dict(zip(files, analyze(options.facegate, list(files.values()))))
    return first, {key: score(a) for key, a in answers.items()}, {key: surrounding(a) for key, a in answers.items()}


def order(live, spoof):
    """Share of pairs in which the live picture scores higher (AUC), ties half."""
    live, spoof = np.asarray(live)[:, None], np.asarray(spoof)[None]
    return float(((live > spoof) + 0.5 * (live == spoof)).mean())


def known(curve, name):
    """The steps at which the face was found."""
    return [s for s in STEPS if np.isfinite(curve.get((name, s), np.nan))]


def table(names, spoofs, curve, reported):
    print("\n%d pictures; change = against the widest cut of the same picture" % len(names))
    print("cut    n   reported   mean |change| (95 % interval)        over 0.1   crossed 0.5   mean live   live above spoof")
    for s in STEPS:
        have = [n for n in names if s in known(curve, n)]
        later = [n for n in have if s < max(known(curve, n))]
        if not have:
            continue
        line = "%.1f  %3d   %.2f" % (s, len(have), np.median([reported[n, s] for n in have]))
        if later:
            widest = {n: curve[n, max(known(curve, n))] for n in later}
            moves = np.array([abs(curve[n, s] - widest[n]) for n in later])
            crossed = np.mean([(curve[n, s] >= 0.5) != (widest[n] >= 0.5) for n in later])
            line += "       %.3f (%.3f to %.3f, n %3d)   %8.0f %%   %9.0f %%" % (
                *bootstrap(moves), len(later), 100 * (moves > MOVED).mean(), 100 * crossed)
        else:
            line += " " * 61
        live = [curve[n, s] for n in have if n not in spoofs]
        fake = [curve[n, s] for n in have if n in spoofs]
        line += "       %.3f" % np.mean(live)
        line += "       %.2f (%d spoof)" % (order(live, fake), len(fake)) if fake else ""
        print(line)


def plot(path, curve, names, spoofs):
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams.update({"svg.hashsalt": "facegate", "font.size": 9, "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    others = [n for n in names if n not in ("T1", "astronaut 2x", *spoofs)]
    for name in others:
        line = [(s, curve[name, s]) for s in known(curve, name)]
        left.plot(*zip(*line), color="#b5b5b5", linewidth=0.6)
    for name, colour in (("T1", "#1f6f3f"), ("astronaut 2x", "#3b7dd8"), ("F1", "#c0392b"), ("F2", "#e08a1e")):
        line = [(s, curve[name, s]) for s in known(curve, name)]
        left.plot(*zip(*line), color=colour, marker="o", markersize=3, linewidth=1.6,
                  label=f"{name} ({'spoof' if name in spoofs else 'live'})")
    left.plot([], [], color="#b5b5b5", label=f"{len(others)} bare pictures")
    left.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
    left.set(xlabel="surrounding", ylabel="passive liveness score", ylim=(-0.02, 1.02))
    left.legend(fontsize=7, loc="center left")
    moves = {s: [abs(curve[n, s] - curve[n, max(known(curve, n))]) for n in names if s in known(curve, n)[1:]] for s in STEPS}
    steps = [s for s in STEPS if len(moves[s]) >= 5]
    means = [bootstrap(moves[s]) for s in steps]
    right.plot(steps, [m[0] for m in means], color="#3b7dd8", marker="o", markersize=3)
    right.fill_between(steps, [m[1] for m in means], [m[2] for m in means], color="#3b7dd8", alpha=0.2, linewidth=0)
    right.axhline(MOVED, color="black", linewidth=0.6, linestyle=":")
    right.set(xlabel="surrounding", ylabel="mean change against full surrounding", ylim=(0, None))
    for axis in (left, right):
        axis.invert_xaxis()
        axis.axvline(1.3, color="#888888", linewidth=0.8, linestyle="--")
        axis.spines[["top", "right"]].set_visible(False)
    right.text(1.29, right.get_ylim()[1] * 0.02, "limit 1.3", fontsize=7, color="#555555", rotation=90, va="bottom")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments(parser)
    parser.add_argument("--pictures", type=int, default=30, help="how many of the bare folder")
    parser.add_argument("--wide", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--recaptured", type=Path)
    options = parser.parse_args()
    offered = [(surrounding(a), path) for path, a in scan(options, 1) if len(a["details"]["faces"]) == 1]
    offered = sorted((o for o in offered if np.isfinite(o[0])), reverse=True)[: options.pictures]
    pictures = named(options) | {path.name: cv2.imread(str(path)) for _, path in offered}
    first, curve, reported = curves(options, pictures, "originals")
    names = [n for n in pictures if any((n, s) in curve for s in STEPS)]
    spoofs = ("F1", "F2")
    print("surrounding of the bare pictures: %.2f to %.2f, median %.2f" % (
        offered[-1][0], offered[0][0], np.median([o[0] for o in offered])))
    print("\nsurrounding        whole " + " ".join("%5.1f" % s for s in STEPS))
    for name in names[:4]:
        print("%-14s %.2f %.3f " % (name, surrounding(first[name]), score(first[name]))
              + " ".join("%5.3f" % curve.get((name, s), np.nan) for s in STEPS))
    table(names, spoofs, curve, reported)
    if options.wide:
        wide = [p for p, a in scan(options, 1, options.wide) if surrounding(a) >= 3.5 and len(a["details"]["faces"]) == 1
                and min(a["details"]["faces"][0]["extent"][side] for side in ("width", "height")) >= 40]
        _, moved, told = curves(options, {p.name: cv2.imread(str(p)) for p in wide}, "wide")
        print("\nThe second group (--wide)")
        table(sorted({n for n, _ in moved}), (), moved, told)
    by_surrounding(options)
    if options.recaptured:
        simulated(options)
    if options.plot:
        plot(options.plot, curve, names, spoofs)


def by_surrounding(options):
    """Scores of the whole bare folder; a hint only, since nobody saw these pictures taken."""
    answers = [a for _, a in scan(options, 3) if liveness(a)]
    print("\nwhole bare folder, copies left out: surrounding, mean score, share of 0.5 and more")
    for low, high in ((0, 1.1), (1.1, 1.3), (1.3, 1.5), (1.5, 1.6), (1.6, 2.0), (2.0, 2.7), (2.7, 99)):
        scores = np.array([score(a) for a in answers if low <= surrounding(a) < high])
        print("%4.1f to %4.1f   %.3f   %s" % (low, high, scores.mean(), percent(int((scores >= 0.5).sum()), len(scores))))


def simulated(options):
    """The order of originals and simulated recaptures when both are cut alike."""
    listing = json.loads((options.recaptured / "recaptures.json").read_text())
    originals = {r["original"]: cv2.imread(r["original_file"]) for r in listing}
    _, live, _ = curves(options, originals, "recapture-originals")
    print("\nSIMULATED recaptures against their originals, both cut alike: AUC over all pairs (n originals, n recaptures)")
    print("%-22s" % "species" + " ".join("%5.1f" % s for s in STEPS))
    for species in sorted({r["species"] for r in listing}):
        fakes = {r["file"]: cv2.imread(r["file"]) for r in listing if r["species"] == species}
        _, fake, _ = curves(options, fakes, "recapture-" + species.replace(" ", "-"))
        cells = []
        for s in STEPS:
            a = [v for (n, t), v in live.items() if t == s and np.isfinite(v)]
            b = [v for (n, t), v in fake.items() if t == s and np.isfinite(v)]
            cells.append("%5.2f" % order(a, b) if min(len(a), len(b)) >= 5 else "    -")
        print("%-22s" % species + " ".join(cells))


if __name__ == "__main__":
    main()
