#!/usr/bin/env python3
"""Liveness scores of a given face box, computed without facegate's code: OpenCV crops and resizes, ONNX Runtime judges.

The networks are those of facegate's model folder; training/check_conversion.py compares them with their sources. The
expectations of the unit test `a_given_box_gives_the_reference_scores` in crates/face-analysis/src/liveness.rs were
printed by:

    python3 reference.py MODELS MODELS/pictures/astronaut.png 178.8 63.3 89.3 112.8

Needs numpy, opencv-python-headless and onnxruntime.
"""

import sys

import cv2
import numpy as np
import onnxruntime

JUDGES = (("liveness_v2.onnx", 2.7), ("liveness_v1se.onnx", 4.0))


def crop(picture, box, scale):
    """The box grown about its centre, at most to the picture, shifted inside where it would leave it."""
    height, width = picture.shape[:2]
    x, y, w, h = box
    scale = min((height - 1) / h, (width - 1) / w, scale)
    new_w, new_h = w * scale, h * scale
    left, top = x + w / 2 - new_w / 2, y + h / 2 - new_h / 2
    right, bottom = left + new_w, top + new_h
    if left < 0:
        left, right = 0, right - left
    if top < 0:
        top, bottom = 0, bottom - top
    if right > width - 1:
        left, right = left - (right - width + 1), width - 1
    if bottom > height - 1:
        top, bottom = top - (bottom - height + 1), height - 1
    return cv2.resize(picture[int(top) : int(bottom) + 1, int(left) : int(right) + 1], (80, 80))


def main():
    models, path, *box = sys.argv[1:]
    picture = cv2.imread(path)
    for name, scale in JUDGES:
        session = onnxruntime.InferenceSession(f"{models}/{name}")
        seen = crop(picture, [float(v) for v in box], scale).astype(np.float32).transpose(2, 0, 1)[None]
        print(name, np.round(session.run(None, {session.get_inputs()[0].name: seen})[0].ravel(), 4))


if __name__ == "__main__":
    main()
