#!/usr/bin/env python3
"""Fits the face's box and five points to its dense landmarks, and writes crates/face-analysis/src/face_box/table.rs.

    python3 fit.py --facegate FACEGATE --reference REFERENCE --data DATA --work SCRATCH [--table FILE]

The meaning of the box is that of the detector's own: REFERENCE is facegate built from 36a085d, whose box is YuNet's in a
second, closer look. FACEGATE is the present program, whose landmarks are to give the same. DATA holds live-hagrid,
age-uk-parliament, age-us-congress and masks (docs of the development checkout); each is split in halves by person or
group of near copies, and the same again mirrored is fitted on. Pictures whose face reaches the border are left out, and those
whose landmark confidence is under 0.9. A third of them is compressed anew, as JPEG of four qualities. SCRATCH keeps these copies and what
both programs answered. Nothing is random.

The edges are a linear map of 115 landmarks and of their spread, through the principal components of faces: what single landmarks do
on their own has no say. What moves the edges when a picture is compressed anew is an error, too; every copied picture counts the same there.
The points are a map of fewer landmarks, chosen one pair after the other.

Reported on the half that was not fitted on: how far each edge lies from the reference, as a share of the box's longer
side, median over pictures; and how far the edges of the copies scatter, with both programs.
"""

import argparse
import csv
import hashlib
import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SETS = ("live-hagrid", "age-uk-parliament", "age-us-congress", "masks/bare")
EVERY = {"live-hagrid": 2, "age-uk-parliament": 2, "age-us-congress": 1, "masks/bare": 1}
# Midline and pairs to begin with: forehead, chin, tip of the nose, outer corners of the eyes, cheeks.
FIRST = (10, 152, 1, 33, 234)
ANCHORS = 24  # pairs and points of the midline
# Keeps the weights small, so that the box is steadier than single landmarks: 1e-6 fits no better and jitters twice as much.
RIDGE = 1e-3
# Every fourth pair of the mesh and point of its midline take part in the edges, through this many principal components.
EDGE_STEP, COMPONENTS, EDGE_RIDGE = 4, 90, 1e-4
# How much the squares of what moves between copies count beside the distances from the reference. Chosen, with COMPONENTS, among 0 to 20
# (and 45, 60, 90) on two halves of the fitted half: up to 10 the edges lie as near to the reference as without (1.34 instead of 1.40 %) and scatter
# less and less (0.12 instead of 0.19 %); with fewer components they are as steady and lie a little further (1.36 %).
STEADINESS = 10
QUALITIES = (90, 80, 70, 60)
COPIED = 3  # one picture in so many
RULES = ("max_second_face", "min_interpupillary_distance", "min_face_side", "min_face_area", "max_outside", "min_surrounding",
         "min_opposite_margins", "min_margin", "max_yaw", "max_pitch", "max_occlusion")


def members(data, name):
    """Paths with the person, or the group of near copies, that each belongs to."""
    if name == "masks/bare":
        paths = sorted(p for p in (data / name).iterdir() if p.is_file())
        return [(p, "_".join(p.stem.split("_")[:-1]) or p.stem) for p in paths]
    with open(data / name / "labels.csv", newline="") as file:
        return [(data / name / row["path"], row.get("group") or row.get("person")) for row in csv.DictReader(file)]


def drawn(text, parts):
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % parts


def chosen(data, name):
    """Those of the members that are looked at."""
    return [(path, group) for path, group in members(data, name) if drawn(group, EVERY[name]) == 0]


def is_held_out(group):
    return drawn("half" + group, 2) == 1


def held_out(data, name):
    """The pictures of the half that is not fitted on."""
    return [path for path, group in chosen(data, name) if is_held_out(group)]


