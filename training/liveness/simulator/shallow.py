"""Asks what size, sharpness, noise, compression and colour alone tell about the drawn pairs: AUC of boosted trees and of a
logistic regression, cross-validated over groups of pictures. More than 0.6 means that the simulation gives itself away."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from attacks import KINDS
from draw import read


def statistics(picture):
    """Whole-picture statistics, without any place in them."""
    levels = picture.astype(np.float32)
    lab = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab).astype(np.float32)
    grey = lab[..., 0]
    values = []
    # Colour: mean and spread of each channel, quantiles of lightness, saturation.
    values += [*lab.mean((0, 1)), *lab.std((0, 1)), *np.percentile(grey, (1, 25, 50, 75, 99)), (levels.max(2) - levels.min(2)).mean()]
    # Sharpness: energy of three octaves.
    for sigma in (0.7, 1.4, 2.8):
        band = cv2.GaussianBlur(grey, (0, 0), sigma) - cv2.GaussianBlur(grey, (0, 0), 2 * sigma)
        values.append(np.log(band.var() + 1e-3))
    values.append(np.log(cv2.Laplacian(grey, cv2.CV_32F).var() + 1e-3))
    # Noise: Immerkaer's estimate, as mean and as median of magnitudes, in lightness and in chroma.
    kernel = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    for channel in range(3):
        response = np.abs(cv2.filter2D(lab[..., channel], -1, kernel))
        values += [response.mean(), np.median(response)]
    # Compression: bytes at two qualities; steps across a grid of 8 pixels in any phase against elsewhere (medians over the
    # lines of a phase: one long edge, of a sheet or a bezel, is no grid).
    values += [len(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, q])[1]) for q in (50, 90)]
    for axis in (0, 1):
        step = np.abs(np.diff(grey, axis=axis)).mean(1 - axis)
        phases = np.array([np.median(step[p::8]) for p in range(8)])
        values.append(phases.max() / (phases.mean() + 1e-3))
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of draw.py")
    parser.add_argument("--seed", type=int, default=3, help="seed of draw.py")
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--most", type=float, default=0.6, help="exit with 1 above this AUC")
    options = parser.parse_args()
    pictures, kinds, _, groups = (a[: options.pairs] for a in read(options.cache, options.seed))
    values = np.array([statistics(p) for both in pictures for p in both])
    live = np.tile([1, 0], len(pictures))
    groups, kinds = np.repeat(groups, 2), np.repeat(kinds, 2)
    folds = GroupKFold(5)
    worst = 0
    for name, model in (("boosted trees", HistGradientBoostingClassifier(max_iter=150, learning_rate=0.05, max_leaf_nodes=8, random_state=1)),
                        ("logistic regression", make_pipeline(QuantileTransformer(n_quantiles=100, output_distribution="normal"), LogisticRegression(C=0.1)))):
        scores = cross_val_predict(model, values, live, groups=groups, cv=folds, method="predict_proba")[:, 1]
        each = " ".join(f"{k} {roc_auc_score(live[kinds == i], scores[kinds == i]):.3f}" for i, k in enumerate(KINDS))
        total = roc_auc_score(live, scores)
        worst = max(worst, total)
        print(f"{name}: AUC {total:.3f} ({each}), {len(pictures)} pairs, {values.shape[1]} statistics")
    raise SystemExit(worst > options.most)


if __name__ == "__main__":
    main()
