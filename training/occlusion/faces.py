"""Reads what prepare.py and sources.py wrote."""

import csv
import re
from pathlib import Path

import numpy as np

from geometry import CACHE_POINTS, similarity


def in_cache(row):
    """The five points of a row of a table, in the cached picture."""
    points = np.array(list(map(float, row["points"].split()))).reshape(5, 2)
    matrix = similarity(points, CACHE_POINTS)
    return points @ matrix[:, :2].T + matrix[:, 2]


class Others:
    """What sources.py wrote."""

    def __init__(self, cache):
        with open(Path(cache) / "others.csv", newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.chips = np.load(Path(cache) / "others.npz")["chips"]
        self.points = np.array([in_cache(row) for row in self.rows])

    def select(self, split, which, kinds=None, verdicts=None):
        """Indices of a set (or of all, with None), without those that the eye gave a verdict."""
        return [i for i, r in enumerate(self.rows) if r["split"] == split and which in (None, r["set"])
                and (kinds is None or r["kind"] in kinds) and (verdicts is None or (r["set"], Path(r["path"]).name) not in verdicts)]


class Faces:
    def __init__(self, cache):
        with open(Path(cache) / "faces.csv", newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.chips = np.load(Path(cache) / "faces.npz")["chips"]
        self.points = np.array([in_cache(row) for row in self.rows])

    def tight(self, i):
        """Whether it is a tight crop of the one large source (`0_0_NAME_0001.jpg`, `0_0_12_copy.jpg`)."""
        return re.match(r"\d_\d_", self.rows[i]["name"]) is not None

    def select(self, split, folder, verdict=None):
        """Indices without copies and without pictures that the eye rejected."""
        verdict = verdict or ("bare" if folder == "bare" else "occluded")
        return [i for i, r in enumerate(self.rows) if r["split"] == split and r["label"] == folder and r["copy"] == "0"
                and r["verdict"] == verdict]