def compared(text):
    """The options of a script that compares programs, which become a dictionary."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("programs", nargs="+", metavar="NAME=FACEGATE")
    options = parser.parse_args()
    options.programs = dict(entry.split("=", 1) for entry in options.programs)
    return options


def answers(program, paths, cache):
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    found = []
    for start in range(0, len(paths), 100):
        options = [part for rule in RULES for part in ("--set", f"analysis.rules.{rule}.action=off")]
        command = [program, "analyze", "--details", *options, *map(str, paths[start : start + 100])]
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
            details = json.loads(line).get("details") or {}
            keep = {}
            if details.get("landmarks"):
                face = details["faces"][0]
                e = face["extent"]
                keep = {"box": [e["left"], e["top"], e["left"] + e["width"], e["top"] + e["height"]], "points": face["keypoints"],
                        "landmarks": np.array(details["landmarks"], np.float32)[:, :2], "confidence": details["landmarkConfidence"],
                        "turned": details["image"]["uprightRotation"], "size": [details["image"][k] for k in ("width", "height")]}
            found.append(keep)
    cache.write_bytes(pickle.dumps(found))
    return found


def recompressed(path, folder):
    """Copies of the picture in the other qualities."""
    made = [folder / f"{path.stem}-{drawn(str(path), 1 << 32):08x}-{quality}.jpg" for quality in QUALITIES]
    if not all(copy.exists() for copy in made):
        picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        for copy, quality in zip(made, QUALITIES):
            picture.save(copy, quality=quality)
    return made


def in_groups(found, usable):
    """What a program answered on the copies of each picture; `None` where one of them is not usable."""
    groups = [found[n : n + len(QUALITIES)] for n in range(0, len(found), len(QUALITIES))]
    return [group if all(map(usable, group)) else None for group in groups]


class Pictures:
    """What both programs see in the pictures that can be compared, and in the copies of some of them (by their place among them)."""

    def __init__(self, options):
        landmarks, boxes, points, sets, test = [], [], [], [], []
        self.copies, self.reference_copies = {}, {}
        folder = options.work / "copies"
        folder.mkdir(exist_ok=True)
        sure = lambda a: a and not a["turned"] and a["confidence"] >= 0.9
        for name in SETS:
            pictures = chosen(options.data, name)
            paths = [p for p, _ in pictures]
            copied = [p for p in paths if drawn("copied" + p.name, COPIED) == 0]
            copies = [copy for p in copied for copy in recompressed(p, folder)]
            stem = name.replace("/", "-")
            ours, theirs = ((answers(program, paths, options.work / f"{which}-{stem}.pickle"),
                             dict(zip(copied, in_groups(answers(program, copies, options.work / f"{which}-copies-{stem}.pickle"), sure), strict=True)))
                            for which, program in (("present", options.facegate), ("reference", options.reference)))
            for (path, group), a, b in zip(pictures, ours[0], theirs[0], strict=True):
                if not sure(a) or not sure(b):
                    continue
                left, top, right, bottom = b["box"]
                width, height = b["size"]
                if min(left, top, width - right, height - bottom) < 2:
                    continue
                if ours[1].get(path) and theirs[1].get(path):
                    self.copies[len(landmarks)] = np.array([c["landmarks"][:468] for c in ours[1][path]], float)
                    self.reference_copies[len(landmarks)] = np.array([c["box"] for c in theirs[1][path]])
                landmarks.append(a["landmarks"][:468])
                boxes.append(b["box"])
                points.append(np.ravel(b["points"]))
                sets.append(name)
                test.append(is_held_out(group))
        self.landmarks, self.boxes, self.points = np.array(landmarks, float), np.array(boxes), np.array(points)
        self.sets, self.test = np.array(sets), np.array(test)


def mirrored_indices(geometry):
    """For each point of the mesh the one on the other side of the face, by the canonical face."""
    v = np.array(json.loads(geometry.read_text())["vertices"], float).reshape(-1, 3)
    return np.array([np.argmin(((v - [-p[0], p[1], p[2]]) ** 2).sum(1)) for p in v])


def least_absolute(d, t, weights, ridge, rounds, wanted=0.0):
    """Nearly the least absolute differences of each column of t (least squares, reweighted), which single odd boxes hardly move.

    `ridge` and `wanted` are both sides of further normal equations, of squares."""
    each, wanted = np.repeat(weights[:, None], t.shape[1], 1), np.broadcast_to(wanted, (d.shape[1], t.shape[1]))
    for _ in range(rounds):
        solution = np.stack([np.linalg.solve((d * w[:, None]).T @ d + w.mean() * ridge, (d * w[:, None]).T @ t[:, k] + w.mean() * wanted[:, k])
                             for k, w in enumerate(each.T)], 1)
        each = weights[:, None] / np.maximum(np.abs(d @ solution - t), 0.005)
    return solution


class Problem:
    """Landmarks and targets about the middle of the mesh, in units of the box, the mirrored ones behind the others."""

    def __init__(self, landmarks, targets, flipped, mirror, scale, weights):
        middle = landmarks.mean(1)
        count = targets.shape[1] // 2
        self.x = (landmarks - middle[:, None]) / scale[:, None, None]
        self.t = (targets - np.tile(middle, count)) / scale[:, None]
        mirrored = self.x[:, mirror] * [-1, 1]
        self.x = np.concatenate([self.x, mirrored])
        self.t = np.concatenate([self.t, (self.t * np.tile([-1, 1], count))[:, flipped]])
        self.w = np.tile(weights, 2)

    def design(self, anchors):
        middle = self.x[:, anchors].mean(1)
        count = self.t.shape[1] // 2
        return (self.x[:, anchors] - middle[:, None]).reshape(len(self.x), -1), self.t - np.tile(middle, count)

    def solve(self, anchors, absolute=False):
        """Least squares, or nearly least absolute differences."""
        d, t = self.design(anchors)
        ridge = RIDGE * len(d) * np.eye(d.shape[1])
        if absolute:
            return least_absolute(d, t, self.w, ridge, 20)
        return np.linalg.solve((d * self.w[:, None]).T @ d + ridge, (d * self.w[:, None]).T @ t)

    def loss(self, anchors):
        d, t = self.design(anchors)
        return (self.w[:, None] * np.minimum(np.abs(d @ self.solve(anchors) - t), 0.05)).mean()


class Edges:
    """The four edges from landmarks: their mean plus weighted offsets from it plus a part of the spread of the offsets."""

    def __init__(self, anchors, mirror):
        self.anchors = anchors
        place = {a: i for i, a in enumerate(anchors)}
        self.mirror = [place[int(mirror[a])] for a in anchors]

    def offsets(self, landmarks):
        chosen = landmarks[:, self.anchors]
        middle = chosen.mean(1)
        offsets = chosen - middle[:, None]
        return offsets, middle, np.sqrt((offsets**2).sum(2).mean(1))

    def scatter(self, landmarks):
        """How offsets, middle and spread of one picture's copies differ from their means, in units of the spread."""
        offsets, middle, spread = self.offsets(landmarks)
        unit = spread.mean()
        return [(v - v.mean(0)) / unit for v in (offsets, middle, spread)]

    def fit(self, landmarks, boxes, weights, copies):
        """Nearly least absolute differences, on the pictures and on the same mirrored; and little scatter over the copies of a picture."""
        offsets, middle, spread = self.offsets(landmarks)
        x = offsets / spread[:, None, None]
        t = (boxes - np.tile(middle, 2)) / spread[:, None]
        x = np.concatenate([x, x[:, self.mirror] * [-1, 1]]).reshape(2 * len(x), -1)
        t = np.concatenate([t, (t * [-1, 1, -1, 1])[:, [2, 1, 0, 3]]])
        weights = np.tile(weights, 2)
        components = np.linalg.svd(x * np.sqrt(weights)[:, None], full_matrices=False)[2][:COMPONENTS]
        z = x @ components.T
        deviation = np.sqrt((z**2).mean(0))
        z = np.c_[z / deviation, np.ones(len(z))]
        moved, wanted = [], []
        for seen in copies:
            offsets, middle, spread = self.scatter(seen)
            for offsets, middle in ((offsets, middle), (offsets[:, self.mirror] * [-1, 1], middle * [-1, 1])):
                moved.append(np.c_[offsets.reshape(len(seen), -1) @ components.T / deviation, spread])
                wanted.append(-np.tile(middle, 2))
        moved, wanted = np.concatenate(moved), np.concatenate(wanted)
        share = STEADINESS * len(z) / len(moved)
        ridge = EDGE_RIDGE * len(z) * np.diag([1.0] * COMPONENTS + [0.0])
        solution = least_absolute(z, t, weights, ridge + share * moved.T @ moved, 15, share * moved.T @ wanted)
        self.weights, self.of_spread = (components.T / deviation) @ solution[:-1], solution[-1]

    def __call__(self, landmarks):
        offsets, middle, spread = self.offsets(landmarks)
        return offsets.reshape(len(offsets), -1) @ self.weights + np.tile(middle, 2) + spread[:, None] * self.of_spread


