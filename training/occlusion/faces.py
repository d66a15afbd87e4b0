"""Reads what prepare.py wrote."""

import csv
import re
from pathlib import Path

import numpy as np

from geometry import CACHE_POINTS, similarity


class Faces:
    def __init__(self, cache):
        with open(Path(cache) / "faces.csv", newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.chips = np.load(Path(cache) / "faces.npz")["chips"]
        self.points = []
        for row in self.rows:
            points = np.array(list(map(float, row["points"].split()))).reshape(5, 2)
            matrix = similarity(points, CACHE_POINTS)
            self.points.append(points @ matrix[:, :2].T + matrix[:, 2])
        self.points = np.array(self.points)

    def tight(self, i):
        """Whether it is a tight crop of the one large source (`0_0_NAME_0001.jpg`, `0_0_12_copy.jpg`)."""
        return re.match(r"\d_\d_", self.rows[i]["name"]) is not None

    def select(self, split, folder, verdict=None):
        """Indices without copies and without pictures that the eye rejected."""
        verdict = verdict or ("bare" if folder == "bare" else "occluded")
        return [i for i, r in enumerate(self.rows) if r["split"] == split and r["label"] == folder and r["copy"] == "0"
                and r["verdict"] == verdict]
