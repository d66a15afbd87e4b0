#!/usr/bin/env python3
"""Trains the occlusion network and writes occlusion.onnx. Fixed seeds; same machine, same library, same file.

    python3 train.py --data FOLDER --detector face_detection_yunet_2023mar.onnx --cache FOLDER --out FOLDER

`--data` holds masks/, live-hagrid/, fairface-200/, age-uk-parliament/, age-us-congress/, hands/, overlays/, device-frames/
and textures/.
"""

import argparse
import copy
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import compose
import coverings
from augment import augment, plain
from faces import Faces, Others
from geometry import CACHE
from model import Occlusion, Product, take_up
from parts import BARE, UNKNOWN, mirrored
from prepare import verdicts

BATCH = 64
# Processes that draw, and that augment while the network trains.
DRAWERS = 2

# Real masks hide nose, mouth and the lower face; some sit under the nose, and over some of them there are sunglasses.
MASKED = np.array([1, 0.05, 0.05, 0.92, 1, 1], np.float32)
# A finger before the lips is about a third as wide as the mouth (1.7 of 5 cm), and it hides where the lips meet: a covered
# mouth. Every face of that kind was looked at: the finger lies across the lips. How much of nose and chin it hides differs
# from picture to picture: left open.
FINGER = np.array([1, 0, 0, UNKNOWN, 1, UNKNOWN], np.float32)
OTHER = np.array([1, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN], np.float32)

# Drawn once and then seen under many augmentations: drawing costs ten times as much as augmenting.
# name: how many, share of an epoch.
# `hard` are the kinds of covering that were learned worst, `skin` bare faces with a darker or lighter skin.
DRAWN = {"cover": (6000, 0.22), "hard": (4500, 0.16), "anonymised": (2000, 0.07), "beside": (1600, 0.06), "decorate": (5000, 0.18),
         "skin": (1200, 0.05), "masked": (250, 0.01), "masked mixed": (600, 0.03), "bare mixed": (600, 0.03)}
HARD_KINDS = ("sunglasses", "fingers", "patch", "panel", "hand", "phone")
REAL = {"masked": 0.10, "finger": 0.08, "bare": 0.10, "hagrid": 0.06, "parliament": 0.04, "fairface": 0.02}
# Chips of anonymised faces are never made smaller than this: cells of an eighth of a face would vanish, and what is left is a
# small picture.
LEAST = {"anonymised": 84}


def fair(rows, key):
    """Weights by which a person with many pictures counts as the root of their number."""
    keys = [row.get(key) or n for n, row in enumerate(rows)]
    count = {}
    for k in keys:
        count[k] = count.get(k, 0) + 1
    weights = np.array([1 / np.sqrt(count[k]) for k in keys])
    return weights / weights.sum()


class Pool:
    """Faces of one kind with their targets."""

    def __init__(self, pictures, points, indices, targets, weights=None, least=44):
        self.pictures, self.points, self.indices, self.least = pictures, points, np.asarray(indices), least
        self.targets = targets if targets.ndim == 2 else np.repeat(targets[None], len(self.indices), 0)
        self.ends = np.cumsum(np.full(len(self.indices), 1 / len(self.indices)) if weights is None else weights)

    def pick(self, rng):
        """A picture, its points, its target."""
        n = min(int(np.searchsorted(self.ends, rng.random())), len(self.indices) - 1)
        i = self.indices[n]
        return self.pictures[i], self.points[i], self.targets[n]


def draw_one(how, seed, bare, masked):
    """One drawn face from pools of real ones, its points and its target."""
    rng = np.random.default_rng(seed)
    picture, at, target = (masked if how.startswith("masked") else bare[rng.choice(len(bare), p=(0.35, 0.35, 0.22, 0.08))]).pick(rng)
    if "mixed" in how:
        other = (bare[0] if how == "masked mixed" else masked).pick(rng)
        # Sunglasses over a mask are common in the masked folder and would cover a bare face's eyes: those stay.
        picture = compose.other_head(picture, at, other[0], other[1], rng, how == "masked mixed" and rng.random() < 0.7)
    if how == "skin" or rng.random() < 0.3:
        picture = compose.other_skin(picture, at, rng)
    face = compose.Face(picture, at, rng)
    picture = picture.astype(np.float32)
    if how in ("cover", "hard", "anonymised"):
        if rng.random() < 0.25:
            picture = coverings.decorate(picture, face)
        kind = {"cover": None, "hard": HARD_KINDS[rng.integers(len(HARD_KINDS))]}.get(how, how)
        picture, _, target = coverings.cover(picture, at, face, kind)
    elif how == "beside":
        picture, target = coverings.beside(picture, at, face)
    elif how == "decorate":
        picture = coverings.decorate(picture, face)
    elif how == "masked":
        picture = compose.light_decorate(picture, face)
    return np.clip(picture, 0, 255).astype(np.uint8), at, target


def draw_some(numbers):
    """For a process of its own: what a face is depends on its seed only, not on who draws it."""
    how, seed, bare, masked = draw_some.work
    return [draw_one(how, (seed, n), bare, masked) for n in numbers]


