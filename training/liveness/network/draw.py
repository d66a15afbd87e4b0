"""Draws pairs of a live picture and an attack for the network into files of 128 pairs, in several processes; a pair depends on its
number only."""

import argparse
import multiprocessing
import os
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "simulator"))
import sources  # noqa: E402
from attacks import HEAD, KINDS, Props, pair  # noqa: E402

from model import SIDE  # noqa: E402

# Set, pictures, column that tells persons or near copies apart; how often live pictures come of it, and those with a mask.
SETS = (("live-hagrid", "img", "group", 0.42, 0.62), ("age-uk-parliament", "img", "person", 0.25, 0.12), ("age-us-congress", "img", "person", 0.10, 0.06),
        ("fairface-200", "img", None, 0.05, 0.04), ("masks", "bare", None, 0.18, 0.16))
# How often each kind is drawn (mask, print, replay), and how many groups of pictures are withheld.
OFTEN, WITHHELD = (0.4, 0.3, 0.3), 0.04
FILE, SEED = 128, 11
# A face is not seen wider than this, nor more of its picture than so many boxes: enough for the canvas, and quick to sample.
WIDEST, AROUND = 96, 3.6


def prepared(item):
    """The part of a picture that crops can show, at the size that they need."""
    picture, (left, top, wide, high), points = item["picture"], item["box"], item["points"]
    h, w = picture.shape[:2]
    cw, ch = min(w, wide * AROUND), min(h, high * AROUND)
    x, y = int(np.clip(left + wide / 2 - cw / 2, 0, w - cw)), int(np.clip(top + high / 2 - ch / 2, 0, h - ch))
    part, scale = picture[y:int(y + ch), x:int(x + cw)], min(1.0, WIDEST / wide)
    if scale < 1:
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return {**item, "picture": part, "box": (item["box"] - [x, y, 0, 0]) * scale, "points": (points - [x, y]) * scale}


class Stock:
    """Everything that pairs are drawn from."""

    def __init__(self, data, detector, cache, widest=2.7, side=SIDE):
        self.widest, self.side = widest, side
        found = sources.load(data, detector, [s[:3] for s in SETS], cache / "sources.pkl")
        items = [prepared(i) for i in found if i["box"][2] >= sources.NARROWEST]
        withheld = lambda i: zlib.crc32(i["group"].encode()) % 20 == 0
        frontal = lambda i: i["box"][2] >= HEAD and abs(i["points"][2, 0] - i["points"][:2, 0].mean()) < 0.15 * i["box"][2]
        self.items = {(s[0], v): [i for i in items if i["set"] == s[0] and withheld(i) == v] for s in SETS for v in (False, True)}
        self.heads = {v: [i for i in items if withheld(i) == v and frontal(i)] for v in (False, True)}
        self.props = Props(data)

    def draw(self, number):
        """Both pictures (live first), kind, whether withheld; None where nothing comes of the number."""
        rng = np.random.default_rng((SEED, number))
        kind = KINDS[int(rng.choice(3, p=OFTEN))]
        withheld = bool(rng.random() < WITHHELD)
        name = SETS[int(rng.choice(len(SETS), p=[s[4 if kind == "mask" else 3] for s in SETS]))][0]
        stock = self.items[name, withheld]
        if not stock:
            return None
        try:
            answer = pair(stock[int(rng.integers(len(stock)))], self.items["live-hagrid", withheld], self.heads[withheld], self.props, kind, rng, wider=True,
                          widest=self.widest)
        except cv2.error:  # the graph cut of a head at the picture's edge
            return None
        if answer is None:
            return None
        return np.stack([cv2.resize(p, (self.side, self.side), interpolation=cv2.INTER_AREA) for p in answer[0]]), KINDS.index(kind), withheld


def file_of(task):
    """One file of pairs, of numbers of its own."""
    path, first, stock = task[0], task[1], file_of.stock
    if not path.exists():
        drawn = [d for d in map(stock.draw, range(first, first + FILE)) if d]
        pictures, kinds, withheld = zip(*drawn)
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as out:
            np.savez(out, pictures=np.stack(pictures), kinds=np.array(kinds), withheld=np.array(withheld))
        part.rename(path)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--detector", type=Path, required=True, help="YuNet, of the model folder (detector.onnx)")
    parser.add_argument("--cache", type=Path, required=True, help="scratch folder, kept; the pairs take 75 kB each at 112 pixels")
    parser.add_argument("--pairs", type=int, default=96000)
    parser.add_argument("--widest", type=float, default=2.7, help="the crop of the network that looks at them, in face boxes")
    parser.add_argument("--side", type=int, default=SIDE, help="its input in pixels")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    # Pairs that are kept there must be of this crop.
    kept, crop = options.cache / "crop.txt", f"{options.widest} {options.side}\n"
    if kept.exists() and kept.read_text() != crop:
        raise SystemExit(f"{options.cache} has pairs of another crop: {kept.read_text()}")
    kept.write_text(crop)
    file_of.stock = Stock(options.data, options.detector, options.cache, options.widest, options.side)
    tasks = [(options.cache / f"drawn-{first:07}.npz", first) for first in range(0, options.pairs, FILE)]
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for number, _ in enumerate(pool.imap(file_of, tasks)):
            if number % 50 == 0:
                print(f"{number} of {len(tasks)} files", flush=True)


if __name__ == "__main__":
    main()