def rust(name, comment, shape, rows):
    body = "".join("    [" + ", ".join("[%.4f, %.4f]" % tuple(p) for p in row) + "],\n" for row in rows)
    return f"/// {comment}\npub(super) const {name}: {shape} = [\n{body}];\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--table", type=Path, default=Path(__file__).parents[2] / "crates/face-analysis/src/face_box/table.rs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    models = subprocess.run([options.facegate, "models", "path"], check=True, capture_output=True, text=True).stdout.strip()
    mirror = mirrored_indices(Path(models) / "face_geometry.json")
    seen = Pictures(options)
    landmarks, boxes, points, sets, test = seen.landmarks, seen.boxes, seen.points, seen.sets, seen.test
    scale = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    # Every set counts the same.
    weights = np.array([1 / (sets[~test] == name).sum() for name in sets])
    train = ~test
    edges = Problem(landmarks[train], boxes[train], [2, 1, 0, 3], mirror, scale[train], weights[train] / weights[train].mean())
    five = Problem(landmarks[train], points[train], [2, 3, 0, 1, 4, 5, 8, 9, 6, 7], mirror, scale[train],
                   weights[train] / weights[train].mean())
    pairs = sorted({tuple(sorted({i, int(mirror[i])})) for i in range(468) if mirror[mirror[i]] == i})
    flat = lambda chosen: [i for pair in chosen for i in pair]
    chosen = [pair for pair in pairs if set(pair) & set(FIRST)]
    while len(chosen) < ANCHORS:
        chosen.append(min((pair for pair in pairs[::3] if pair not in chosen), key=lambda p: edges.loss(flat([*chosen, p]))))
    anchors = flat(chosen)
    point_weights = five.solve(anchors, absolute=True)
    box = Edges(flat(pairs[::EDGE_STEP]), mirror)
    box.fit(landmarks[train], boxes[train], weights[train] / weights[train].mean(), [c for n, c in seen.copies.items() if train[n]])

    middle = landmarks[:, anchors].mean(1)
    offsets = (landmarks[:, anchors] - middle[:, None]).reshape(len(landmarks), -1)
    longer = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    off = np.abs(box(landmarks) - boxes) / longer[:, None]
    apart = np.hypot(*((offsets @ point_weights + np.tile(middle, 5) - points) / longer[:, None]).reshape(-1, 5, 2).transpose(2, 0, 1))
    print(f"{len(box.anchors)} landmarks for the edges, {len(anchors)} for the points, {train.sum()} pictures fitted on, {test.sum()} held out")
    for name in (*SETS, "all"):
        rows = test & ((sets == name) | (name == "all"))
        print("%-18s %4d: edges %.2f %% (left %.2f, top %.2f, right %.2f, bottom %.2f; mean of the four %.2f), points %.2f %%" % (
            name, rows.sum(), 100 * np.median(off[rows]), *(100 * np.median(off[rows], 0)), 100 * np.median(off[rows].mean(1)),
            100 * np.median(apart[rows])))
    scatter = lambda edges, n: 100 * edges.std(0).mean() / longer[n]
    for name in (*SETS, "all"):
        copied = [n for n in seen.copies if test[n] and name in (sets[n], "all")]
        now, before = ([scatter(edges(n), n) for n in copied] for edges in (lambda n: box(seen.copies[n]), seen.reference_copies.get))
        print("%-18s %4d compressed anew: edges scatter by %.3f %%, the reference's by %.3f (medians)" % (
            name, len(copied), np.median(now), np.median(before)))
    number, edge_number = len(anchors), len(box.anchors)
    listed = lambda name, comment, chosen: (f"/// {comment}\n#[rustfmt::skip]\npub(super) const {name}: [usize; {len(chosen)}] = [\n    "
                                            + ", ".join(map(str, chosen)) + ",\n];\n\n")
    text = ("//! The coefficients of `face_box`, written by training/face_box/fit.py.\n\n"
            + listed("EDGE_ANCHORS", "The landmarks that take part in the edges.", box.anchors)
            + "/// Parts of the anchors' spread, for the left, upper, right and lower edge.\n"
            + "pub(super) const SPREAD: [f32; 4] = [" + ", ".join("%.4f" % v for v in box.of_spread) + "];\n\n#[rustfmt::skip]\n"
            + rust("EDGES", "Weights of the anchors' offsets right and down, for the same edges.",
                   f"[[[f32; 2]; {edge_number}]; 4]", box.weights.T.reshape(4, edge_number, 2))
            + "\n" + listed("POINT_ANCHORS", "The landmarks that take part in the points.", anchors)
            + "#[rustfmt::skip]\n"
            + f"/// The same for x and y of the five points.\npub(super) const POINTS: [[[[f32; 2]; {number}]; 2]; 5] = [\n"
            + "".join("    [\n" + "".join("        [" + ", ".join("[%.4f, %.4f]" % tuple(p) for p in row) + "],\n" for row in point)
                      + "    ],\n" for point in point_weights.T.reshape(5, 2, number, 2))
            + "];\n")
    options.table.write_text(text)


if __name__ == "__main__":
    main()
