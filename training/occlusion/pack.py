#!/usr/bin/env python3
"""Packs what training draws from into one file: faces of the training and validation splits, cut-outs, textures. Never the test split.

    python3 pack.py --data FOLDER --cache FOLDER --out sources.npz
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

import compose
import coverings
from faces import Faces, Others
from geometry import CACHE
from parts import BARE, UNKNOWN
from prepare import verdicts

# Real masks hide nose, mouth and the lower face; some sit under the nose, and over some of them there are sunglasses.
MASKED = np.array([1, 0.05, 0.05, 0.92, 1, 1], np.float32)
# A finger before the lips is about a third as wide as the mouth (1.7 of 5 cm), and it hides where the lips meet: a covered
# mouth. Every face of that kind was looked at: the finger lies across the lips. How much of nose and chin it hides differs
# from picture to picture: left open.
FINGER = np.array([1, 0, 0, UNKNOWN, 1, UNKNOWN], np.float32)
OTHER = np.array([1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN], np.float32)

# A chip is 112 pixels wide and the cached picture 1.5 times as fine: a little of that is given up so that the file stays small.
STORED, QUALITY = 200, 86
# The longer side of cut-outs, pixels.
LIMITS = {"hands": 230, "masks": 230, "devices": 200}
VALIDATION = 120


def fair(rows, key):
    """Weights by which a person with many pictures counts as the root of their number."""
    keys = [row.get(key) or n for n, row in enumerate(rows)]
    count = {}
    for k in keys:
        count[k] = count.get(k, 0) + 1
    weights = np.array([1 / np.sqrt(count[k]) for k in keys])
    return weights / weights.sum()


def pools(faces, others, split, seen):
    """The real faces of one side of the split by kind: chips, points, targets, weights."""
    bare, masked = faces.select(split, "bare"), faces.select(split, "masked")
    weights = fair([faces.rows[i] for i in bare], "person")
    tight = np.array([faces.tight(i) for i in bare])
    for part in (tight, ~tight):  # the tight crops of the one large source count as much together as everything else
        weights[part] /= 2 * max(weights[part].sum(), 1e-9)
    yield "bare", faces, bare, [BARE] * len(bare), weights
    covered = faces.select(split, "bare", "occluded")
    yield "masked", faces, masked + covered, [MASKED] * len(masked) + [OTHER] * len(covered), np.ones(len(masked) + len(covered))
    for name, which, kinds, target in (("hagrid", "live-hagrid", ("call", "peace"), BARE), ("parliament", "age-uk-parliament", None, BARE),
                                       ("fairface", "fairface-200", None, BARE), ("finger", "live-hagrid", ("mute",), FINGER)):
        mine = others.select(split, which, kinds, seen)
        yield name, others, mine, [target] * len(mine), fair([others.rows[i] for i in mine], "person")


def encode(picture):
    return cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].ravel()


def small(picture, side):
    """Made so small that its longer side is `side`; colours under transparent pixels do not bleed in."""
    scale = min(1.0, side / max(picture.shape[:2]))
    return coverings.shrunk(picture, scale)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    seen = verdicts(Path(__file__).parent / "labels.csv")
    faces, others = Faces(args.cache), Others(args.cache)
    names, blobs, points, targets, weights = [], [], [], [], []
    for split in ("train", "validation"):
        for name, source, indices, wanted, shares in pools(faces, others, split, seen):
            for n, i in enumerate(indices if split == "train" else indices[:VALIDATION]):
                names.append(f"{split} {name}")
                blobs.append(encode(cv2.resize(source.chips[i], (STORED, STORED), interpolation=cv2.INTER_AREA)))
                points.append(source.points[i])
                targets.append(wanted[n])
                weights.append(shares[n])
    coverings.load(args.data)
    cut = [(f"hands {kind}", small(c, LIMITS["hands"])) for kind, cuts in coverings.HANDS.items() for c in cuts if c is not None]
    cut += [(f"masks {kind}", small(c, LIMITS["masks"])) for kind, cuts in coverings.MASKS.items() for c in cuts if c is not None]
    cut += [("devices", small(c, LIMITS["devices"])) for c in coverings.DEVICES]
    cut += [("fabrics", c) for c in compose.FABRICS]
    size = {}
    for name, picture in cut:
        names.append(name)
        blobs.append(encode(picture))
    for name, blob in zip(names, blobs):
        size[name] = size.get(name, 0) + len(blob)
    print({name: f"{n / 1e6:.2f} MB" for name, n in size.items()}, "cached side", CACHE)
    np.savez(args.out, names=np.array(names), ends=np.cumsum([len(b) for b in blobs]), bytes=np.concatenate(blobs),
             points=np.array(points), targets=np.array(targets), weights=np.array(weights))


if __name__ == "__main__":
    main()
