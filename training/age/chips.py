"""What the age and gender networks see of a face, cut as facegate cuts it (alignment.rs, age_gender.rs)."""

import numpy as np
from PIL import Image

# dlib's mean five points with a padding of 0.2, and the landmarks that belong to them, as in age_gender.rs.
CHIP_POINTS = np.array([[0.7568, 0.2954], [0.6043, 0.3064], [0.2290, 0.2955], [0.3815, 0.3065], [0.4929, 0.5913]])
CHIP_LANDMARKS = [263, 362, 33, 133, 2]
OUTLINE = [127, 234, 93, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 323, 454, 356,
           70, 63, 105, 66, 107, 336, 296, 334, 293, 300]
OUTLINE_SCALE = 1.2
VIEW_SPAN, VIEW_FACE = 2.1, 224.0
LEVELS_PER_OCTAVE = 4.0
AGE_SIDE, GENDER_SIDE, SECOND_SIDE = 64, 32, 112


def similarity(source, target):
    """`[[a, -b, c], [b, a, d]]` that moves `source` to `target` with the least sum of squares."""
    p, q = source - source.mean(0), target - target.mean(0)
    norm = (p * p).sum()
    a, b = (p * q).sum() / norm, (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / norm
    turn = np.array([[a, -b], [b, a]])
    return np.hstack([turn, (target.mean(0) - turn @ source.mean(0))[:, None]])


def around(start, end, scale):
    turn = np.eye(2) * scale
    return np.hstack([turn, (np.asarray(end) - turn @ np.asarray(start))[:, None]])


def then(first, second):
    """`first`, and `second` after it."""
    turn = second[:, :2] @ first[:, :2]
    return np.hstack([turn, (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]])


class View:
    """The surroundings of a face, reduced."""

    def __init__(self, picture, face):
        """`picture` a PIL image, `face` left, top, width, height."""
        left, top, width, height = face
        side = max(width, height, 1.0)
        half = side * VIEW_SPAN / 2
        cx, cy = left + width / 2, top + height / 2
        self.left, self.top = max(int(np.floor(cx - half)), 0), max(int(np.floor(cy - half)), 0)
        right = min(max(int(np.ceil(cx + half)), self.left + 1), picture.width)
        bottom = min(max(int(np.ceil(cy + half)), self.top + 1), picture.height)
        seen = (right - self.left, bottom - self.top)
        reduction = min(VIEW_FACE / side, 1.0)
        size = tuple(max(round(s * reduction), 1) for s in seen)
        box = (self.left, self.top, right, bottom)
        small = picture.crop(box) if size == seen else picture.resize(size, Image.BILINEAR, box=box)
        self.seen = (self.left, self.top, *seen)
        self.scale = np.array(size) / np.array(seen)
        self.levels = {0: (small, self.scale)}

    def sample(self, from_chip, side):
        """RGB floats [3, side, side]; `from_chip` maps chip to picture coordinates."""
        reduction = np.hypot(*from_chip[:, 0]) * self.scale.max()
        step = max(int(np.floor(np.log2(max(reduction, 1e-9)) * LEVELS_PER_OCTAVE + 0.5)), 0)
        step = 0 if step < 2 else step
        if step not in self.levels:
            full = self.levels[0][0]
            size = tuple(max(round(s / 2 ** (step / LEVELS_PER_OCTAVE)), 1) for s in full.size)
            self.levels[step] = (full.resize(size, Image.BILINEAR), self.scale * np.array(size) / np.array(full.size))
        level, scale = self.levels[step]
        pixels = np.asarray(level, np.float32)
        y, x = np.mgrid[0:side, 0:side] + 0.5
        px = from_chip[0, 0] * x + from_chip[0, 1] * y + from_chip[0, 2]
        py = from_chip[1, 0] * x + from_chip[1, 1] * y + from_chip[1, 2]
        px = np.clip((px - self.left) * scale[0] - 0.5, 0, pixels.shape[1] - 1)
        py = np.clip((py - self.top) * scale[1] - 0.5, 0, pixels.shape[0] - 1)
        x0, y0 = px.astype(int), py.astype(int)
        x1, y1 = np.minimum(x0 + 1, pixels.shape[1] - 1), np.minimum(y0 + 1, pixels.shape[0] - 1)
        fx, fy = (px - x0)[..., None].astype(np.float32), (py - y0)[..., None].astype(np.float32)
        upper = pixels[y0, x0] + (pixels[y0, x1] - pixels[y0, x0]) * fx
        lower = pixels[y1, x0] + (pixels[y1, x1] - pixels[y1, x0]) * fx
        return (upper + (lower - upper) * fy).transpose(2, 0, 1)


# Mirrored or not, scale, shift in shares of the side: the crops of release 0.1.0 (`effort = accurate`).
PLAIN, MIRRORED = (False, 1.0, (0.0, 0.0)), (True, 1.0, (0.0, 0.0))
FOUR = (PLAIN, MIRRORED, (False, 1.05, (0.02, 0.02)), (True, 0.95, (0.02, -0.02)))


def vary(view, from_chip, side, variant):
    mirrored, scale, shift = variant
    middle = np.full(2, side / 2)
    chip = view.sample(then(around(middle, middle + np.array(shift) * side, scale), from_chip), side)
    return chip[:, :, ::-1] if mirrored else chip


def dlib_chip(view, five, side, variant=PLAIN):
    """`five`: the points of CHIP_LANDMARKS in the picture."""
    return vary(view, similarity(CHIP_POINTS * side, five), side, variant)


def smooth(chip):
    """The binomial filter of five taps along both axes; edge pixels repeat."""
    for axis in (1, 2):
        padded = np.pad(chip, [(0, 0)] + [(2, 2) if a == axis else (0, 0) for a in (1, 2)], mode="edge")
        size = chip.shape[axis]
        taps = [np.take(padded, range(k, k + size), axis) for k in range(5)]
        chip = (taps[0] + taps[4] + 4 * (taps[1] + taps[3]) + 6 * taps[2]) / 16
    return chip


def second_chip(view, outline, variant=PLAIN):
    """`outline`: the points of OUTLINE in the picture."""
    begin, length = np.array(view.seen[:2], float), np.array(view.seen[2:], float)
    low, high = outline.min(0), outline.max(0)
    rim = (high - low) * (OUTLINE_SCALE - 1) / 2
    start, end = np.maximum(low - rim, begin), np.minimum(high + rim, begin + length)
    size = np.maximum(end - start, 0)
    side = max(size.max(), 1.0)
    chip = vary(view, around(np.full(2, SECOND_SIDE / 2), (start + end) / 2, side / SECOND_SIDE), SECOND_SIDE, variant)
    chip = smooth(chip)
    columns, rows = np.floor((1 - size / side) / 2 * SECOND_SIDE + 0.5).astype(int)
    chip[:, :rows] = chip[:, SECOND_SIDE - rows:] = 0
    chip[:, :, :columns] = chip[:, :, SECOND_SIDE - columns:] = 0
    return chip
