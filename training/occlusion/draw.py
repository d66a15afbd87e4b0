"""Draws faces from the packed sources, in processes of their own, while the network trains."""

import collections
import multiprocessing
import threading
import time

import cv2
import numpy as np

import compose
import coverings
from geometry import CACHE
from parts import BARE

# How often each kind of face is drawn, and the share of it in a batch, before train.py weighs kinds by how badly they are known.
# Coverings (coverings.cover) first, then real covered faces changed, then what must stay quiet.
COVERINGS = {"hand": 0.075, "fingertips": 0.045, "fingers": 0.06, "sunglasses": 0.055, "other sunglasses": 0.025, "patch": 0.03, "panel": 0.03, "phone": 0.025, "microphone": 0.025,
             "anonymised": 0.03, "fine cells": 0.03, "real mask": 0.03, "mask": 0.02, "low mask": 0.015, "drawn hand": 0.015, "hair": 0.01, "lock": 0.02,
             "scarf": 0.01, "object": 0.01, "veil": 0.005, "drawn phone": 0.005}
CHANGED = {"masked mixed": 0.06, "masked worn": 0.02, "finger mixed": 0.03, "finger skin": 0.02}
QUIET = {"beside": 0.06, "decorate": 0.08, "beard": 0.03, "full beard": 0.03, "glasses": 0.03, "open mouth": 0.015, "skin": 0.04, "bare mixed": 0.03}
KINDS = COVERINGS | CHANGED | QUIET
# Real faces as they are: share of a batch.
REAL = {"masked": 0.06, "finger": 0.05, "bare": 0.06, "hagrid": 0.05, "parliament": 0.035, "fairface": 0.015}
BARE_POOLS, BARE_SHARES = ("bare", "hagrid", "parliament", "fairface"), (0.35, 0.35, 0.22, 0.08)


class Pool:
    """Real faces of one kind with their targets, decoded from the pack."""

    def __init__(self, pictures, points, targets, weights):
        self.pictures, self.points, self.targets = pictures, points, targets
        self.weights = weights / weights.sum()
        self.ends = np.cumsum(self.weights)

    def pick(self, rng):
        """A picture, its points, its target."""
        n = min(int(np.searchsorted(self.ends, rng.random())), len(self.pictures) - 1)
        return self.pictures[n], self.points[n], self.targets[n]


def unpack(path):
    """The pools of the training and the validation split by name; cut-outs and textures go where they are used."""
    with np.load(path) as stored:
        names, ends, blob = stored["names"], stored["ends"], stored["bytes"]
        points, targets, weights = stored["points"], stored["targets"], stored["weights"]
    of = {}
    for n, name in enumerate(names):
        of.setdefault(str(name), []).append(n)

    def picture(n):
        return cv2.imdecode(blob[ends[n - 1] if n else 0:ends[n]], cv2.IMREAD_UNCHANGED)

    pools = {"train": {}, "validation": {}}
    for name, mine in of.items():
        first, _, rest = name.partition(" ")
        if first in pools:
            faces = np.stack([cv2.resize(picture(n)[..., :3], (CACHE, CACHE), interpolation=cv2.INTER_CUBIC) for n in mine])
            pools[first][rest] = Pool(faces, points[mine], targets[mine], weights[mine])
        else:
            coverings.take(first, rest, [picture(n) for n in mine])
    return pools["train"], pools["validation"]


def draw(kind, seed, pools):
    """One drawn face: picture uint8 BGR, points, target. It depends on kind and seed only."""
    rng = np.random.default_rng(seed)
    real = kind.split()[0] if kind in CHANGED else None
    picture, at, target = pools[real or BARE_POOLS[rng.choice(4, p=BARE_SHARES)]].pick(rng)
    if kind.endswith("mixed"):
        other = pools["masked" if real is None else ("bare", "hagrid")[rng.integers(2)]].pick(rng)
        # Sunglasses over a mask are common in the masked folder and would cover a bare face's eyes: those stay.
        picture = compose.other_head(picture, at, other[0], other[1], rng, real is not None and rng.random() < 0.7)
    if kind.endswith("skin") or rng.random() < 0.3:
        picture = compose.other_skin(picture, at, rng)
    face = compose.Face(picture, at, rng)
    picture = picture.astype(np.float32)
    if kind in COVERINGS:
        if rng.random() < 0.25:
            picture = coverings.decorate(picture, face)
        picture, _, target = coverings.cover(picture, at, face, kind)
    elif kind == "beside":
        picture, target = coverings.beside(picture, at, face)
    elif kind == "masked worn":
        picture = compose.light_decorate(picture, face)
    elif kind in QUIET:
        target = BARE
        if kind == "decorate":
            picture = coverings.decorate(picture, face)
        elif kind in coverings.LOOKALIKES:
            picture = coverings.LOOKALIKES[kind](picture, face)
    return np.clip(picture, 0, 255).astype(np.uint8), at, target


def draw_on(queue, pools, worker, workers, seed):
    """Draws for ever, for a process of its own: face number n is the same whoever draws it."""
    cv2.setNumThreads(1)
    kinds, shares = list(KINDS), np.array(list(KINDS.values()))
    shares = shares / shares.sum()
    n = worker
    while True:
        some = []
        for _ in range(8):
            which = int(np.random.default_rng((seed, 0, n)).choice(len(kinds), p=shares))
            some.append((which, *draw(kinds[which], (seed, 1, n), pools)))
            n += workers
        which, pictures, points, targets = zip(*some)
        queue.put((np.array(which), np.ascontiguousarray(np.stack(pictures)[..., ::-1].transpose(0, 3, 1, 2)), np.stack(points), np.stack(targets)))


def draw_some(work):
    return [draw(*one, draw_some.pools) for one in work]


def draw_all(work, pools, processes):
    """The faces of a list of (kind, seed), drawn by several processes."""
    draw_some.pools = pools
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return [face for some in pool.imap(draw_some, [work[n:n + 20] for n in range(0, len(work), 20)]) for face in some]


def start(pools, workers, seed):
    """Begins to draw. The processes, to be ended, and a queue of (kinds, pictures in RGB planes, points, targets) that they fill."""
    context = multiprocessing.get_context("fork")
    queue, received = context.Queue(maxsize=4 * workers), collections.deque()
    processes = [context.Process(target=draw_on, args=(queue, pools, w, workers, seed), daemon=True) for w in range(workers)]
    for process in processes:
        process.start()

    def receive():
        while True:
            received.append(queue.get())
            while len(received) > 200:
                time.sleep(0.05)

    threading.Thread(target=receive, daemon=True).start()
    return processes, received
