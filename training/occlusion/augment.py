"""From a cached face to a 112x112 chip as a bad camera, a bad connection and a detector would deliver it.

Both classes pass through the same steps: the folders differ in resolution, compression and crop, and none of that may
tell them apart.
"""

import cv2
import numpy as np

from geometry import CACHE, CHIP, CHIP_POINTS, similarity, warp

SWAP = [1, 0, 2, 4, 3]


def crop_edges(picture, rng):
    """Pretends that the picture ended here: everything outside repeats the edge, as in a tight crop."""
    left, right = rng.integers(0, 56, 2) * (rng.random(2) < 0.5)
    above, below = rng.integers(0, 70) * (rng.random() < 0.6), rng.integers(0, 66) * (rng.random() < 0.5)
    angle = rng.normal(0, 8)
    turn = cv2.getRotationMatrix2D((CACHE / 2, CACHE / 2), angle, 1.0)
    turned = cv2.warpAffine(picture, turn, (CACHE, CACHE), borderMode=cv2.BORDER_REPLICATE)
    inner = turned[above:CACHE - below, left:CACHE - right]
    framed = cv2.copyMakeBorder(inner, int(above), int(below), int(left), int(right), cv2.BORDER_REPLICATE)
    return cv2.warpAffine(framed, cv2.invertAffineTransform(turn), (CACHE, CACHE), borderMode=cv2.BORDER_REPLICATE)


def degrade(picture, rng, least=44):
    """Low resolution, blur, noise and JPEG blocks, at the resolution they would have had."""
    side = picture.shape[0]
    small = picture
    if rng.random() < 0.75:
        n = int(np.exp(rng.uniform(np.log(least), np.log(side))))
        small = cv2.resize(picture, (n, n), interpolation=(cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.choice(3, p=[0.7, 0.15, 0.15])])
    if rng.random() < 0.3:
        # Not so much that an eye is lost: a face that is blurred away counts as covered (coverings.anonymise).
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 1.6) * min(1.0, small.shape[0] / 70))
    elif rng.random() < 0.12:
        n = int(rng.integers(3, 5 if small.shape[0] < 70 else 9))
        kernel = np.zeros((n, n), np.float32)
        cv2.line(kernel, tuple(map(int, rng.integers(0, n, 2))), tuple(map(int, rng.integers(0, n, 2))), 1)
        small = cv2.filter2D(small, -1, kernel / max(kernel.sum(), 1))
    if rng.random() < 0.4:
        small = np.clip(small + rng.normal(0, rng.uniform(1, 10), small.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.75:
        small = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18 if small.shape[0] >= 80 else 35, 96))])[1], cv2.IMREAD_COLOR)
    if small.shape[0] != side:
        small = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC)
    return small


def relight(picture, rng):
    """Exposure, contrast, gamma, colour cast, saturation, grey, a light gradient. float32 in, float32 out."""
    if rng.random() < 0.12:
        picture = np.repeat(picture @ np.array([0.114, 0.587, 0.299], np.float32)[:, None], 3, 2)
    elif rng.random() < 0.7:
        grey = picture.mean(2, keepdims=True)
        picture = grey + (picture - grey) * np.float32(rng.uniform(0.3, 1.5))
    if rng.random() < 0.6:
        picture = picture * np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)
    if rng.random() < 0.5:
        picture = 255 * (np.clip(picture, 0, 255) / 255) ** np.float32(np.exp(rng.normal(0, 0.35)))
    if rng.random() < 0.7:
        mean = picture.mean()
        picture = (picture - mean) * np.float32(rng.uniform(0.5, 1.35)) + mean * np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.25:
        n = picture.shape[0]
        ramp = np.linspace(-1, 1, n, dtype=np.float32)
        a = rng.normal(0, 0.25, 2)
        picture = picture * np.clip(1 + a[0] * ramp[:, None, None] + a[1] * ramp[None, :, None], 0.2, 2).astype(np.float32)
    return np.clip(picture, 0, 255)


def augment(picture, points, rng, least=44):
    """A random chip, uint8 BGR, made no smaller than `least` pixels in between, and whether it is a mirror image."""
    if rng.random() < 0.4:
        picture = crop_edges(picture, rng)
    flipped = rng.random() < 0.5
    if flipped:
        picture = picture[:, ::-1]
        points = (points * [-1, 1] + [CACHE - 1, 0])[SWAP]
    # The points come from a detector today and may come from landmarks tomorrow: each is a little off, all of them together
    # more so, and over a covering they are guesses.
    eye = float(np.hypot(*(points[1] - points[0])))
    points = points + rng.normal(0, 0.035 * max(eye, 25), points.shape)
    angle, scale = np.radians(rng.normal(0, 5)), np.exp(rng.normal(0, 0.06))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    target = (CHIP_POINTS - CHIP / 2) @ turn.T + CHIP / 2 + rng.normal(0, 1.8, 2)
    matrix = similarity(points, target)
    if rng.random() < 0.3:  # another aspect, as stretched pictures have
        matrix = matrix * np.array([[np.exp(rng.normal(0, 0.1))], [1.0]])
        matrix[0, 2] += CHIP / 2 - (matrix[0, :2] @ points.mean(0) + matrix[0, 2])
    chip = warp(np.ascontiguousarray(picture), matrix, CHIP)
    chip = relight(chip.astype(np.float32), rng).astype(np.uint8)
    return degrade(chip, rng, least), flipped


def plain(picture, points):
    """The chip as the product cuts it."""
    return warp(picture, similarity(points, CHIP_POINTS), CHIP)
