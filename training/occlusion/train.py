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
import onnx
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import compose
from augment import augment, plain
from faces import Faces
from geometry import CACHE
from model import Occlusion, Product

# Drawn once and then seen under many augmentations: drawing costs ten times as much as augmenting.
COVERED, DECORATED, MASKED_DECORATED, MASKED_MIXED, BARE_MIXED = 3600, 2600, 500, 1800, 2200
BATCH = 64
# Shares of an epoch: real masked, masked and decorated, masked with another head, covered by drawing, real bare, bare and
# decorated, bare with another head.
SHARES = (0.20, 0.03, 0.08, 0.21, 0.20, 0.17, 0.11)


def draw(faces, indices, count, how, seed, heads=()):
    """`count` drawn faces with their points; `heads` are the faces whose heads may be lent."""
    pictures, points = np.zeros((count, CACHE, CACHE, 3), np.uint8), np.zeros((count, 5, 2))
    weights, lent = fair(faces, indices), fair(faces, heads) if heads else ()
    for n in range(count):
        rng = np.random.default_rng((seed, n))
        i = indices[rng.choice(len(indices), p=weights)]
        picture = faces.chips[i]
        if heads:
            j = heads[rng.choice(len(heads), p=lent)]
            # Sunglasses over a mask are common in the masked folder and would cover a bare face's eyes: those stay.
            eyes_too = how == "masked mixed" and rng.random() < 0.7
            picture = compose.other_head(picture, faces.points[i], faces.chips[j], faces.points[j], rng, eyes_too)
        if rng.random() < 0.25:
            picture = compose.other_skin(picture, faces.points[i], rng)
        face = compose.Face(picture, faces.points[i], rng)
        picture = picture.astype(np.float32)
        if how == "cover":
            if rng.random() < 0.2:
                picture = compose.light_decorate(picture, face)
            picture, _ = compose.cover(picture, face)
        elif how == "decorate":
            picture = compose.decorate(picture, face)
        elif how == "masked":
            picture = compose.light_decorate(picture, face)
        pictures[n], points[n] = np.clip(picture, 0, 255), faces.points[i]
    return pictures, points


def fair(faces, indices):
    """Weights by which a person with many pictures counts as the root of their number, and the tight crops of the one large
    source count as much together as everything else."""
    persons = [faces.rows[i]["person"] or i for i in indices]
    weights = np.array([1 / np.sqrt(persons.count(p)) for p in persons])
    tight = np.array([faces.tight(i) for i in indices])
    for part in (tight, ~tight):
        weights[part] /= 2 * max(weights[part].sum(), 1e-9)
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
    """Of the chips and their mirror images together, as `Product` judges."""
    net.eval()
    out = []
    with torch.no_grad():
        for i in range(0, len(chips), 64):
            batch = torch.from_numpy(np.stack([c[..., ::-1].transpose(2, 0, 1) for c in chips[i:i + 64]]).astype(np.float32))
            out.append(((net(batch) + net(batch.flip(3))) / 2)[:, 0].numpy())
    return np.concatenate(out)


# What a validation face is judged as: as it is, through a camera and a detector that are a little off, and with the head
# and the skin of others. The next source of pictures differs from these in ways such as the last three.
VIEWS = ("as it is", "degraded", "other head", "other skin")


def validation(faces):
    """Chips, whether covered, and the number of the view."""
    chips, labels, views = [], [], []
    held = {folder: faces.select("validation", folder) for folder in ("bare", "masked")}
    for folder, heads in (("bare", held["masked"]), ("masked", held["bare"])):
        for i in held[folder]:
            rng = np.random.default_rng((99, i))
            picture, points = faces.chips[i], faces.points[i]
            mine = [(0, plain(picture, points))] + [(1, augment(picture, points, rng)) for _ in range(4)]
            for _ in range(2):
                j = heads[rng.integers(len(heads))]
                mixed = compose.other_head(picture, points, faces.chips[j], faces.points[j], rng, folder == "masked")
                mine.append((2, plain(mixed, points)))
                mine.append((3, plain(compose.other_skin(picture, points, rng), points)))
            for view, chip in mine:
                chips.append(chip)
                labels.append(folder == "masked")
                views.append(view)
    return chips, np.array(labels), np.array(views)


