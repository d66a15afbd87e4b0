#!/usr/bin/env python3
"""Trains the occlusion classifier and writes occlusion.onnx. Fixed seeds; same machine, same library, same file.

    python3 train.py --data FOLDER --detector face_detection_yunet_2023mar.onnx --cache FOLDER --out FOLDER
"""

import argparse
import copy
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import compose
from augment import augment, plain
from faces import Faces
from geometry import CACHE
from model import Occlusion, Product

# Drawn once and then seen under many augmentations: drawing costs ten times as much as augmenting.
COVERED, DECORATED, MASKED_DECORATED = 3600, 2600, 500
BATCH = 64
# Shares of an epoch: real masked, masked and decorated, covered by drawing, real bare, bare and decorated.
SHARES = (0.25, 0.04, 0.27, 0.24, 0.20)


def draw(faces, indices, weights, count, how, seed):
    """`count` drawn faces with their points."""
    pictures, points = np.zeros((count, CACHE, CACHE, 3), np.uint8), np.zeros((count, 5, 2))
    for n in range(count):
        rng = np.random.default_rng((seed, n))
        i = indices[rng.choice(len(indices), p=weights)]
        face = compose.Face(faces.chips[i], faces.points[i], rng)
        picture = faces.chips[i].astype(np.float32)
        if how == "cover":
            if rng.random() < 0.2:
                picture = compose.light_decorate(picture, face)
            picture, _ = compose.cover(picture, face)
        elif how == "decorate":
            picture = compose.decorate(picture, face)
        else:
            picture = compose.light_decorate(picture, face)
        pictures[n], points[n] = np.clip(picture, 0, 255), faces.points[i]
    return pictures, points


def fair(faces, indices):
    """Weights by which a person with many pictures counts as the root of their number."""
    persons = [faces.rows[i]["person"] or i for i in indices]
    weights = np.array([1 / np.sqrt(persons.count(p)) for p in persons])
    return weights / weights.sum()


class Epoch(Dataset):
    """The samples of one epoch; what a sample is depends on the seed, the epoch and its number only."""

    def __init__(self, sources, size, seed):
        self.sources, self.size, self.seed, self.epoch = sources, size, seed, 0
        self.ends = np.round(np.cumsum(SHARES) * size).astype(int)
        self.ends[-1] = size

    def __len__(self):
        return self.size

    def __getitem__(self, n):
        rng = np.random.default_rng((self.seed, self.epoch, n))
        kind = int(np.searchsorted(self.ends, n, side="right"))
        pictures, points, indices, weights, label = self.sources[kind]
        i = indices[rng.choice(len(indices), p=weights)]
        chip = augment(pictures[i], points[i], rng)
        return torch.from_numpy(np.ascontiguousarray(chip[..., ::-1].transpose(2, 0, 1))), np.float32(label)


def logits(net, chips):
    net.eval()
    out = []
    with torch.no_grad():
        for i in range(0, len(chips), 64):
            batch = np.stack([c[..., ::-1].transpose(2, 0, 1) for c in chips[i:i + 64]])
            out.append(net(torch.from_numpy(batch.astype(np.float32)))[:, 0].numpy())
    return np.concatenate(out)


def validation(faces):
    """The product's chip of each validation face, and four seen by a detector and a camera that are a little off."""
    chips, labels, real = [], [], []
    for folder in ("bare", "masked"):
        for i in faces.select("validation", folder):
            rng = np.random.default_rng((99, i))
            chips.append(plain(faces.chips[i], faces.points[i]))
            chips += [augment(faces.chips[i], faces.points[i], rng) for _ in range(4)]
            labels += [folder == "masked"] * 5
            real += [True] + [False] * 4
    return chips, np.array(labels), np.array(real)


def calibrate(scores, labels, real):
    """The logit that becomes 0.5: where a false alarm counts twice as much as a miss, the middle of the cheapest stretch.

    The pictures as they are and their degraded versions count half each. (A quantile of 82 bare faces would be the score of
    a single odd picture.)
    """
    edges = np.unique(scores)
    middles = (edges[1:] + edges[:-1]) / 2
    cost = np.mean([[2 * (scores[~labels & part] >= t).mean() + (scores[labels & part] < t).mean() for t in middles]
                    for part in (real, ~real)], 0)
    cheap = middles[cost <= cost.min() + 0.005]  # half a point: less than the sample can tell apart
    return float((cheap.min() + cheap.max()) / 2)


def export(net, shift, path):
    product = Product(copy.deepcopy(net).to(memory_format=torch.contiguous_format), -shift).eval()
    torch.onnx.export(product, torch.zeros(1, 3, 112, 112), str(path), input_names=["input"], output_names=["occlusion"],
                      opset_version=17, do_constant_folding=True)
    return product


