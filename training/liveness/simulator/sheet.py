"""Draws a sheet to look at: for each kind a row of pairs (live, attack), and rows of real frames of any folder below. Not to be kept
in the project: it shows people."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from attacks import KINDS
from draw import read

TALL, WIDE, ACROSS = 112, 84, 18


def row(pictures):
    small = [cv2.resize(p, (WIDE, TALL), interpolation=cv2.INTER_AREA) for p in pictures[:ACROSS]]
    return np.hstack(small + [np.zeros((TALL, WIDE, 3), np.uint8)] * (ACROSS - len(small)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder of draw.py")
    parser.add_argument("--seed", type=int, default=3, help="seed of draw.py")
    parser.add_argument("--beside", type=Path, help="folder of real frames")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pictures, kinds, _, _ = read(options.cache, options.seed)
    rows = []
    for kind in range(len(KINDS)):
        flat = pictures[kinds == kind].reshape(-1, *pictures.shape[2:])
        rows += [row(flat[:ACROSS]), row(flat[ACROSS : 2 * ACROSS])]
    if options.beside:
        paths = sorted(p for p in options.beside.iterdir() if p.is_file())
        for part in np.array_split(paths, 4):
            rows.append(row([cv2.imread(str(p)) for p in part[:: max(1, len(part) // ACROSS)]]))
    cv2.imwrite(str(options.out), np.vstack(rows))


if __name__ == "__main__":
    main()
