#!/usr/bin/env python3
"""Finds the faces, aligns them, removes near-duplicates and splits by group. Writes faces.npz and faces.csv.

    python3 prepare.py --data FOLDER --detector face_detection_yunet_2023mar.onnx --cache FOLDER
"""

import argparse
import csv
import json
import re
import zlib
from pathlib import Path

import cv2
import numpy as np

from geometry import CACHE, CACHE_POINTS, CACHE_SCALE, Detector, points, similarity, warp

SIDES = (320, 640)
SCORES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def pick(detector, picture):
    """The main face: the best by score times the root of its area at 320, at 640 when 320 shows none."""
    best = {}
    main = None
    for side in SIDES:
        faces = detector(picture, side)
        best[side] = float(faces[0, 14]) if len(faces) else 0.0
        strong = faces[faces[:, 14] >= 0.3]
        if main is None and len(strong):
            main = max(strong, key=lambda f: f[14] * np.sqrt(max(f[2] * f[3], 1)))
    return main, best


# Turned, shifted and resized copies move the detector's points a little, so one side of each comparison also tries these:
# degrees, scale, shift right and down in chip pixels.
WIGGLES = ((0, 1, 0, 0), (-5, 1, 0, 0), (5, 1, 0, 0), (0, 0.93, 0, 0), (0, 1.07, 0, 0), (0, 1, -3, 0), (0, 1, 3, 0),
           (0, 1, 0, -3), (0, 1, 0, 3))


