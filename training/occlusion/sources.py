#!/usr/bin/env python3
"""Faces of people with their surroundings, beside the masks set: where they are, whose they are, on which side of the split.

    python3 sources.py --data FOLDER --detector face_detection_yunet_2023mar.onnx --cache FOLDER

`--data` holds live-hagrid, fairface-200, age-uk-parliament and age-us-congress. Writes others.npz and others.csv.
"""

import argparse
import csv
import zlib
from pathlib import Path

import cv2
import numpy as np

from geometry import CACHE, CACHE_POINTS, Detector, points, similarity, warp

# Which column tells who is shown (or what is a near copy of what), and how many percent train and validate; the rest tests.
# The congress never trains: it stands for the source that was not thought of.
SETS = {"live-hagrid": ("group", 70, 10), "fairface-200": ("path", 70, 10), "age-uk-parliament": ("person", 45, 10),
        "age-us-congress": ("person", 0, 0)}


def side(name, train, validate):
    """The side of the split, from a hash of who is shown."""
    place = zlib.crc32(f"occlusion/{name}".encode()) % 100
    return "train" if place < train else "validation" if place < train + validate else "test"


def main_face(detector, picture, row):
    """The detection that is the labelled face (live-hagrid's are small and labelled), or the main one."""
    if "face_x" in row:
        if not row["face_x"]:
            return None
        x, y, w, h = (float(row[k]) for k in ("face_x", "face_y", "face_w", "face_h"))
        left, top = max(0, int(x - w)), max(0, int(y - h))
        part = picture[top:int(y + 2 * h), left:int(x + 2 * w)]
        faces = detector(part, 320, 0.0)
        middle = np.array([x + w / 2 - left, y + h / 2 - top])
        near = [f for f in faces if f[14] >= 0.5 and np.abs(f[:2] + f[2:4] / 2 - middle).max() < 0.4 * max(w, h)]
        if not near:
            return None
        face = near[0].copy()
        face[[0, 4, 6, 8, 10, 12]] += left
        face[[1, 5, 7, 9, 11, 13]] += top
        return face
    faces = [f for f in detector(picture) if f[14] >= 0.5]
    return max(faces, key=lambda f: f[14] * np.sqrt(max(f[2] * f[3], 1))) if faces else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    detector = Detector(args.detector)
    rows, chips = [], []
    for name, (who, train, validate) in SETS.items():
        found = 0
        with open(args.data / name / "labels.csv", newline="") as file:
            labelled = list(csv.DictReader(file))
        for row in labelled:
            picture = cv2.imread(str(args.data / name / row["path"]))
            face = main_face(detector, picture, row)
            if face is None:
                continue
            found += 1
            key = row[who] or row["path"]
            rows.append({"set": name, "path": row["path"], "kind": row.get("gesture", "portrait"), "person": key,
                         "split": side(f"{name}/{key}", train, validate), "score": round(float(face[14]), 4),
                         "points": " ".join(f"{v:.2f}" for v in face[4:14])})
            chips.append(warp(picture, similarity(points(face), CACHE_POINTS), CACHE))
        print(name, "faces in", found, "of", len(labelled), flush=True)
    with open(args.cache / "others.csv", "w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    np.savez(args.cache / "others.npz", chips=np.array(chips))


if __name__ == "__main__":
    main()
