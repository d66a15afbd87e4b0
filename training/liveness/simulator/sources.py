"""The pictures that attacks are drawn from, with the face that YuNet finds in each, kept as one pickle."""

import csv
import pickle
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

# Set, pictures, column that tells persons or near copies apart (pictures without it stand alone).
TRAINED = (("live-hagrid", "img", "group"), ("age-uk-parliament", "img", "person"))
# A face narrower than this is coarser than the networks' input.
NARROWEST = 52
# Larger pictures are reduced to this longer side before the detector sees them.
DETECTED = 640


class Detector:
    """YuNet: the most certain face of a picture, as box (left, top, width, height) and five points."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def face(self, picture):
        height, width = picture.shape[:2]
        scale = min(1.0, DETECTED / max(height, width))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
        h, w = small.shape[:2]
        padded = np.zeros(((h + 31) // 32 * 32, (w + 31) // 32 * 32, 3), np.float32)
        padded[:h, :w] = small
        names = [o.name for o in self.session.get_outputs()]
        out = dict(zip(names, self.session.run(None, {"input": padded.transpose(2, 0, 1)[None]})))
        best = None
        for stride in (8, 16, 32):
            score = np.sqrt(np.clip(out[f"cls_{stride}"], 0, 1) * np.clip(out[f"obj_{stride}"], 0, 1)).ravel()
            i = int(score.argmax())
            if best is None or score[i] > best[0]:
                at = np.array([i % (padded.shape[1] // stride), i // (padded.shape[1] // stride)], np.float32)
                b, k = out[f"bbox_{stride}"][0, i], out[f"kps_{stride}"][0, i].reshape(5, 2)
                middle, size = (at + b[:2]) * stride, np.exp(b[2:]) * stride
                best = (float(score[i]), np.r_[middle - size / 2, size] / scale, (k + at) * stride / scale)
        return best


def load(data, detector, sets, cache):
    """Every picture of the sets with a face wide enough: dictionaries of set, path, group, picture (BGR), box, points."""
    cache = Path(cache)
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    finder, found = Detector(detector), []
    for name, folder, column in sets:
        table = Path(data) / name / "labels.csv"
        rows = {r["path"]: r for r in csv.DictReader(table.open())} if table.exists() else {}
        for path in sorted((Path(data) / name / folder).iterdir()):
            picture = cv2.imread(str(path))
            best = finder.face(picture) if picture is not None else None
            if best is None or best[0] < 0.6:
                continue
            own = rows.get(f"{folder}/{path.name}", {}).get(column) if column else None
            found.append({"set": name, "path": str(path), "group": f"{name}/{own or path.name}", "picture": picture, "box": best[1], "points": best[2]})
    cache.write_bytes(pickle.dumps(found))
    return found
