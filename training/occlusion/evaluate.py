#!/usr/bin/env python3
"""Measures occlusion.onnx on real pictures that were neither trained nor calibrated on, and on drawn ones. Prints JSON.

    python3 evaluate.py --data FOLDER --detector YUNET.onnx --cache FOLDER --model occlusion.onnx [OTHER.onnx ...] [--drawn] [--sheet FILE.png]

`--cache` is what train.py left (faces.csv and others.csv hold the split). Masks are detected and aligned anew, so their
numbers include the detector's points. `--drawn` adds drawn coverings and lookalikes on faces of the test split: synthetic,
and reported apart. `--sheet` draws every wrong answer (of the last model). Several models are measured on the same chips.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

import compose
import coverings
from augment import plain
from faces import Faces, Others
from geometry import CHIP, CHIP_POINTS, Detector, points, similarity, warp
from parts import PARTS
from prepare import pick, verdicts


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
        self.outputs = [o.name for o in self.session.get_outputs()]

    def __call__(self, chip):
        """The overall probability, then those of the parts (none from a network of version 3 or older)."""
        x = np.ascontiguousarray(chip[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        return np.concatenate([o[0] for o in self.session.run(self.outputs, {"input": x})])


def auc(bare, occluded):
    return round(float((np.asarray(occluded)[:, None] > np.asarray(bare)[None]).mean()), 4)


def real(args, faces, others, seen):
    """Name of a set, whether its faces are covered, and its chips."""
    detector = Detector(args.detector)
    for name, folder, verdict in (("masked", "masked", "occluded"), ("bare", "bare", "bare"), ("covered, in bare/", "bare", "occluded")):
        chips = []
        for i in faces.select("test", folder, verdict):
            picture = cv2.imread(str(args.data / "masks" / folder / faces.rows[i]["name"]))
            chips.append(warp(picture, similarity(points(pick(detector, picture)[0]), CHIP_POINTS), CHIP))
        yield f"masks: {name}", verdict == "occluded", chips

    def chips(indices):
        return [plain(others.chips[i], others.points[i]) for i in indices]

    for title, name, kinds in (("live-hagrid: fist at the ear, two fingers", "live-hagrid", ("call", "peace")), ("fairface-200", "fairface-200", None),
                               ("UK parliament", "age-uk-parliament", None), ("US congress, a source not trained on", "age-us-congress", None)):
        yield title, False, chips(others.select("test", name, kinds, seen))
    yield "live-hagrid: finger on the lips", True, chips(others.select("test", "live-hagrid", ("mute",), seen))
    # What the eye found in those sets is left out of training on every side of the split.
    reasons = {}
    for i, row in enumerate(others.rows):
        verdict, reason = seen.get((row["set"], Path(row["path"]).name), ("", ""))
        if verdict == "occluded":
            reasons.setdefault(reason, []).append(i)
    for reason, indices in reasons.items():
        yield f"found in the other sets: {reason}", True, chips(indices)


def drawn(faces, others, seen, data):
    """The same of drawn pictures, by kind."""
    coverings.load(data)
    pool = [(faces.chips[i], faces.points[i]) for i in faces.select("test", "bare")]
    pool += [(others.chips[i], others.points[i]) for i in others.select("test", "age-us-congress", None, seen)[:150]]
    kinds = list(coverings.KINDS)
    found = {}
    seeds = [((4242, n), kinds[n % len(kinds)]) for n in range(100 * len(kinds))] + [((4545, n), "fine cells") for n in range(100)]
    seeds += [((4646, n), kind) for kind in ("fingertips", "other sunglasses", "lock") for n in range(100)]
    for seed, kind in seeds:
        rng = np.random.default_rng(seed)
        picture, at = pool[rng.integers(len(pool))]
        made, kind, target = coverings.cover(picture, at, compose.Face(picture, at, rng), kind)
        if target[0] >= 0.9:
            found.setdefault((kind, True), []).append(plain(np.clip(made, 0, 255).astype(np.uint8), at))
    for name, draw in (("clear glasses", lambda p, f: compose.glasses(p, f, dark=False)), ("beard", compose.beard), ("open mouth", coverings.open_mouth),
                       ("full beard", coverings.full_beard), ("hat", compose.cap), ("headscarf", coverings.headscarf), ("shadow", compose.shadow),
                       ("fringe, strands", lambda p, f: compose.hair(p, f, covering=False)), ("mask under the chin", lambda p, f: compose.face_mask(p, f, "chin"))):
        for n in range(100):
            rng = np.random.default_rng((4343, n))
            picture, at = pool[rng.integers(len(pool))]
            made = draw(picture.astype(np.float32), compose.Face(picture, at, rng))
            found.setdefault((name, False), []).append(plain(np.clip(made, 0, 255).astype(np.uint8), at))
    for n in range(150):
        rng = np.random.default_rng((4444, n))
        picture, at = pool[rng.integers(len(pool))]
        found.setdefault(("dark skin", False), []).append(plain(compose.other_skin(picture, at, rng), at))
    for n in range(120):
        rng = np.random.default_rng((4747, n))
        picture, at = pool[rng.integers(len(pool))]
        made, target = coverings.beside(picture.astype(np.float32), at, compose.Face(picture, at, rng))
        if target[0] <= 0.1:
            found.setdefault(("hand or phone beside the face", False), []).append(plain(np.clip(made, 0, 255).astype(np.uint8), at))
    for (kind, covered), chips in found.items():
        yield f"drawn: {kind}", covered, chips


def judge(model, sets):
    """What one model says of every set, and the chips it is wrong about."""
    result, scores, wrong = {}, {}, []
    for name, covered, chips in sets:
        answers = np.array([model(chip) for chip in chips]).reshape(len(chips), -1)
        told = answers[:, 0] >= 0.5
        scores[name] = answers[:, 0]
        result[name] = {"covered": covered, **wilson(int(told.sum()), len(told))}
        if answers.shape[1] > 1:
            result[name]["parts told"] = {part: round(float((answers[:, n + 1] >= 0.5).mean()), 3) for n, part in enumerate(PARTS)}
        wrong += [chip for chip, t in zip(chips, told) if t != covered]
    result["AUC masked against bare"] = auc(scores["masks: bare"], scores["masks: masked"])
    result["masks at other thresholds (recall, false alarms)"] = {str(t): [round(float((scores[k] >= t).mean()), 4) for k in ("masks: masked", "masks: bare")]
                                                                  for t in (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)}
    return result, wrong


def time_of(models):
    """Milliseconds of one call each, the models taking turns, so that what else the machine does falls on all alike."""
    times = [[] for _ in models]
    for _ in range(300):
        for model, mine in zip(models, times):
            began = time.perf_counter()
            model(np.zeros((CHIP, CHIP, 3), np.uint8))
            mine.append((time.perf_counter() - began) * 1e3)
    return [{"median": round(float(np.median(mine)), 3), "fastest": round(min(mine), 3)} for mine in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, nargs="+", required=True)
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    faces, others = Faces(args.cache), Others(args.cache)
    seen = verdicts(Path(__file__).parent / "labels.csv")
    sets = list(real(args, faces, others, seen))
    if args.drawn:
        sets += list(drawn(faces, others, seen, args.data))
    models = [Model(path) for path in args.model]
    results, wrong = zip(*[judge(model, sets) for model in models])
    for result, milliseconds in zip(results, time_of(models)):
        result["milliseconds on one thread"] = milliseconds
    wrong = wrong[-1]
    if args.sheet and wrong:
        wrong += [np.zeros_like(wrong[0])] * (-len(wrong) % 16)
        cv2.imwrite(str(args.sheet), np.vstack([np.hstack(wrong[n:n + 16]) for n in range(0, len(wrong), 16)]))
    print(json.dumps(results[0] if len(results) == 1 else {str(path): result for path, result in zip(args.model, results)}, indent=1))


if __name__ == "__main__":
    main()