def signature(chip, wiggle=WIGGLES[0]):
    """A small, brightness-free picture of an aligned face; turned, resized and recoloured copies give the same one."""
    degrees, scale, right, down = wiggle
    middle = (CACHE / 2 - 0.5, CACHE / 2 - 0.5)
    matrix = cv2.getRotationMatrix2D(middle, degrees, scale) + [[0, 0, right * CACHE_SCALE], [0, 0, down * CACHE_SCALE]]
    core = cv2.warpAffine(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), matrix, (CACHE, CACHE), borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(core[40:-40, 40:-40], (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= cv2.GaussianBlur(small, (0, 0), 8)
    return ((small - small.mean()) / (small.std() + 1e-3)).ravel() / 24


def overview(picture):
    """The same of the whole picture: finds copies on which the detector chose another face."""
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    return ((small - small.mean()) / (small.std() + 1e-3)).ravel() / 24


def family(label, name):
    """Pictures whose names say they show one person, or None: `0_0_anhu_0020.jpg` is a picture of anhu. A date is a series."""
    match = re.match(r"\d_0_([a-z]+)_\d+\.", name) or re.match(r"(\d{4}-\d\d-\d\d)-", name)
    return f"{label}/{match.group(1)}" if match and label == "bare" else None


def keypoints(orb, picture):
    """Corners of the whole picture at one size, for recognising sheared and stretched copies."""
    scale = 240 / max(picture.shape[:2])
    grey = cv2.cvtColor(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    at, what = orb.detectAndCompute(grey, None)
    return np.array([k.pt for k in at], np.float32), what


def matches(a, b):
    """How many corners of two pictures agree with one affine map."""
    if a[1] is None or b[1] is None:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(a[1], b[1])
    pairs = [m for m in pairs if m.distance < 50]
    if len(pairs) < 20:
        return 0
    cv2.setRNGSeed(1)
    inside = cv2.estimateAffine2D(a[0][[m.queryIdx for m in pairs]], b[0][[m.trainIdx for m in pairs]], ransacReprojThreshold=4)[1]
    return 0 if inside is None else int(inside.sum())


class Groups:
    def __init__(self, n):
        self.up = list(range(n))

    def root(self, i):
        while self.up[i] != i:
            self.up[i] = self.up[self.up[i]]
            i = self.up[i]
        return i

    def join(self, i, j):
        a, b = self.root(i), self.root(j)
        self.up[max(a, b)] = min(a, b)


def similar(sigs, others):
    """Correlations of everything with everything, the best of all variants; symmetric."""
    best = np.max([sigs @ other.T for other in others], 0)
    return np.maximum(best, best.T)


def verdicts(path):
    """What was seen by eye and contradicts the folder: (folder, name) to `occluded` or `skip`, and why."""
    with open(path, newline="") as file:
        return {(row["folder"], row["name"]): (row["verdict"], row["reason"]) for row in csv.DictReader(file)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--same", type=float, default=0.90, help="correlation above which a picture is a copy and dropped")
    parser.add_argument("--related", type=float, default=0.84, help="correlation above which two share a side of the split")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)

    detector = Detector(args.detector)
    seen = verdicts(Path(__file__).parent / "labels.csv")
    orb = cv2.ORB_create(300, fastThreshold=10)
    rows, chips, views, view_flips, corners = [], [], [], [], []
    found = {}
    for label in ("bare", "masked"):
        scores = {side: [] for side in SIDES}
        for path in sorted((args.data / label).iterdir()):
            picture = cv2.imread(str(path))
            if picture is None:
                print(f"unreadable: {path.name}")
                continue
            face, best = pick(detector, picture)
            for side in SIDES:
                scores[side].append(best[side])
            if face is None:
                continue
            chip = warp(picture, similarity(points(face), CACHE_POINTS), CACHE)
            verdict = seen.get((label, path.name), ("occluded" if label == "masked" else "bare", ""))[0]
            rows.append({"label": label, "name": path.name, "verdict": verdict, "score": round(float(face[14]), 4),
                         "face": round(float(np.sqrt(max(face[2] * face[3], 0))), 1),
                         "points": " ".join(f"{v:.2f}" for v in face[4:14]), "person": family(label, path.name) or ""})
            chips.append(chip)
            # Of the tight crops (the named persons and the `0_0_...` masks) there are no augmented copies.
            loose = not re.match(r"\d_0_", path.name)
            corners.append((keypoints(orb, picture), keypoints(orb, picture[:, ::-1])) if loose else None)
            views.append(overview(picture))
            view_flips.append(overview(picture[:, ::-1]))
        n = len(scores[SIDES[0]])
        found[label] = {"pictures": n}
        for side in SIDES:
            s = np.array(scores[side])
            found[label][f"long side {side}"] = {str(t): round(float((s >= t).mean()), 4) for t in SCORES}
        s = np.max([scores[side] for side in SIDES], 0)
        found[label]["either"] = {str(t): round(float((s >= t).mean()), 4) for t in SCORES}

    # Copies are looked for across both labels: a bare face and the same picture with a mask painted on belong together.
    # Whole pictures agree more easily (white backgrounds), so they must agree better.
    straight = np.array([signature(c) for c in chips])
    variants = [np.array([signature(c[:, ::f], w) for c in chips]) for w in WIGGLES for f in (1, -1)]
    faces_alike = similar(straight, variants)
    views_alike = similar(np.array(views), [np.array(views), np.array(view_flips)])
    same = (faces_alike >= args.same) | (views_alike >= 0.97)
    related = (faces_alike >= args.related) | (views_alike >= 0.93)
    warped = 0
    for i, j in zip(*np.where(np.triu((faces_alike >= 0.4) & ~related, 1))):
        if corners[i] and corners[j] and rows[i]["label"] == rows[j]["label"]:
            if max(matches(corners[i][0], corners[j][0]), matches(corners[i][1], corners[j][0])) >= 25:
                related[i, j] = True
                warped += 1
    print("pairs found by their corners alone:", warped)
    groups = Groups(len(rows))
    for i, j in zip(*np.where(np.triu(related, 1))):
        groups.join(int(i), int(j))
    first = {}
    for i, row in enumerate(rows):
        if row["person"]:
            groups.join(i, first.setdefault(row["person"], i))

    dropped = np.zeros(len(rows), bool)
    for i, j in sorted(zip(*map(np.ndarray.tolist, np.where(np.triu(same, 1))))):
        if not dropped[i] and not dropped[j]:
            # The larger face is the original.
            dropped[j if rows[i]["face"] >= rows[j]["face"] else i] = True

    for i, row in enumerate(rows):
        row["group"] = groups.root(i)
        row["copy"] = int(dropped[i])

    # Groups in the order of a hash of their first name, so that the split is the same on every run and machine: test until
    # 20 % of the pictures of that label are in it, validation until 10 %, the rest trains. Groups too large to be left to
    # chance (one person with a tenth of the pictures) train.
    members = {}
    for row in rows:
        members.setdefault(row["group"], []).append(row)
    for label in ("bare", "masked"):
        mine = {g: m for g, m in members.items() if m[0]["label"] == label}
        total = sum(not r["copy"] for m in mine.values() for r in m)
        taken = {"test": 0, "validation": 0}
        for g in sorted(mine, key=lambda g: zlib.crc32(f"split/{members[g][0]['name']}".encode())):
            n = sum(not r["copy"] for r in mine[g])
            side = "train"
            if n <= 25:
                side = next((s for s, share in (("test", 0.2), ("validation", 0.1)) if taken[s] + n <= share * total), "train")
            if side != "train":
                taken[side] += n
            for row in mine[g]:
                row["split"] = side
    size = {g: sum(not r["copy"] for r in m) for g, m in members.items()}

    with open(args.cache / "faces.csv", "w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    np.savez(args.cache / "faces.npz", chips=np.array(chips), alike=faces_alike.astype(np.float16))
    (args.cache / "detector.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))
    for label in ("bare", "masked"):
        mine = [r for r in rows if r["label"] == label]
        kept = [r for r in mine if not r["copy"]]
        print(label, "faces", len(mine), "copies dropped", len(mine) - len(kept), "groups", len({r["group"] for r in kept}),
              {s: sum(r["split"] == s for r in kept) for s in ("train", "validation", "test")},
              "largest groups", sorted(size.values())[-5:])


if __name__ == "__main__":
    main()