def draw(cache, how, count, seed, bare, masked):
    """`count` drawn faces, their points and targets, drawn by several processes; kept in the cache."""
    made = cache / f"drawn {how} {count} {seed}.npz"
    if made.exists():
        with np.load(made) as stored:
            return tuple(stored[key] for key in ("pictures", "points", "targets"))
    draw_some.work = how, seed, bare, masked
    pictures, points, targets = np.zeros((count, CACHE, CACHE, 3), np.uint8), np.zeros((count, 5, 2)), np.zeros((count, 6), np.float32)
    with multiprocessing.get_context("fork").Pool(DRAWERS) as pool:
        numbers = [range(n, min(n + 50, count)) for n in range(0, count, 50)]
        for some, faces in zip(numbers, pool.imap(draw_some, numbers)):
            for n, face in zip(some, faces):
                pictures[n], points[n], targets[n] = face
    np.savez(made, pictures=pictures, points=points, targets=targets)
    return pictures, points, targets


class Epoch(Dataset):
    """The samples of one epoch; what a sample is depends on the seed, the epoch and its number only."""

    def __init__(self, pools, shares, size, seed):
        self.pools, self.size, self.seed, self.epoch = pools, size, seed, 0
        self.ends = np.round(np.cumsum(shares) / np.sum(shares) * size).astype(int)

    def __len__(self):
        return self.size

    def __getitem__(self, n):
        rng = np.random.default_rng((self.seed, self.epoch, n))
        pool = self.pools[int(np.searchsorted(self.ends, n, side="right"))]
        picture, points, target = pool.pick(rng)
        chip, flipped = augment(picture, points, rng, pool.least)
        target = mirrored(target) if flipped else target
        return torch.from_numpy(np.ascontiguousarray(chip[..., ::-1].transpose(2, 0, 1))), torch.from_numpy(target.copy())


def pools_of(faces, others, split, seen):
    """The real faces of one side of the split: bare by source, masked, otherwise covered, finger on the lips."""
    bare = faces.select(split, "bare")
    masked = faces.select(split, "masked")
    weights = fair([faces.rows[i] for i in bare], "person")
    tight = np.array([faces.tight(i) for i in bare])
    for part in (tight, ~tight):  # the tight crops of the one large source count as much together as everything else
        weights[part] /= 2 * max(weights[part].sum(), 1e-9)

    def of(which, kinds, target):
        mine = others.select(split, which, kinds, seen)
        return Pool(others.chips, others.points, mine, target, fair([others.rows[i] for i in mine], "person"))

    covered = masked + faces.select(split, "bare", "occluded")
    targets = np.array([MASKED] * len(masked) + [OTHER] * (len(covered) - len(masked)))
    return {"bare": Pool(faces.chips, faces.points, bare, BARE, weights), "hagrid": of("live-hagrid", ("call", "peace"), BARE),
            "parliament": of("age-uk-parliament", None, BARE), "fairface": of("fairface-200", None, BARE),
            "masked": Pool(faces.chips, faces.points, covered, targets), "finger": of("live-hagrid", ("mute",), FINGER)}


BARE_POOLS = ("bare", "hagrid", "parliament", "fairface")


def validation(pools, cache):
    """Views of the validation faces: name, chips, whether covered (None: told apart by the target of each)."""
    views = []
    for name, pool in pools.items():
        covered = name in ("masked", "finger")
        faces = [(pool.pictures[i], pool.points[i]) for i in pool.indices[:120]]
        views.append((name, [plain(*face) for face in faces], covered))
        if name in ("bare", "masked"):
            views.append((f"{name}, degraded", [augment(*face, np.random.default_rng((99, n, m)))[0] for n, face in enumerate(faces) for m in range(2)], covered))
    bare = [pools[name] for name in BARE_POOLS]
    skins = [(n, bare[n % len(bare)].pick(np.random.default_rng((98, n)))) for n in range(200)]
    views.append(("other skin", [plain(compose.other_skin(p, at, np.random.default_rng((97, n))), at) for n, (p, at, _) in skins], False))
    for how, count in (("cover", 300), ("hard", 240), ("anonymised", 150), ("decorate", 350), ("beside", 120), ("masked mixed", 80), ("bare mixed", 80)):
        pictures, points, targets = draw(cache, how, count, 990 + count, bare, pools["masked"])
        covering = how in ("cover", "hard", "anonymised")
        sure = (targets[:, 0] >= 0.9) if covering else (targets[:, 0] <= 0.1) if how == "beside" else np.ones(count, bool)
        views.append((how, [plain(p, at) for p, at, s in zip(pictures, points, sure) if s], covering or how == "masked mixed"))
    return views


def logits(net, chips):
    """Of the chips and their mirror images together, as `Product` judges."""
    net.eval()
    out = []
    with torch.no_grad():
        for i in range(0, len(chips), 64):
            batch = torch.from_numpy(np.stack([c[..., ::-1].transpose(2, 0, 1) for c in chips[i:i + 64]]).astype(np.float32))
            out.append(((net(batch)[:, 0] + net(batch.flip(3))[:, 0]) / 2).numpy())
    return np.concatenate(out)