def calibrate(scores, labels, views):
    """The logit that becomes 0.5: where a false alarm counts twice as much as a miss, the middle of the cheapest stretch.

    Every view counts the same. (A quantile of 82 bare faces would be the score of a single odd picture.)
    """
    edges = np.unique(scores)
    middles = (edges[1:] + edges[:-1]) / 2
    cost = np.mean([[2 * (scores[~labels & (views == v)] >= t).mean() + (scores[labels & (views == v)] < t).mean() for t in middles]
                    for v in range(len(VIEWS))], 0)
    cheap = middles[cost <= cost.min() + 0.005]  # half a point: less than the sample can tell apart
    return float((cheap.min() + cheap.max()) / 2)


def export(net, shift, path):
    product = Product(copy.deepcopy(net).to(memory_format=torch.contiguous_format), -shift).eval()
    torch.onnx.export(product, torch.zeros(1, 3, 112, 112), str(path), input_names=["input"], output_names=["occlusion"],
                      opset_version=17, do_constant_folding=True)
    return product


def take_up(net, path):
    """Fills the network with the weights of an exported one. Its normalisation layers are part of the convolutions there, so
    they become plain biases here and stay what they are."""
    graph = onnx.load(path).graph
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    stored |= {n.output[0]: onnx.numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))]
    last = next(n for n in graph.node if n.op_type == "Gemm")
    with torch.no_grad():
        for node, layer, norm in zip(convolutions, layers[::2], layers[1::2], strict=True):
            weight, bias = (torch.tensor(stored[name]) for name in node.input[1:3])
            layer.weight.copy_(weight * (255 if node is convolutions[0] else 1))
            norm.running_var.fill_(1 - norm.eps)
            norm.bias.copy_(bias)
        net.last.weight.copy_(torch.tensor(stored[last.input[1]]))
        net.last.bias.copy_(torch.tensor(stored[last.input[2]]))


def judge(net, chips, labels, views):
    """The calibrated logit and a line about the validation split there."""
    scores = logits(net, chips)
    at = calibrate(scores, labels, views)
    share = lambda which: f"{(scores[which] >= at).mean():.4f}"
    return at, f"validation at {at:.3f}: " + "; ".join(
        f"{name}: recall {share((views == v) & labels)}, false alarms {share((views == v) & ~labels)}" for v, name in enumerate(VIEWS))


def finish(net, faces, out):
    at, line = judge(net, *validation(faces))
    print(line)
    export(net, at, out / "occlusion.onnx")


def cycle(net, data, epochs, peak, seed, validate, fixed_norms):
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
        for layer in net.modules():
            if fixed_norms and isinstance(layer, nn.BatchNorm2d):
                layer.eval()
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
    parser.add_argument("--epochs", type=int, default=56)
    parser.add_argument("--start", type=Path, help="an exported network to go on from, gently")
    parser.add_argument("--peak", type=float, help="largest learning rate, instead of 0.004 from nothing and 0.0008 with --start")
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
        for seed, (name, indices, count, heads) in enumerate((
                ("cover", bare, COVERED, ()), ("decorate", bare, DECORATED, ()), ("masked", masked, MASKED_DECORATED, ()),
                ("masked mixed", masked, MASKED_MIXED, bare), ("bare mixed", bare, BARE_MIXED, masked)), args.seed):
            parts[name], parts[name + " points"] = draw(faces, indices, count, name, seed, heads)
        np.savez(drawn, **parts)
        print(f"drawn in {time.time() - began:.0f} s", flush=True)
    drawn = dict(np.load(drawn).items())

    def real(indices, label):
        return faces.chips, faces.points, indices, fair(faces, indices), label

    def all_of(name, label):
        n = len(drawn[name])
        return drawn[name], drawn[name + " points"], np.arange(n), np.full(n, 1 / n), label

    sources = [real(masked, 1), all_of("masked", 1), all_of("masked mixed", 1), all_of("cover", 1),
               real(bare, 0), all_of("decorate", 0), all_of("bare mixed", 0)]
    data = Epoch(sources, args.samples, args.seed)
    held = validation(faces)
    print("train: bare", len(bare), "occluded", len(masked), "validation faces:", int((held[2] == 0).sum()))

    def validate(net):
        torch.save({"weights": net.state_dict()}, args.cache / "checkpoint.pt")
        return judge(net, *held)[1]

    net = Occlusion().to(memory_format=torch.channels_last)  # half as much time again per step otherwise
    print("parameters", sum(p.numel() for p in net.parameters()), flush=True)
    if args.start:
        take_up(net, args.start)
        print(validate(net), flush=True)
    peak = args.peak or (8e-4 if args.start else 4e-3)
    finish(cycle(net, data, args.epochs, peak, args.seed, validate, bool(args.start)), faces, args.out)


if __name__ == "__main__":
    main()
