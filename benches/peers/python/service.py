"""The service an experienced Python engineer would write: FastAPI, ONNX Runtime and OpenCV, with the networks of release 36a085d.

It answers facegate's call with the same attributes from those networks on as many crops as they had there: one look of the detector at 640
pixels, the landmarks, occlusion, three liveness crops for each of both networks, and age and gender on four, four and two
crops in one batch each. Pose, rules, authentication, limits and error handling are left out: it is faster than the real
thing would be. Started by ../run.

    FACEGATE_MODELS_DIR=… uvicorn service:app --workers 2 --port 9101
"""

import base64
import os
import pathlib

import cv2
import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

cv2.setNumThreads(1)
FOLDER = pathlib.Path(os.environ["FACEGATE_MODELS_DIR"])


def load(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one process per core
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return lambda tensor: dict(zip(outputs, session.run(None, {"input": tensor})))


detector, landmarker, occlusion = load("detector"), load("landmarks"), load("occlusion")
liveness = [(2.7, load("liveness_v2")), (4.0, load("liveness_v1se"))]
age, gender, age_gender = load("age"), load("gender"), load("age_gender")
JITTER = [(1.0, 0.0), (1.04, 0.03), (0.96, -0.03)]
VARIANTS = [(False, 1.0, 0.0, 0.0), (True, 1.0, 0.0, 0.0), (False, 1.05, 0.02, 0.02), (True, 0.95, 0.02, -0.02)]
app = FastAPI()


class Request(BaseModel):
    sessionId: str
    faceImageBase: str


def tensor(*images):
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), dtype=np.float32)


def detect(image):
    scale = 640 / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    height, width = (-(-side // 32) * 32 for side in small.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    outputs = detector(tensor(canvas))
    faces = []
    for stride in (8, 16, 32):
        score = np.sqrt(outputs[f"cls_{stride}"].clip(0, 1) * outputs[f"obj_{stride}"].clip(0, 1)).ravel()
        for cell in np.flatnonzero(score >= 0.6):
            column, row = cell % (width // stride), cell // (width // stride)
            dx, dy, dw, dh = outputs[f"bbox_{stride}"][0, cell]
            w, h = np.exp(dw) * stride, np.exp(dh) * stride
            x, y = (column + dx) * stride - w / 2, (row + dy) * stride - h / 2
            points = (outputs[f"kps_{stride}"][0, cell].reshape(5, 2) + (column, row)) * stride
            faces.append((float(score[cell]), np.array([x, y, w, h]) / scale, points / scale))
    kept = cv2.dnn.NMSBoxes([f[1].tolist() for f in faces], [f[0] for f in faces], 0.6, 0.3) if faces else []
    return [faces[i] for i in kept]


def chip(image, source, target, size, flags=cv2.INTER_LINEAR):
    matrix, _ = cv2.estimateAffinePartial2D(np.float32(source), np.float32(target), method=cv2.LMEDS)
    return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def square(image, center, side, angle, size):
    matrix = cv2.getRotationMatrix2D([float(c) for c in center], angle, size / side)
    matrix[:, 2] += size / 2 - np.array(center)
    return cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE), matrix


def live(image, box):
    height, width = image.shape[:2]
    scores = []
    for scale, network in liveness:
        for grow, shift in JITTER:
            w, h = box[2] * grow, box[3] * grow
            fit = min(scale, (width - 1) / w, (height - 1) / h)
            cx, cy = box[0] + box[2] / 2 + shift * box[2], box[1] + box[3] / 2 + shift * box[3]
            x = int(np.clip(cx - w * fit / 2, 0, width - 1 - w * fit))
            y = int(np.clip(cy - h * fit / 2, 0, height - 1 - h * fit))
            crop = cv2.resize(image[y : y + int(h * fit) + 1, x : x + int(w * fit) + 1], (80, 80))
            scores.append(network(tensor(crop))["probabilities"][0, 1])
    return float(np.mean(scores))


@app.post("/api/v1/face/detect")
def answer(request: Request):
    image = cv2.imdecode(np.frombuffer(base64.b64decode(request.faceImageBase), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise HTTPException(422, "no picture")
    faces = detect(image)
    if len(faces) != 1:
        return {"sessionId": request.sessionId, "hasError": True, "error": "TOO_MANY_FACES" if faces else "FACE_NOT_FOUND"}
    _, box, points = faces[0]
    center = box[:2] + box[2:] / 2
    angle = np.degrees(np.arctan2(*(points[1] - points[0])[::-1]))
    face, matrix = square(image, center, 1.5 * max(box[2:]), angle, 256)
    found = landmarker(tensor(cv2.cvtColor(face, cv2.COLOR_BGR2RGB)) / np.float32(255))
    back = cv2.invertAffineTransform(matrix)
    mesh = found["landmarks"][0][:, :2] @ back[:, :2].T + back[:, 2]
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.size < 3e6 else None
    if rgb is None:  # only the face's surroundings of a large picture
        x, y = np.maximum(center - 1.2 * max(box[2:]), 0).astype(int)
        part = image[y : y + int(2.4 * max(box[2:])), x : x + int(2.4 * max(box[2:]))]
        shrink = min(1.0, 500 / max(part.shape[:2]))
        rgb = cv2.cvtColor(cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        mesh, points = (mesh - (x, y)) * shrink, (points - (x, y)) * shrink
    covered = occlusion(tensor(chip(rgb, points, [[41.84, 54.16], [70, 54], [56, 70.16], [44.4, 86.72], [67.76, 86.56]], 112)))
    eyes = [(mesh[33] + mesh[133]) / 2, (mesh[362] + mesh[263]) / 2]

    def eye_chips(size):
        middle = [(0.3123 * size, 0.3009 * size), (0.6877 * size, 0.3009 * size)]
        chips = []
        for mirrored, scale, dx, dy in VARIANTS:
            target = [((p[0] - size / 2) / scale + size * (0.5 - dx), (p[1] - size / 2) / scale + size * (0.5 - dy)) for p in middle]
            one = chip(rgb, eyes, target, size)
            chips.append(one[:, ::-1] if mirrored else one)
        return tensor(*chips)

    years = age(eye_chips(64))["probabilities"] @ np.array([0.25, *range(1, 81)])
    female = gender(eye_chips(32))["probabilities"][:, 0]
    low, high = mesh.min(0), mesh.max(0)
    second, _ = square(rgb, (low + high) / 2, 1.2 * max(high - low), 0, 112)
    second = age_gender(tensor(second, second[:, ::-1]))
    years = 0.44 * years.mean() + 0.56 * second["age"].mean()
    p = 0.35 * female.mean() + 0.65 * second["gender"][:, 1].mean()
    x, y, w, h = (int(round(v)) for v in box)
    return {
        "sessionId": request.sessionId,
        "hasError": False,
        "occlusion": float(covered["occlusion"][0, 0]),
        "face": {
            "age": int(round(years)),
            "gender": int(round(10000 * (2 * p - 1))),
            "passiveLivenessScore": live(image, box),
            "rectangle": {"top": y, "left": x, "width": w, "height": h, "right": x + w, "bottom": y + h},
        },
    }
