"""The networks' pair with and without the head on real pictures that nothing was fitted on: attacks-dev by kind, and the live sets.

Ranking: area under the curve of the attacks of attacks-dev against its own live frames and against each live set, and APCER where
5 % of its own live frames are refused; intervals by bootstrap over series. A program of its own, with OpenCV's crops: what the
service answers, `facegate evaluate` says.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from head import SIDE, network
from sources import Detector

NETWORKS = (("liveness_v2.onnx", 2.7), ("liveness_v1se.onnx", 4.0))
# The moved boxes of crates/face-analysis/src/liveness.rs.
BOXES = ((1.0, 0.0), (1.04, 0.03), (0.96, -0.03))
# Pictures of a live set, at even distances in the order of names; faces as wide and with as much around them as the head needs.
MOST, NARROWEST, TIGHTEST = 350, 80, 1.5
LIVE = (("live-hagrid", "img"), ("live-hagrid-full", "img"), ("age-uk-parliament", "img"), ("masks", "bare"))
KINDS = ("paper_mask", "print", "replay")


def crop(picture, box, scale):
    high, wide = picture.shape[:2]
    scale = min(scale, wide / box[2], high / box[3])
    w, h = box[2] * scale, box[3] * scale
    x, y = np.clip(box[0] + box[2] / 2 - w / 2, 0, wide - w), np.clip(box[1] + box[3] / 2 - h / 2, 0, high - h)
    part = picture[int(y):max(int(round(y + h)), int(y) + 1), int(x):max(int(round(x + w)), int(x) + 1)]
    larger = min(part.shape[:2]) >= SIDE
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA if larger else cv2.INTER_LINEAR)


class Judge:
    def __init__(self, models, weights):
        self.detector = Detector(models / "detector.onnx")
        self.networks = [(*network(models / name), scale) for name, scale in NETWORKS]
        self.weights = np.fromfile(weights, "<f4")

    def scores(self, path):
        """Pair and fused log-odds, width of the face, surrounding; or None without a face."""
        picture = cv2.imread(str(path))
        found = self.detector.face(picture) if picture is not None else None
        if found is None or found[0] < 0.6:
            return None
        box = np.maximum(found[1], [-1e9, -1e9, 1, 1])
        pair, seen = [], []
        for session, name, scale in self.networks:
            for grow, shift in BOXES:
                moved = np.r_[box[:2] + box[2:] * (1 - grow) / 2 + box[2:] * shift, box[2:] * grow]
                batch = crop(picture, moved, scale).astype(np.float32).transpose(2, 0, 1)[None]
                p, features = session.run(["probabilities", name], {"input": batch})
                live = float(np.clip(p[0, 1], 1e-9, 1 - 1e-7))
                pair.append(np.log(live / (1 - live)))
                if scale == NETWORKS[0][1]:
                    seen.append(features.ravel())
        surrounding = min(picture.shape[1] / box[2], picture.shape[0] / box[3])
        pair, head = np.mean(pair), np.mean(seen, 0) @ self.weights[:-1] + self.weights[-1]
        share = np.clip((surrounding - 1.2) / 0.5, 0, 1)
        return pair, pair + share * (np.clip(pair, -4, 4) + 3 * head - pair), box[2], surrounding


def rank(live, attack):
    return roc_auc_score(np.r_[np.ones(len(live)), np.zeros(len(attack))], np.r_[live, attack])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="what head.py wrote")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    judge, rng = Judge(options.models, options.weights), np.random.default_rng(1)
    rows = list(csv.DictReader((options.data / "attacks-dev/labels.csv").open()))
    judged = [(r["liveness"], r["series"], judge.scores(options.data / "attacks-dev" / r["path"])) for r in rows]
    judged = [j for j in judged if j[2] is not None]
    kinds, series, scores = (np.array([j[0] for j in judged]), np.array([j[1] for j in judged]), np.array([j[2][:2] for j in judged]))

    def figures(pick):
        """For pair and fused: AUC and APCER at BPCER 5 % of each kind."""
        k, s = kinds[pick], scores[pick]
        out = []
        for column in range(2):
            live = s[k == "live", column]
            level = np.quantile(live, 0.05)
            out.append([(rank(live, s[k == a, column]), (s[k == a, column] > level).mean()) for a in KINDS])
        return np.array(out)

    names = np.unique(series)
    members = {n: np.flatnonzero(series == n) for n in names}
    draws = []
    while len(draws) < 1000:
        pick = np.concatenate([members[n] for n in rng.choice(names, len(names))])
        if set(kinds[pick]) == set(kinds):
            draws.append(figures(pick))
    middle, draws = figures(np.arange(len(kinds))), np.array(draws)
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    gain_low, gain_high = np.percentile(draws[:, 1] - draws[:, 0], (2.5, 97.5), axis=0)
    for i, kind in enumerate(KINDS):
        for column, name in enumerate(("pair", "with the head")):
            print("%-10s %-13s AUC %.3f (%.3f to %.3f), APCER at BPCER 5 %%: %.1f %% (%.1f to %.1f)" % (
                kind, name, middle[column, i, 0], low[column, i, 0], high[column, i, 0],
                *(100 * v for v in (middle[column, i, 1], low[column, i, 1], high[column, i, 1]))))
        print("%-10s gain in AUC %+.3f (%+.3f to %+.3f)" % (kind, middle[1, i, 0] - middle[0, i, 0], gain_low[i, 0], gain_high[i, 0]))
    for name, folder in LIVE:
        paths = sorted(p for p in (options.data / name / folder).iterdir() if p.is_file())
        found = [judge.scores(p) for p in paths[:: max(1, len(paths) // MOST)]]
        found = np.array([f for f in found if f and f[2] >= NARROWEST and f[3] >= TIGHTEST])
        ranks = [[rank(found[:, c], scores[kinds == a, c]) for a in KINDS] for c in range(2)]
        print("%-18s %4d live: AUC of them against paper masks, prints, replays: pair %s, with the head %s" % (
            name, len(found), *(" ".join("%.3f" % v for v in r) for r in ranks)))


if __name__ == "__main__":
    main()
