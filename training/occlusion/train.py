#!/usr/bin/env python3
"""Trains the occlusion network from nothing and writes occlusion.onnx. Fixed seeds; on a graphics card if there is one.

    python3 train.py --pack sources.npz --out FOLDER [--minutes 60] [--drawers 2]

Processes draw faces (draw.py) as long as the network trains; every step sees all that were drawn so far, each time cut, lit and
degraded anew (augment.py). The learning rate follows the clock, so that it has come down when the time is over: on another
machine there are more or fewer steps.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

import draw
from augment import LEAST, Augment, plain
from compose import other_skin
from geometry import CACHE
from model import Occlusion, Product

PEAK, RISE = 4e-3, 0.06
# Chips of anonymised faces are never made smaller than this: cells of an eighth of a face would vanish, and what is left is a
# small picture.
LEAST_OF = {"anonymised": 84, "fine cells": 100}
NAMES = list(draw.KINDS) + list(draw.REAL)
SHARES = np.array(list(draw.KINDS.values()) + list(draw.REAL.values()))


class Stock:
    """All faces there are, on the device: the real ones first, then the drawn ones, the oldest of which give way when it is full."""

    def __init__(self, real, room, device):
        count = sum(len(real[name].pictures) for name in draw.REAL)
        self.room = room + count
        self.pictures = torch.empty((self.room, 3, CACHE, CACHE), dtype=torch.uint8, device=device)
        self.points = torch.empty((self.room, 5, 2), device=device)
        self.targets = torch.empty((self.room, 6), device=device)
        self.kinds = np.full(self.room, -1)
        self.weights = np.ones(self.room)
        self.next = self.filled = self.drawn = 0
        self.badness = np.ones(len(NAMES))
        for name in draw.REAL:
            pool = real[name]
            self.weights[self.next:self.next + len(pool.pictures)] = pool.weights
            pictures = np.ascontiguousarray(pool.pictures[..., ::-1].transpose(0, 3, 1, 2))
            self.put(np.full(len(pictures), NAMES.index(name)), pictures, pool.points, pool.targets)
        self.first_drawn, self.drawn = self.next, 0

    def put(self, kinds, pictures, points, targets):
        n = len(kinds)
        if self.next + n > self.room:
            self.next = self.first_drawn
        place = slice(self.next, self.next + n)
        self.pictures[place] = torch.from_numpy(pictures).to(self.pictures.device, non_blocking=True)
        self.points[place] = torch.from_numpy(points.astype(np.float32)).to(self.points.device)
        self.targets[place] = torch.from_numpy(targets.astype(np.float32)).to(self.points.device)
        self.kinds[place] = kinds
        self.next += n
        self.drawn += n
        self.filled = max(self.filled, self.next)

    def weigh(self):
        """Shares of the kinds in a batch follow how badly each is known; within a kind every drawn face is as likely."""
        kinds = self.kinds[:self.filled]
        weights = self.weights[:self.filled]
        shares = SHARES * self.badness
        self.ends = np.cumsum(weights * (shares / np.maximum(np.bincount(kinds, weights, len(NAMES)), 1e-9))[kinds])

    def pick(self, count, rng):
        """Numbers of faces, and their kinds."""
        at = np.minimum(np.searchsorted(self.ends, rng.random(count) * self.ends[-1]), self.filled - 1)
        return at, self.kinds[at]


def validation(real, processes):
    """Views of the validation faces: name, chips, whether covered."""
    views = []
    for name, pool in real.items():
        views.append((name, [plain(*face) for face in zip(pool.pictures, pool.points)], name in ("masked", "finger")))
        if name in ("bare", "masked"):
            augment = Augment("cpu", 99)
            pictures = torch.from_numpy(np.ascontiguousarray(pool.pictures[..., ::-1].transpose(0, 3, 1, 2))).repeat(2, 1, 1, 1)
            points = torch.from_numpy(pool.points.astype(np.float32)).repeat(2, 1, 1)
            chips = augment(pictures, points, torch.full((len(points),), float(LEAST)))[0]
            views.append((f"{name}, degraded", list(chips.byte().permute(0, 2, 3, 1).flip(3).numpy()), name == "masked"))
    bare = [real[name] for name in draw.BARE_POOLS]
    skins = [(n, bare[n % len(bare)].pick(np.random.default_rng((98, n)))) for n in range(200)]
    views.append(("other skin", [plain(other_skin(p, at, np.random.default_rng((97, n))), at) for n, (p, at, _) in skins], False))
    common = np.array(list(draw.COVERINGS.values())) / sum(draw.COVERINGS.values())
    common = [str(np.random.default_rng((96, n)).choice(list(draw.COVERINGS), p=common)) for n in range(400)]
    work = [("cover", kind) for kind in common]
    for name, count in (("hand", 120), ("fingers", 120), ("sunglasses", 120), ("fingertips", 100), ("other sunglasses", 80), ("lock", 80), ("patch", 80), ("microphone", 80), ("anonymised", 100), ("fine cells", 100),
                        ("decorate", 350), ("beard", 150), ("full beard", 80), ("glasses", 100), ("beside", 120), ("masked mixed", 80), ("bare mixed", 80)):
        work += [(name, name)] * count
    faces = draw.draw_all([(kind, (95, n)) for n, (_, kind) in enumerate(work)], real, processes)
    drawn = {}
    for (name, kind), (picture, at, target) in zip(work, faces):
        covered = kind in draw.COVERINGS or kind in draw.CHANGED
        if target[0] >= 0.9 if covered else target[0] <= 0.1:
            drawn.setdefault((name, covered), []).append(plain(picture, at))
    return views + [(name, chips, covered) for (name, covered), chips in drawn.items()]


def logits(net, chips, device):
    """The overall logits of chips."""
    net.eval()
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(np.stack(chips)[..., ::-1].transpose(0, 3, 1, 2)))
        return np.concatenate([net(part.to(device).float())[:, 0].cpu().numpy() for part in x.split(256)])


def judge(net, views, device):
    """The overall logit that becomes 0.5, and a line about the validation split there. A false alarm counts as much as four
    misses (the targets are 1 % of bare faces against 3 % of masks, 8 % of sunglasses and 15 % of hands), every view the
    same, and the middle of the cheapest stretch is taken."""
    scores = [(name, logits(net, chips, device), covered) for name, chips, covered in views]
    steps = np.linspace(-4, 4, 161)
    cost = np.mean([(s[:, None] < steps).mean(0) if covered else 4 * (s[:, None] >= steps).mean(0) for _, s, covered in scores], 0)
    cheap = steps[cost <= cost.min() + 0.001]
    at = float((cheap.min() + cheap.max()) / 2)
    return at, f"at {at:.2f}, cost {cost.min():.4f}: " + "; ".join(f"{name} {(s >= at).mean():.3f}" for name, s, _ in scores)


def export(net, shift, path):
    product = Product(copy.deepcopy(net).cpu().to(memory_format=torch.contiguous_format), -shift).eval()
    torch.onnx.export(product, (torch.zeros(1, 3, 112, 112),), str(path), input_names=["input"], output_names=["occlusion", "parts"],
                      opset_version=17, do_constant_folding=True, dynamo=False)


def cost_of(answer, target):
    """Half for the overall answer, half for the parts that are known. Soft: a confident mistake should not cost everything. Also what
    the overall answer of each sample costs more than the best one would."""
    known = ~torch.isnan(target)
    wanted = torch.nan_to_num(target) * 0.96 + 0.02
    each = nn.functional.binary_cross_entropy_with_logits(answer, wanted, reduction="none")
    least = -(wanted[:, 0] * wanted[:, 0].log() + (1 - wanted[:, 0]) * (1 - wanted[:, 0]).log())
    return each[:, 0].mean() * 0.5 + (each[:, 1:] * known[:, 1:]).sum() / known[:, 1:].sum() * 0.5, (each[:, 0] - least).detach()


def rate(part):
    """The learning rate, as a share of its peak, when this part of the time is over: up, then down to nothing along a cosine."""
    return part / RISE if part < RISE else 0.5 + 0.5 * math.cos(math.pi * min(1.0, (part - RISE) / (1 - RISE)))


def layout(device):
    """The order of the numbers in memory in which the network trains faster here: known on a processor, measured on a graphics card."""
    if device.type == "cpu":
        return torch.channels_last
    torch.backends.cudnn.benchmark = True
    times = {}
    for order in (torch.contiguous_format, torch.channels_last):
        net = Occlusion().to(device, memory_format=order)
        x = torch.zeros(256, 3, 112, 112, device=device).contiguous(memory_format=order)
        for n in range(20):
            if n == 10:
                torch.cuda.synchronize()
                began = time.time()
            net(x).sum().backward()
        torch.cuda.synchronize()
        times[order] = (time.time() - began) / 10
    print("seconds for 256 samples:", times, flush=True)
    return min(times, key=times.get)


def cycle(net, stock, queue, deadline, batch, seed, order, report):
    """Trains until the deadline. Returns the averaged network."""
    device = stock.pictures.device
    average = copy.deepcopy(net)
    # Each answer sums 9,408 places: at the rate of the others one step would move it by more than it is worth.
    places = [net.place.weight]
    decay = [p for p in net.parameters() if p.ndim > 1 and p is not net.place.weight]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    groups = [(decay, 0.05, PEAK), (places, 0.3, PEAK / 20), (rest, 0.0, PEAK)]
    optimizer = torch.optim.AdamW([{"params": p, "weight_decay": w, "lr": r, "peak": r} for p, w, r in groups], fused=device.type == "cuda")
    augment, rng = Augment(device, seed), np.random.default_rng(seed)
    eyes_swapped = torch.tensor([0, 2, 1, 3, 4, 5], device=device)
    least = torch.tensor([float(LEAST_OF.get(name, LEAST)) for name in NAMES], device=device)
    excess, seen, total = torch.zeros(len(NAMES), device=device), torch.ones(len(NAMES), device=device), torch.zeros((), device=device)
    began = told = time.time()
    step = since = 0
    while (part := (time.time() - began) / (deadline - began)) < 1:
        if step % 20 == 0:
            for _ in range(min(len(queue), 64)):
                stock.put(*queue.popleft())
            stock.weigh()
        at, kinds = stock.pick(batch, rng)
        at, kinds = torch.from_numpy(at).to(device), torch.from_numpy(kinds).to(device)
        net.train()
        with torch.no_grad():
            x, flipped = augment(stock.pictures[at], stock.points[at], least[kinds])
            target = stock.targets[at]
            target = torch.where(flipped[:, None], target[:, eyes_swapped], target)
        loss, more = cost_of(net(x.contiguous(memory_format=order)), target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate(part)
        optimizer.step()
        excess.index_add_(0, kinds, more)
        seen.index_add_(0, kinds, torch.ones_like(more))
        total += loss.detach()
        step += 1
        since += 1
        if step % 4 == 0:  # a running average of the weights judges more calmly than the last step
            keep = min(0.996, step / (step + 40))
            with torch.no_grad():
                for a, b in zip(average.state_dict().values(), net.state_dict().values()):
                    a.copy_(a.lerp(b, 1 - keep) if a.is_floating_point() else b)
        if step % 300 == 0:
            known = np.maximum((excess / seen).cpu().numpy(), 1e-6)
            # What is known badly is shown up to twice as often, what is known well half as often.
            stock.badness = np.clip(np.sqrt(known / (known * SHARES).sum() * SHARES.sum()), 0.5, 2.0)
            excess *= 0.7
            seen *= 0.7
        if time.time() - told > 0.09 * (deadline - began):
            line = f"{part:.2f} of the time: step {step}, {since / (time.time() - told):.1f} steps/s, {stock.drawn} drawn, loss {total.item() / since:.4f}"
            print(line + "; " + report(average), flush=True)
            print("  shown more often:", {n: round(float(b), 2) for n, b in zip(NAMES, stock.badness)}, flush=True)
            told, since = time.time(), 0
            total.zero_()
    print(f"{step} steps of {batch}, {stock.drawn} faces drawn, {time.time() - began:.0f} s", flush=True)
    return average


def main():
    began = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="in all, drawing and calibration included")
    parser.add_argument("--drawers", type=int, default=2, help="processes that draw")
    parser.add_argument("--batch", type=int, help="512 on a graphics card, otherwise 64")
    parser.add_argument("--room", type=int, help="drawn faces kept: 120,000 on a graphics card (21 GB), otherwise 24,000 (4 GB)")
    parser.add_argument("--export-only", action="store_true", help="calibrate and export the checkpoint in --out again")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out / "checkpoint.pt"
    real, held = draw.unpack(args.pack)
    held = validation(held, args.drawers)
    print(f"validation: {({name: len(chips) for name, chips, _ in held})}, {time.time() - began:.0f} s", flush=True)
    # The processes are forked before the graphics card is touched.
    processes, queue = ([], None) if args.export_only else draw.start(real, args.drawers, args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    large = device.type == "cuda"
    order = layout(device)
    torch.manual_seed(args.seed)
    net = Occlusion().to(device, memory_format=order)
    print("parameters", sum(p.numel() for p in net.parameters()), device, {name: len(pool.pictures) for name, pool in real.items()}, flush=True)

    def report(net):
        torch.save(net.state_dict(), checkpoint)
        return judge(net, held, device)[1]

    if args.export_only:
        net.load_state_dict(torch.load(checkpoint, map_location=device))
    else:
        stock = Stock(real, args.room or (120000 if large else 24000), device)
        deadline = began + args.minutes * 60 - 12
        # A few of each kind first.
        while stock.drawn < 2000 and time.time() < began + args.minutes * 6:
            if queue:
                stock.put(*queue.popleft())
            else:
                time.sleep(0.01)
        print(f"training begins after {time.time() - began:.0f} s", flush=True)
        net = cycle(net, stock, queue, deadline, args.batch or (512 if large else 64), args.seed, order, report)
        for process in processes:
            process.terminate()
        torch.save(net.state_dict(), checkpoint)
    at, line = judge(net, held, device)
    print(line, flush=True)
    export(net, at, args.out / "occlusion.onnx")
    print(f"{time.time() - began:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
