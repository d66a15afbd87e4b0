#!/usr/bin/env python3
"""Measures occlusion.onnx on the held-out test split (never trained on, never calibrated on). Prints JSON.

    python3 evaluate.py --data FOLDER --detector YUNET.onnx --cache FOLDER --model occlusion.onnx [--drawn] [--faceless FOLDER]

`--cache` is what train.py left (faces.csv holds the split). Every test picture is detected and aligned anew, so the numbers
include the detector's points. `--drawn` adds drawn coverings and drawn lookalikes on the test split's bare faces: synthetic,
and reported apart. `--faceless` counts detections on pictures that show no face.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

import compose
from augment import plain
from faces import Faces
from geometry import CHIP, CHIP_POINTS, Detector, points, similarity, warp
from prepare import pick

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def wilson(hits, n, z=1.959964):
    """The share and its 95 % interval."""
    if n == 0:
        return {"n": 0}
    p, q = hits / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z * np.sqrt(p * (1 - p) / n + q / n / 4) / (1 + q)
    return {"n": n, "hits": int(hits), "share": round(p, 4), "low": round(float(middle - half), 4), "high": round(float(middle + half), 4)}


class Model:
    def __init__(self, path):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, chip):
        x = np.ascontiguousarray(chip[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        return float(self.session.run(["occlusion"], {"input": x})[0][0, 0])


def auc(bare, occluded):
    return round(float((np.asarray(occluded)[:, None] > np.asarray(bare)[None]).mean()), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--faceless", type=Path)
    parser.add_argument("--list-errors", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    model, faces, detector = Model(args.model), Faces(args.cache), Detector(args.detector)
    result, scores, wrong = {"split": args.split}, {}, []

    kinds = {"bare": ("bare", "bare"), "masked": ("masked", "occluded"), "occluded in bare/": ("bare", "occluded")}
    for kind, (folder, verdict) in kinds.items():
        scores[kind] = []
        for i in faces.select(args.split, folder, verdict):
            name = faces.rows[i]["name"]
            picture = cv2.imread(str(args.data / folder / name))
            face, _ = pick(detector, picture)
            score = model(warp(picture, similarity(points(face), CHIP_POINTS), CHIP))
            scores[kind].append(score)
            if (score >= 0.5) != (kind != "bare"):
                wrong.append([folder, name, round(score, 3), i])
    at = lambda kind, t=0.5: int((np.array(scores[kind]) >= t).sum())
    result["real"] = {"recall of masked faces": wilson(at("masked"), len(scores["masked"])),
                      "false alarms on bare faces": wilson(at("bare"), len(scores["bare"])),
                      "recall of other real occlusions": wilson(at("occluded in bare/"), len(scores["occluded in bare/"])),
                      "AUC masked against bare": auc(scores["bare"], scores["masked"]),
                      "at other thresholds (recall, false alarms)": {str(t): [round(at(k, t) / max(len(scores[k]), 1), 4) for k in ("masked", "bare")]
                                                                     for t in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)}}
    # The tight crops of one source and everything else, because the first look alike in ways the world does not.
    for title, tight in (("tight crops", True), ("other pictures", False)):
        part = {}
        for folder, kind in (("masked", "recall"), ("bare", "false alarms")):
            mine = faces.select(args.split, folder)
            hits = [s >= 0.5 for s, i in zip(scores[folder], mine) if (faces.rows[i]["name"][1:3] == "_0") == tight]
            part[kind] = wilson(sum(hits), len(hits))
        result["real"][title] = part

    if args.drawn:
        found = {}
        for n, i in enumerate(faces.select(args.split, "bare") * 4):
            rng = np.random.default_rng((4242, n))
            face = compose.Face(faces.chips[i], faces.points[i], rng)
            picture, kind = compose.cover(faces.chips[i].astype(np.float32), face)
            found.setdefault(kind, []).append(model(plain(np.clip(picture, 0, 255).astype(np.uint8), faces.points[i])) >= 0.5)
            face = compose.Face(faces.chips[i], faces.points[i], rng)
            picture = compose.decorate(faces.chips[i].astype(np.float32), face)
            found.setdefault("lookalikes (false alarms)", []).append(model(plain(np.clip(picture, 0, 255).astype(np.uint8), faces.points[i])) >= 0.5)
        covered = [h for k, v in found.items() if "false" not in k for h in v]
        result["drawn (synthetic)"] = {"all coverings": wilson(sum(covered), len(covered)), **{k: wilson(sum(v), len(v)) for k, v in sorted(found.items())}}

    if args.faceless:
        best = {}
        for path in sorted(args.faceless.iterdir()):
            if path.suffix.lower() in PICTURES:
                picture = cv2.imread(str(path))
                best[path.name] = round(float(max([detector(picture, side)[:1, 14].max(initial=0) for side in (320, 640)])), 3)
        result["detections without a face"] = {"pictures": len(best), **{str(t): sum(s >= t for s in best.values()) for t in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)},
                                               "best scores": dict(sorted(best.items(), key=lambda b: -b[1])[:6])}

    chip = np.zeros((CHIP, CHIP, 3), np.uint8)
    times = []
    for _ in range(300):
        began = time.perf_counter()
        model(chip)
        times.append((time.perf_counter() - began) * 1e3)
    result["milliseconds on one thread"] = {"median": round(float(np.median(times)), 3), "fastest": round(min(times), 3)}
    if args.list_errors:
        result["errors"] = wrong
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
