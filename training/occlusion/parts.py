"""Which parts of a face are hidden: measured on the fourth channel that compose.py and coverings.py lower."""

import cv2
import numpy as np

from geometry import CACHE

# What the network answers: the whole face first, then these (the person's right, so the picture's left).
PARTS = ("right eye", "left eye", "nose", "mouth", "lower face")

# The share of a part that must be hidden for it to begin to count as covered, and to count fully. Three tenths of an eye
# hidden, or a finger across the mouth, make a covered one; of the lower face (everything under the nose) half, because a hand at the chin hides some of it.
BEGIN = np.array([0.10, 0.10, 0.15, 0.10, 0.20])
FULL = np.array([0.30, 0.30, 0.45, 0.28, 0.50])

BARE = np.zeros(6, np.float32)
UNKNOWN = np.float32(np.nan)


def ellipse(centre, right, down, wide, high):
    t = np.arange(20) * (2 * np.pi / 20)
    return centre + np.cos(t)[:, None] * right * wide + np.sin(t)[:, None] * down * high


def regions(points, face):
    """A mask for each part."""
    mouth = points[3:].mean(0)
    half = np.clip(np.hypot(*(points[4] - points[3])) / np.hypot(*face.right) / 2, 0.25, 0.45)
    outlines = [ellipse(points[0], face.right, face.down, 0.26, 0.15), ellipse(points[1], face.right, face.down, 0.26, 0.15),
                ellipse(points[2] - face.down * 0.08, face.right, face.down, 0.24, 0.24),
                ellipse(mouth, face.right, face.down, half * 1.1, 0.17),
                mouth + np.array([(-0.75, -0.2), (0.75, -0.2), (0.7, 0.25), (0.4, 0.62), (0, 0.72), (-0.4, 0.62), (-0.7, 0.25)])
                @ np.stack([face.right, face.down])]
    masks = np.zeros((len(outlines), CACHE, CACHE), np.uint8)
    for mask, outline in zip(masks, outlines):
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return masks.astype(bool)


def targets(seen, points, face):
    """The answer that the network should give for a picture whose fourth channel is `seen`: overall, then the parts."""
    hidden = np.clip((0.65 - seen / 255) / 0.5, 0, 1)
    share = np.array([hidden[mask].mean() if mask.any() else 0 for mask in regions(points, face)])
    parts = np.clip((share - BEGIN) / (FULL - BEGIN), 0, 1)
    return np.concatenate([[parts.max()], parts]).astype(np.float32)
