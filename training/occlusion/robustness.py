#!/usr/bin/env python3
"""Compares exported networks on the validation split: as it is, degraded, with other heads, other skin, and drawn coverings.

    python3 robustness.py --cache FOLDER occlusion.onnx [OTHER.onnx ...]

`--cache` is what prepare.py left. The test split has no part in it: this is what networks are chosen by.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import compose
from augment import augment, plain
from evaluate import Model, auc
from faces import Faces


def views(faces):
    """Chips by view and label."""
    held = [faces.select("validation", folder) for folder in ("bare", "masked")]
    made = {}

    def add(view, label, picture, points):
        made.setdefault(view, ([], []))[label].append(plain(np.clip(picture, 0, 255).astype(np.uint8), points))

    for label, heads in ((0, held[1]), (1, held[0])):
        for i in held[label]:
            picture, points = faces.chips[i], faces.points[i]
            add("as it is", label, picture, points)
            for n in range(6):
                made.setdefault("degraded", ([], []))[label].append(augment(picture, points, np.random.default_rng((77, i, n))))
            for n in range(4):
                rng = np.random.default_rng((78, i, n))
                j = heads[rng.integers(len(heads))]
                add("other head", label, compose.other_head(picture, points, faces.chips[j], faces.points[j], rng, label == 1), points)
                add("other skin", label, compose.other_skin(picture, points, np.random.default_rng((79, i, n))), points)
    for n, i in enumerate(held[0] * 3):
        rng, picture, points = np.random.default_rng((80, n)), faces.chips[i], faces.points[i]
        add("drawn", 1, compose.cover(picture.astype(np.float32), compose.Face(picture, points, rng))[0], points)
        add("drawn", 0, compose.decorate(picture.astype(np.float32), compose.Face(picture, points, rng)), points)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("models", type=Path, nargs="+")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    made = views(Faces(options.cache))
    for path in options.models:
        model = Model(path)
        print(path)
        for view, chips in made.items():
            bare, covered = (np.clip([model(c) for c in part], 1e-6, 1 - 1e-6) for part in chips)
            loss = -(np.log(covered).mean() + np.log(1 - bare).mean()) / 2
            print("  %-10s recall %.3f of %d, false alarms %.3f of %d, AUC %.4f, loss %.3f" % (
                view, (covered >= 0.5).mean(), len(covered), (bare >= 0.5).mean(), len(bare), auc(bare, covered), loss))


if __name__ == "__main__":
    main()