def judge(net, chips, labels, real):
    """The calibrated logit and a line about the validation split there."""
    scores = logits(net, chips)
    at = calibrate(scores, labels, real)
    share = lambda which: f"{(scores[which] >= at).mean():.4f}"
    return at, (f"validation at {at:.3f}: recall {share(real & labels)}, false alarms {share(real & ~labels)}; "
                f"off-camera recall {share(~real & labels)}, false alarms {share(~real & ~labels)}")


def finish(net, faces, out):
    at, line = judge(net, *validation(faces))
    print(line)
    export(net, at, out / "occlusion.onnx")


def cycle(net, data, epochs, peak, seed, validate):
    """Trains for some epochs, the rate rising to `peak` and falling to nothing. Returns the averaged network."""
    average = copy.deepcopy(net)
    decay, rest = [p for p in net.parameters() if p.ndim > 1], [p for p in net.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=peak)
    steps = len(data) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=epochs * steps, pct_start=0.1)
    data.seed, step = seed, 0
    for epoch in range(epochs):
        began, total = time.time(), 0.0
        data.epoch = epoch
        order = torch.Generator().manual_seed(seed * 1000 + epoch)
        net.train()
        for x, y in DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=1, generator=order):
            target = (y * 0.96 + 0.02)[:, None]  # soft labels: a confident mistake should not cost everything
            x = x.float().contiguous(memory_format=torch.channels_last)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x), target)
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
        if epoch % 4 == 3 or epoch == epochs - 1:
            line += "; " + validate(average)
        print(line, flush=True)
    return average


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--second", type=int, default=36, help="epochs of the second cycle")
    parser.add_argument("--samples", type=int, default=3072)
    parser.add_argument("--export-only", action="store_true", help="calibrate and export the checkpoint in the cache again")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    if not (args.cache / "faces.npz").exists():
        subprocess.run([sys.executable, here / "prepare.py", "--data", args.data, "--detector", args.detector, "--cache", args.cache],
                       check=True)

    faces = Faces(args.cache)
    if args.export_only:
        net = Occlusion()
        net.load_state_dict(torch.load(args.cache / "checkpoint.pt")["weights"])
        finish(net, faces, args.out)
        return
    bare, masked = faces.select("train", "bare"), faces.select("train", "masked") + faces.select("train", "bare", "occluded")
    drawn = args.cache / "drawn.npz"
    if not drawn.exists():
        began = time.time()
        parts = {}
        for name, indices, count in (("cover", bare, COVERED), ("decorate", bare, DECORATED), ("masked", masked, MASKED_DECORATED)):
            parts[name], parts[name + "_points"] = draw(faces, indices, fair(faces, indices), count, name, args.seed + len(parts))
        np.savez(drawn, **parts)
        print(f"drawn in {time.time() - began:.0f} s", flush=True)
    drawn = dict(np.load(drawn).items())

    def all_of(name):
        n = len(drawn[name])
        return np.arange(n), np.full(n, 1 / n)

    sources = [(faces.chips, faces.points, masked, fair(faces, masked), 1), (drawn["masked"], drawn["masked_points"], *all_of("masked"), 1),
               (drawn["cover"], drawn["cover_points"], *all_of("cover"), 1), (faces.chips, faces.points, bare, fair(faces, bare), 0),
               (drawn["decorate"], drawn["decorate_points"], *all_of("decorate"), 0)]
    data = Epoch(sources, args.samples, args.seed)
    held = validation(faces)
    print("train: bare", len(bare), "occluded", len(masked), "validation faces:", len(held[0]) // 5)

    def validate(net):
        torch.save({"weights": net.state_dict()}, args.cache / "checkpoint.pt")
        return judge(net, *held)[1]

    net = Occlusion().to(memory_format=torch.channels_last)  # half as much time again per step otherwise
    print("parameters", sum(p.numel() for p in net.parameters()), flush=True)
    first = args.cache / "first.pt"
    if not first.exists():
        average = cycle(net, data, args.epochs, 4e-3, args.seed, validate)
        torch.save({"weights": average.state_dict()}, first)
    # A second, gentler cycle from the averaged weights. Bare faces outside the one large source (tight crops of named
    # persons) count twice here: they are fewer, and they are what the world looks like.
    net.load_state_dict(torch.load(first)["weights"])
    torch.manual_seed(args.seed + 1)
    weights = fair(faces, bare) * [1.0 if faces.rows[i]["person"] else 2.0 for i in bare]
    sources[3] = (faces.chips, faces.points, bare, weights / weights.sum(), 0)
    average = cycle(net, data, args.second, 2e-3, args.seed + 1, validate)
    # Half way between the two cycles' networks validated better than either.
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), torch.load(first)["weights"].values()):
            a.copy_((a + b) / 2 if a.is_floating_point() else a)
    torch.save({"weights": average.state_dict()}, args.cache / "checkpoint.pt")
    finish(average, faces, args.out)


if __name__ == "__main__":
    main()
