#!/usr/bin/env python3
"""What each network says about every face of the labelled and unlabelled sets. Writes SET.npz for each set.

    python3 estimates.py --facegate FACEGATE --data FOLDER --out FOLDER

facegate finds the faces and their landmarks; the chips are cut here as it cuts them, so that one face can be seen many times:
as it is, mirrored, and in pictures that are made worse (smaller, blurred, darker, grey, noisy, compressed) with landmarks that
are a little off. Each row holds dlib's age, its log-odds of a woman, face-api's age, its log-odds.
"""

import argparse
import csv
import io
import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image, ImageFilter, ImageOps

from chips import CHIP_LANDMARKS, MIRRORED, OUTLINE, PLAIN, View, dlib_chip, second_chip

# Set, folder of its pictures, worse copies of each.
SETS = (("fairface-200", "img", 7), ("age-us-congress", "img", 4), ("age-uk-parliament", "img", 2), ("masks", "bare", 2),
        ("live-hagrid", "img", 1))
RULES = ("max_second_face", "min_interpupillary_distance", "min_face_side", "min_face_area", "max_outside", "min_surrounding",
         "min_opposite_margins", "min_margin", "max_yaw", "max_pitch", "max_occlusion")
# fairface-200 has age groups: their middles.
MIDDLE = {"20-29": 25, "30-39": 35, "40-49": 45, "50-59": 55, "60-69": 65, "more than 70": 75}


class Networks:
    def __init__(self, folder):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.age, self.gender, self.second = (
            ort.InferenceSession(str(folder / f"{name}.onnx"), options) for name in ("age", "gender", "age_gender"))

    def __call__(self, ages, genders, seconds):
        batch = [np.ascontiguousarray(np.stack(chips), np.float32) for chips in (ages, genders, seconds)]
        classes = self.age.run(["probabilities"], {"input": batch[0]})[0]
        sexes = self.gender.run(["probabilities"], {"input": batch[1]})[0]
        age, second = self.second.run(["age", "gender"], {"input": batch[2]})
        odds = [np.log(np.maximum(p, 1e-12)) - np.log(np.maximum(1 - p, 1e-12)) for p in (sexes[:, 0], second[:, 1])]
        return np.stack([classes @ np.r_[0.25, 1:81], odds[0], age[:, 0], odds[1]], 1)