def judge(net, views):
    """The overall logit that becomes 0.5, and a line about the validation split there. A false alarm counts as much as four
    misses (the targets are 1 % of bare faces against 3 % of masks, 8 % of sunglasses and 15 % of hands), every view the
    same, and the middle of the cheapest stretch is taken."""
    scores = [(name, logits(net, chips), covered) for name, chips, covered in views]
    steps = np.linspace(-4, 4, 161)
    cost = np.mean([(s[:, None] < steps).mean(0) if covered else 4 * (s[:, None] >= steps).mean(0) for _, s, covered in scores], 0)
    cheap = steps[cost <= cost.min() + 0.001]
    at = float((cheap.min() + cheap.max()) / 2)
    return at, f"at {at:.2f}: " + "; ".join(f"{name} {(s >= at).mean():.3f}" for name, s, _ in scores)


def export(net, shift, path):
    product = Product(copy.deepcopy(net).to(memory_format=torch.contiguous_format), -shift).eval()
    torch.onnx.export(product, (torch.zeros(1, 3, 112, 112),), str(path), input_names=["input"], output_names=["occlusion", "parts"],
                      opset_version=17, do_constant_folding=True, dynamo=False)


def cost_of(answer, target):
    """Half for the overall answer, half for the parts that are known. Soft: a confident mistake should not cost everything."""
    known = ~torch.isnan(target)
    each = nn.functional.binary_cross_entropy_with_logits(answer, torch.nan_to_num(target) * 0.96 + 0.02, reduction="none")
    return each[:, 0].mean() * 0.5 + (each[:, 1:] * known[:, 1:]).sum() / known[:, 1:].sum() * 0.5


def cycle(net, data, epochs, peak, seed, validate):
    """Trains for some epochs, the rate rising to `peak` and falling to nothing. Returns the averaged network."""
    average = copy.deepcopy(net)
    decay, rest = [p for p in net.parameters() if p.ndim > 1], [p for p in net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=peak)
    steps = len(data) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=epochs * steps, pct_start=0.1)
    step = 0
    for epoch in range(epochs):
        began, total = time.time(), 0.0
        data.epoch = epoch
        order = torch.Generator().manual_seed(seed * 1000 + epoch)
        net.train()
        for x, y in DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=1, generator=order):
            x = x.float().contiguous(memory_format=torch.channels_last)
            loss = cost_of(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            step += 1
            total += loss.item()
            # A running average of the weights judges more calmly than the last step.
            keep = min(0.995, step / (step + 20))
            with torch.no_grad():
                for a, b in zip(average.state_dict().values(), net.state_dict().values()):
                    a.copy_(a * keep + b * (1 - keep) if a.is_floating_point() else b)
        line = f"epoch {epoch + 1}: loss {total / steps:.4f}, {time.time() - began:.0f} s"
        if epoch % 10 == 9 or epoch == epochs - 1:
            line += "; " + validate(average)
        print(line, flush=True)
    return average


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=140)
    parser.add_argument("--samples", type=int, default=2560)
    parser.add_argument("--export-only", action="store_true", help="calibrate and export the checkpoint in the cache again")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    for made, script, data in (("faces.npz", "prepare.py", args.data / "masks"), ("others.npz", "sources.py", args.data)):
        if not (args.cache / made).exists():
            subprocess.run([sys.executable, here / script, "--data", data, "--detector", args.detector, "--cache", args.cache], check=True)

    seen = verdicts(here / "labels.csv")
    faces, others = Faces(args.cache), Others(args.cache)
    coverings.load(args.data)
    held = validation(pools_of(faces, others, "validation", seen), args.cache)
    checkpoint = args.cache / "checkpoint.pt"
    net = Occlusion()
    take_up(net, here / "start.onnx")
    net = net.to(memory_format=torch.channels_last)  # half as much time again per step otherwise
    if args.export_only:
        net.load_state_dict(torch.load(checkpoint))
    else:
        real = pools_of(faces, others, "train", seen)
        began = time.time()
        pools, shares = [real[name] for name in REAL], list(REAL.values())
        for seed, (how, (count, share)) in enumerate(DRAWN.items(), args.seed):
            pictures, points, targets = draw(args.cache, how, count, seed, [real[name] for name in BARE_POOLS], real["masked"])
            pools.append(Pool(pictures, points, np.arange(count), targets, least=LEAST.get(how, 44)))
            shares.append(share)
        print(f"drawn in {time.time() - began:.0f} s;", "train:", {name: len(pool.indices) for name, pool in real.items()},
              "validation:", {name: len(chips) for name, chips, _ in held}, flush=True)
        print("parameters", sum(p.numel() for p in net.parameters()), flush=True)

        def validate(net):
            torch.save(net.state_dict(), checkpoint)
            return judge(net, held)[1]

        net = cycle(net, Epoch(pools, shares, args.samples, args.seed), args.epochs, 2e-3, args.seed, validate)
    at, line = judge(net, held)
    print(line)
    export(net, at, args.out / "occlusion.onnx")


if __name__ == "__main__":
    main()
