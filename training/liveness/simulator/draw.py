"""Draws pairs of a live picture and an attack into files of 500 pairs, at the networks' input size; seeded by the pair's number."""

import argparse
import zlib
from pathlib import Path

import cv2
import numpy as np

import sources
from attacks import HEAD, KINDS, Props, pair

SIZE = 112
FILE = 500


def read(cache, seed):
    """Pictures [n, 2, side, side, 3], kinds, whether for validation, and groups, of all pairs drawn so far."""
    files = [np.load(p) for p in sorted(Path(cache).glob(f"pairs-{seed}-*.npz")) if ".part" not in p.name]
    return [np.concatenate([f[k] for f in files]) for k in ("pictures", "kinds", "held", "groups")]


class Pairs:
    """One pair after another; every twentieth group of pictures is for validation, and its heads and rooms too."""

    def __init__(self, data, found):
        self.props = Props(data)
        found = [i for i in found if i["box"][2] >= sources.NARROWEST]
        self.items = {v: [i for i in found if (zlib.crc32(i["group"].encode()) % 20 == 0) == v] for v in (False, True)}
        self.rooms = {v: [i for i in s if i["set"] == "live-hagrid"] for v, s in self.items.items()}
        self.portraits = {v: [i for i in s if i["set"] == "age-uk-parliament"] for v, s in self.items.items()}
        frontal = lambda i: i["box"][2] >= HEAD and abs(i["points"][2, 0] - i["points"][:2, 0].mean()) < 0.15 * i["box"][2]
        self.heads = {v: [i for i in s if frontal(i)] for v, s in self.items.items()}

    def draw(self, seed, number):
        """Both pictures [2, SIZE, SIZE, 3] (live first), kind, whether for validation, group, surrounding."""
        rng = np.random.default_rng((seed, number))
        while True:
            kind = KINDS[number % len(KINDS)]
            held = bool(number % 20 == 19)
            # A worn mask needs a person with surroundings; what is printed or shown whole is best a sharp portrait.
            stock = self.rooms[held] if kind == "mask" or rng.random() < 0.5 else self.portraits[held]
            item = stock[int(rng.integers(len(stock)))]
            answer = pair(item, self.rooms[held], self.heads[held], self.props, kind, rng)
            if answer is not None:
                both = [cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for p in answer[0]]
                return np.stack(both), KINDS.index(kind), held, item["group"], answer[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--detector", type=Path, required=True, help="YuNet, of the model folder (detector.onnx)")
    parser.add_argument("--cache", type=Path, required=True, help="scratch folder, kept")
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    source = Pairs(options.data, sources.load(options.data, options.detector, sources.TRAINED, options.cache / "sources.pkl"))
    for start in range(0, options.pairs, FILE):
        path = options.cache / f"pairs-{options.seed}-{start:06}.npz"
        if path.exists():
            continue
        drawn = [source.draw(options.seed, n) for n in range(start, min(start + FILE, options.pairs))]
        pictures, kinds, held, groups, surrounding = zip(*drawn)
        np.savez(path.with_suffix(".part.npz"), pictures=np.stack(pictures), kinds=np.array(kinds), held=np.array(held), groups=np.array(groups),
                 surrounding=np.array(surrounding))
        path.with_suffix(".part.npz").rename(path)
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