def worse(picture, face, rng):
    """The picture as another camera or site might give it, and by what its sides changed."""
    original = picture.size
    side = max(face[2], face[3])
    factor = min(np.exp(rng.uniform(np.log(45), np.log(230))) / side, 1.6)
    scale = np.ones(2)
    if rng.random() < 0.7 and abs(factor - 1) > 0.05:
        size = tuple(max(int(s * factor), 8) for s in original)
        filters = (Image.BILINEAR, Image.BICUBIC, Image.LANCZOS, Image.BOX)
        picture = picture.resize(size, filters[rng.integers(4)])
        scale = np.array(size) / original
    side = max(face[2] * scale[0], face[3] * scale[1])
    if rng.random() < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.012 * side + 0.3)))
    x = np.asarray(picture, np.float32) / 255
    if rng.random() < 0.8:
        x = np.clip(x, 0, 1) ** np.exp(rng.normal(0, 0.25))
        x = (x - 0.5) * np.exp(rng.normal(0, 0.18)) + 0.5 + rng.normal(0, 0.06)
        x = x * np.exp(rng.normal(0, 0.06, 3))
    if rng.random() < 0.4:  # light from a side
        angle = rng.uniform(0, 2 * np.pi)
        down, right = np.mgrid[0 : x.shape[0], 0 : x.shape[1]]
        center = np.array([face[0] + face[2] / 2, face[1] + face[3] / 2]) * scale
        along = ((right - center[0]) * np.cos(angle) + (down - center[1]) * np.sin(angle)) / side
        x = x * np.exp(np.clip(along, -1, 1) * rng.normal(0, 0.4))[..., None]
    if rng.random() < 0.12:
        x = np.repeat(x @ np.array([0.299, 0.587, 0.114], np.float32)[:, None], 3, 2)
    if rng.random() < 0.4:
        x = x + rng.normal(0, rng.uniform(0.005, 0.03), x.shape)
    picture = Image.fromarray((np.clip(x, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.8:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(35, 96)), subsampling=int(rng.choice([0, 2])))
        picture = Image.open(file).convert("RGB")
    return picture, scale


def looks(picture, points, face, copies, rng):
    """Chips of the picture, of its mirror image, and of `copies` worse ones."""
    def cut(picture, face, five, outline, variant):
        view = View(picture, face)
        return dlib_chip(view, five, 64, variant), dlib_chip(view, five, 32, variant), second_chip(view, outline, variant)

    five, outline = points[: len(CHIP_LANDMARKS)], points[len(CHIP_LANDMARKS) :]
    yield from (cut(picture, face, five, outline, variant) for variant in (PLAIN, MIRRORED))
    eyes = np.linalg.norm(five[0] - five[2])
    for _ in range(copies):
        other, scale = worse(picture, face, rng)
        # A common shift, and each point's own noise.
        moved = five * scale + rng.normal(0, 0.012 * eyes, five.shape) * scale + rng.normal(0, 0.012 * eyes, 2) * scale
        center = outline.mean(0)
        rim = ((outline - center) * np.exp(rng.normal(0, 0.025, 2)) + center + rng.normal(0, 0.015 * eyes, 2)) * scale
        yield cut(other, face * np.r_[scale, scale], moved, rim, MIRRORED if rng.random() < 0.5 else PLAIN)


def labels(folder):
    """Age in years and its error, gender (1 female, 0 male) and person of each picture; NaN where unknown."""
    found = {}
    with open(folder / "labels.csv", newline="") as file:
        for row in csv.DictReader(file):
            age, error = (float(row.get(name) or "nan") for name in ("age", "age_error"))
            if "age_group" in row:
                age, error = MIDDLE[row["age_group"]], 3.0
            gender = {"female": 1.0, "male": 0.0}.get(row.get("gender"), np.nan)
            found[Path(row["path"]).name] = (age, error, gender, row.get("person") or row["path"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="facegate")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = subprocess.run([options.facegate, "models", "path"], check=True, capture_output=True, text=True).stdout
    networks = Networks(Path(path.strip()))
    for name, sub, copies in SETS:
        folder = options.data / name / sub
        known = labels(options.data / name) if (options.data / name / "labels.csv").exists() else {}
        command = [options.facegate, "analyze", "-q", "--details", "--profile", "lenient", "--parallel", "1"]
        command += [part for rule in RULES for part in ("--set", f"analysis.rules.{rule}.action=off")]
        process = subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, text=True)
        rng = np.random.default_rng(sum(map(ord, name)))
        rows, marks, persons = [], [], []
        for line in process.stdout:
            answer = json.loads(line)
            details = answer.get("details") or {}
            if not details.get("landmarks") or details.get("age") is None or details["image"]["uprightRotation"]:
                continue
            points = np.array(details["landmarks"])[CHIP_LANDMARKS + OUTLINE, :2]
            extent = details["faces"][0]["extent"]
            face = np.array([extent[side] for side in ("left", "top", "width", "height")])
            picture = ImageOps.exif_transpose(Image.open(answer["sessionId"])).convert("RGB")
            rows.append(networks(*zip(*looks(picture, points, face, copies, rng))))
            file = Path(answer["sessionId"]).name
            age, error, gender, person = known.get(file, (np.nan, np.nan, np.nan, file))
            marks.append((age, error, gender, details["age"], details["femaleProbability"]))
            persons.append(person)
        if process.wait() != 0:
            raise SystemExit(f"facegate failed on {folder}")
        age, error, gender, answered, female = np.array(marks).T
        np.savez(options.out / f"{name}.npz", looks=np.array(rows, np.float32), age=age, error=error, gender=gender,
                 person=np.array(persons), answered=answered, female=female)
        print(f"{name}: {len(rows)} faces, {rows[0].shape[0]} looks each", flush=True)


if __name__ == "__main__":
    main()
