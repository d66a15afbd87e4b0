#!/usr/bin/env python3
"""Do the age and gender networks see the faces that they were trained on?

    python3 age_chips.py --facegate FACEGATE --bare BARE --points FOLDER [--every 3]

dlib's networks were trained on the chips that dlib cuts (five points, padding 0.2). Here dlib itself finds and cuts the
face, and the same networks see that chip and two that are cut at facegate's landmarks: at the centres of the eyes, and at
the corners of the eyes and the foot of the nose, as facegate does. The nearer the answers, the nearer the chip. How far
dlib's own points with this program's resampling lie off is the floor. face-api crops to the box of 68 points: its
edges are compared with those of the box that facegate takes.

Nobody knows the ages here: nothing follows about the error in years. FOLDER holds shape_predictor_5_face_landmarks.dat and
shape_predictor_68_face_landmarks.dat (source package of PyPI `face_recognition_models==0.3.0`). Needs numpy,
opencv-python-headless, onnxruntime and dlib-bin.
"""

import argparse
import json
import subprocess
from pathlib import Path

import cv2
import dlib
import numpy as np
import onnxruntime as ort

from pose import overlap

# dlib's mean five points: the left eye's outer and inner corner, the right eye's, the foot of the nose.
FIVE = (np.array([(0.8595675, 0.2134982), (0.6460605, 0.2289674), (0.1205751, 0.2137275), (0.3340851, 0.2290643),
                  (0.4901123, 0.6277976)]) + 0.2) / 1.4
# facegate's landmarks: the same points, and those whose box stands for that of the 68 points, as in age_gender.rs.
FIVE_LANDMARKS = [263, 362, 33, 133, 2]
OUTLINE = [127, 234, 93, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 323, 454, 356,
           70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
EYES = np.array([(0.3123, 0.3009), (0.6877, 0.3009)])


def similarity(source, target):
    a, b = source - source.mean(0), target - target.mean(0)
    norm = (a * a).sum()
    x, y = (a * b).sum() / norm, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    turn = np.array([[x, -y], [y, x]])
    return np.hstack([turn, (target.mean(0) - turn @ source.mean(0))[:, None]])


def cut(picture, points, template, side):
    """The chip whose `template` (shares of the side) lies on the points; area-averaged reduction first."""
    matrix = similarity(points, template * side)
    scale = min(1.0, float(np.hypot(*matrix[:, 0])))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    matrix[:, 0] *= picture.shape[1] / small.shape[1]
    matrix[:, 1] *= picture.shape[0] / small.shape[0]
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # pixel centres
    return cv2.warpAffine(small, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)


class Networks:
    def __init__(self, folder):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.age, self.gender = (ort.InferenceSession(str(folder / f"{name}.onnx"), options) for name in ("age", "gender"))

    def __call__(self, chips):
        """Years and probability of a woman from the chips of 64 and 32 pixels."""
        batch = [np.ascontiguousarray(c.transpose(2, 0, 1)[None], np.float32) for c in chips]
        ages, sexes = (n.run(["probabilities"], {"input": x})[0][0] for n, x in zip((self.age, self.gender), batch))
        return float(ages @ np.r_[0.25, 1:81]), float(sexes[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--bare", type=Path, required=True)
    parser.add_argument("--points", type=Path, required=True)
    parser.add_argument("--every", type=int, default=3)
    options = parser.parse_args()
    path = subprocess.run([options.facegate, "models", "path"], check=True, capture_output=True, text=True).stdout
    networks = Networks(Path(path.strip()))
    detector = dlib.get_frontal_face_detector()
    five, many = (dlib.shape_predictor(str(options.points / f"shape_predictor_{n}_face_landmarks.dat")) for n in (5, 68))
    paths = sorted(p for p in options.bare.iterdir() if p.is_file())[:: options.every]
    command = [options.facegate, "analyze", "--details", "--set", "analysis.attributes.effort=fast", *map(str, paths)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    answers, boxes = {}, []
    for path, line in zip(paths, lines, strict=True):
        details = json.loads(line)["details"]
        if not details.get("landmarks") or details["image"]["uprightRotation"]:
            continue
        picture, extent = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), details["faces"][0]["extent"]
        border, scale = max(picture.shape[:2]) // 4, max(1.0, 200 / extent["height"])
        framed = cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        framed = cv2.resize(framed, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        corner = np.array([extent["left"], extent["top"]])
        box = np.r_[corner + border, corner + [extent["width"], extent["height"]] + border] * scale
        found = [(overlap(box, (r.left(), r.top(), r.right(), r.bottom())), r) for r in detector(framed, 0)]
        if not found or max(found, key=lambda f: f[0])[0] < 0.3:
            continue
        rectangle = max(found, key=lambda f: f[0])[1]
        shape = five(framed, rectangle)
        landmarks = (np.array(details["landmarks"])[:, :2] + border) * scale
        eyes = np.array([landmarks[[33, 133]].mean(0), landmarks[[263, 362]].mean(0)])
        own = np.array([(p.x, p.y) for p in shape.parts()], float)
        chips = {"dlib": [dlib.get_face_chip(framed, shape, size=side, padding=0.2) for side in (64, 32)]}
        for name, points, template in (("centres of the eyes", eyes, EYES), ("five points", landmarks[FIVE_LANDMARKS], FIVE),
                                       ("floor: dlib's points", own, FIVE)):
            chips[name] = [cut(framed, points, template, side) for side in (64, 32)]
        for name, pair in chips.items():
            answers.setdefault(name, []).append(networks(pair))
        seen = np.array([(p.x, p.y) for p in many(framed, rectangle).parts()], float)
        mine = landmarks[OUTLINE]
        edges = np.r_[mine.min(0) - seen.min(0), mine.max(0) - seen.max(0)]
        boxes.append(edges / np.tile(np.ptp(seen, axis=0), 2))
    reference = np.array(answers.pop("dlib"))
    print(f"{len(reference)} of {len(paths)} pictures with a face for both")
    rng = np.random.default_rng(1)
    for name, values in answers.items():
        years, sexes = np.array(values).T
        off = np.abs(years - reference[:, 0])
        low, high = np.percentile(off[rng.integers(0, len(off), (2000, len(off)))].mean(1), [2.5, 97.5])
        same = ((sexes > 0.5) == (reference[:, 1] > 0.5)).mean()
        print("%-22s age off by %.2f years (95 %% interval %.2f to %.2f), mean %+.2f; same gender %.1f %%" % (
            name, off.mean(), low, high, (years - reference[:, 0]).mean(), 100 * same))
    print("edges of the box against 68 points, median, shares of its size: left %+.3f, top %+.3f, right %+.3f, bottom %+.3f"
          % tuple(np.median(boxes, 0)))


if __name__ == "__main__":
    main()
