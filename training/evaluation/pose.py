#!/usr/bin/env python3
"""Head pose on real pictures: its distribution, and how far facegate and an independent second estimator agree.

    python3 pose.py --facegate FACEGATE --bare BARE [--points shape_predictor_68_face_landmarks.dat --mean-face meanshape_68.pkl]

The second estimator shares nothing with facegate: dlib's face detector and 68 landmarks (PyPI `dlib-bin`; the file lies in
the source package of PyPI `face_recognition_models==0.3.0`), and a similarity under weak perspective that fits the mean face
of PyPI `insightface==2.1` (`insightface/data/objects/meanshape_68.pkl`) to the 51 of them inside the face: those of the jaw
slide along its edge when a head turns. Neither estimator is the truth. Where zero lies differs by construction, so each
axis is compared after its median difference is taken out; that offset is printed.

Needs numpy and opencv-python-headless, with --points also dlib-bin.
"""

import argparse
import json
import pickle
import subprocess
from pathlib import Path

import cv2
import numpy as np

AXES = ("yaw", "pitch", "roll")
INSIDE = slice(17, 68)


def reported(facegate, paths):
    poses = []
    for start in range(0, len(paths), 200):
        command = [facegate, "analyze", "--details", "--profile", "lenient", "--set", "analysis.attributes.effort=fast",
                   *map(str, paths[start : start + 200])]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        poses += [json.loads(line).get("details") or {} for line in lines]
    return poses


def overlap(a, b):
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    shared = max(0, right - left) * max(0, bottom - top)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def fitted(face, seen):
    """The rotation of a weak perspective camera: the linear map with the least squares, made orthogonal."""
    rows = np.linalg.lstsq(face - face.mean(0), seen - seen.mean(0), rcond=None)[0].T
    right, down = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    away = np.cross(right, down)
    u, _, v = np.linalg.svd(np.stack([right, down, away / np.linalg.norm(away)]))
    return u @ v


def second(detector, predictor, face, picture, extent):
    """Yaw, pitch, roll with facegate's signs, or None when dlib does not find this face. `face` has x right, y down, z away."""
    border = max(picture.shape[:2]) // 4
    scale = max(1.0, 200 / max(extent["height"], 1))
    framed = cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    framed = cv2.cvtColor(cv2.resize(framed, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), cv2.COLOR_BGR2RGB)
    box = [(extent["left"] + border) * scale, (extent["top"] + border) * scale]
    box += [box[0] + extent["width"] * scale, box[1] + extent["height"] * scale]
    found = [(overlap(box, (r.left(), r.top(), r.right(), r.bottom())), r) for r in detector(framed, 0)]
    if not found or max(found, key=lambda f: f[0])[0] < 0.3:
        return None
    parts = predictor(framed, max(found, key=lambda f: f[0])[1]).parts()
    seen = np.array([(p.x, p.y) for p in parts], float)
    flip = np.diag([1.0, -1.0, -1.0])
    r = flip @ fitted(face[INSIDE], seen[INSIDE]) @ flip
    return np.degrees([np.arctan2(r[0, 2], r[2, 2]), np.arcsin(np.clip(r[1, 2], -1, 1)), -np.arctan2(r[1, 0], r[1, 1])])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--bare", type=Path, required=True)
    parser.add_argument("--points", help="dlib's 68 landmarks")
    parser.add_argument("--mean-face", type=Path, help="InsightFace's mean face of the same points")
    parser.add_argument("--every", type=int, default=3, help="compare every so many pictures")
    options = parser.parse_args()
    paths = sorted(p for p in options.bare.iterdir() if p.is_file())
    answers = reported(options.facegate, paths)
    poses = np.array([[a["pose"][axis] for axis in AXES] for a in answers if a.get("pose")])
    print(f"{len(poses)} of {len(paths)} pictures with a pose")
    for i, axis in enumerate(AXES):
        low, five, quarter, middle, three, ninety, high = np.percentile(poses[:, i], [0, 5, 25, 50, 75, 95, 100])
        print("%-6s median %5.1f, quartiles %5.1f and %5.1f, 5 to 95 %%: %5.1f to %5.1f, extremes %5.1f and %5.1f" % (
            axis, middle, quarter, three, five, ninety, low, high))
    frontal = poses[np.abs(poses[:, 0]) < 8]
    print("pitch of the %d with a yaw under 8 degrees: median %.1f" % (len(frontal), np.median(frontal[:, 1])))
    if not options.points:
        return
    import dlib

    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(options.points)
    # It has x right, y down, z to the camera.
    face = np.asarray(pickle.loads(options.mean_face.read_bytes()), float) * [1, 1, -1]
    pairs, tried = [], 0
    for path, answer in list(zip(paths, answers))[:: options.every]:
        if not answer.get("pose") or answer["image"]["uprightRotation"]:
            continue
        tried += 1
        other = second(detector, predictor, face, cv2.imread(str(path)), answer["faces"][0]["extent"])
        if other is not None:
            pairs.append(([answer["pose"][axis] for axis in AXES], other))
    pairs = np.array(pairs)
    difference = pairs[:, 0] - pairs[:, 1]
    offset = np.median(difference, 0)
    rng = np.random.default_rng(1)
    print(f"\nfacegate minus second estimator: one picture of {options.every}, found by both {len(pairs)} of {tried}")
    for i, axis in enumerate(AXES):
        rest = np.abs(difference[:, i] - offset[i])
        low, high = np.percentile(rest[rng.integers(0, len(rest), (2000, len(rest)))].mean(1), [2.5, 97.5])
        slope = np.polyfit(pairs[:, 1, i], pairs[:, 0, i], 1)[0]
        print("%-6s offset %5.1f, then mean absolute difference %.1f (95 %% interval %.1f to %.1f), median %.1f, 95 %%: %.1f; "
              "correlation %.2f, slope %.2f" % (axis, offset[i], rest.mean(), low, high, np.median(rest), np.percentile(rest, 95),
                                                np.corrcoef(pairs[:, 0, i], pairs[:, 1, i])[0, 1], slope))


if __name__ == "__main__":
    main()
