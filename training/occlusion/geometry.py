"""Where a face goes in the classifier's picture, and how its pixels get there. crates/ must do the same."""

import cv2
import numpy as np

CHIP = 112
# Right eye, left eye, nose tip, right and left mouth corner (the person's right, so the picture's left). It is the usual
# 112x112 recognition template drawn in to 80 % about (56, 64): the whole chin and the forehead stay inside, which is
# where masks, scarves and hands end.
CHIP_POINTS = np.array([[41.84, 54.16], [70.00, 54.00], [56.00, 70.16], [44.40, 86.72], [67.76, 86.56]], np.float64)

# Faces are cached larger than a chip so that training can turn, shift and shrink them without inventing pixels.
CACHE = 240
CACHE_SCALE = 1.5
CACHE_POINTS = (CHIP_POINTS - CHIP / 2) * CACHE_SCALE + CACHE / 2


def similarity(source, target):
    """The 2x3 least-squares similarity (no mirroring) that moves `source` onto `target`: Umeyama in two dimensions."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    s0, t0 = source.mean(0), target.mean(0)
    s, t = source - s0, target - t0
    norm = (s * s).sum()
    a = (s * t).sum() / norm
    b = (s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum() / norm
    m = np.array([[a, -b], [b, a]])
    return np.hstack([m, (t0 - m @ s0)[:, None]])


def warp(picture, matrix, size):
    """Applies a similarity: area-averaged reduction first when it shrinks, then bilinear; edge pixels repeat outside."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    matrix = np.array(matrix, np.float64)
    if scale < 1.0:
        h, w = picture.shape[:2]
        nw, nh = max(1, round(w * scale)), max(1, round(h * scale))
        picture = cv2.resize(picture, (nw, nh), interpolation=cv2.INTER_AREA)
        # Pixel centres: x_small + 0.5 = (x + 0.5) * nw / w.
        fx, fy = nw / w, nh / h
        undo = np.array([[1 / fx, 0, 0.5 / fx - 0.5], [0, 1 / fy, 0.5 / fy - 0.5], [0, 0, 1]])
        matrix = matrix @ undo
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class Detector:
    """YuNet with the border that lets it see faces which fill their picture."""

    def __init__(self, path, score=0.1):
        self.net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score, 0.3, 50)

    def __call__(self, picture, long_side=320, border=0.15):
        """Rows of x, y, w, h, five points, score in the picture's own pixels, best score first."""
        h, w = picture.shape[:2]
        b = round(border * max(h, w))
        framed = cv2.copyMakeBorder(picture, b, b, b, b, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        scale = long_side / max(framed.shape[:2])
        size = (max(1, round(framed.shape[1] * scale)), max(1, round(framed.shape[0] * scale)))
        small = cv2.resize(framed, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        # The network halves its input five times, and some OpenCV versions do not pad for that.
        right, below = -size[0] % 32, -size[1] % 32
        small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        self.net.setInputSize((small.shape[1], small.shape[0]))
        faces = self.net.detect(small)[1]
        if faces is None:
            return np.zeros((0, 15), np.float32)
        faces = faces.copy()
        faces[:, :14] /= scale
        faces[:, [0, 1, 4, 6, 8, 10, 12]] -= b
        faces[:, [5, 7, 9, 11, 13]] -= b
        return faces[np.argsort(-faces[:, 14], kind="stable")]


def points(face):
    return np.asarray(face[4:14], np.float64).reshape(5, 2)
