"""Trains the network on drawn pairs, on a graphics card where there is one, and writes it in whole numbers of eight bits."""

import argparse
import copy
import math
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime.quantization as quantization
import torch
import torch.nn.functional as F
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from model import SIDE, Liveness, Unit, live_log_odds

BATCH, STEPS, RATE, DECAY = 256, 2100, 1e-3, 0.1
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Two processor cores with matrix units for numbers of 16 bits take 2.2 instead of 3.8 seconds a step.
HALVES = DEVICE == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False)


class Pairs:
    """All drawn pairs, in the files that they lie in; withheld ones apart."""

    def __init__(self, cache):
        self.files, withheld = [], []
        for path in sorted(cache.glob("drawn-*.npz")):
            with np.load(path) as drawn:
                keep, pictures = ~drawn["withheld"], torch.from_numpy(drawn["pictures"]).permute(0, 1, 4, 2, 3)
                self.files.append((pictures[keep].contiguous().to(DEVICE), torch.from_numpy(drawn["kinds"][keep])))
                withheld.append((pictures[~keep], torch.from_numpy(drawn["kinds"][~keep])))
        self.withheld = [torch.cat(w)[:600] for w in zip(*withheld)]

    def pick(self, rng):
        """BATCH pairs out of sixteen files."""
        pictures, kinds = [], []
        for file in rng.integers(0, len(self.files), 16):
            p, k = self.files[file]
            take = torch.from_numpy(rng.permutation(len(k))[: BATCH // 16])
            pictures.append(p[take.to(DEVICE)])
            kinds.append(k[take])
        return torch.cat(pictures).float(), torch.cat(kinds).to(DEVICE)


def augmented(x):
    """[n, 2, 3, h, w]: the same random cut, mirror, light and covered patch for both pictures of a pair, and noise."""
    n, _, _, h, w = x.shape
    uniform = lambda low, high, *shape: torch.empty(*shape, device=DEVICE).uniform_(low, high)
    normal = lambda spread, *shape: torch.empty(*shape, device=DEVICE).normal_(0, spread)
    size, turn, ratio = uniform(0.84, 1.06, n), normal(0.05, n), torch.exp(normal(0.05, n))
    flip = (torch.rand(n, device=DEVICE) < 0.5).float() * 2 - 1
    move = torch.zeros(n, 2, 3, device=DEVICE)
    move[:, 0, 0], move[:, 0, 1] = size * ratio * torch.cos(turn) * flip, -size * torch.sin(turn) * flip
    move[:, 1, 0], move[:, 1, 1] = size * torch.sin(turn), size / ratio * torch.cos(turn)
    move[:, :, 2] = uniform(-0.06, 0.06, n, 2)
    field = F.affine_grid(move, (n, 6, h, w), align_corners=False)
    y = F.grid_sample(x.reshape(n, 6, h, w), field, align_corners=False, padding_mode="reflection").reshape(n, 2, 3, h, w)
    y = y * torch.exp(normal(0.08, n, 1, 3, 1, 1)) * torch.exp(normal(0.12, n, 1, 1, 1, 1)) + normal(6, n, 1, 1, 1, 1)
    grey = (torch.rand(n, 1, 1, 1, 1, device=DEVICE) < 0.08).float()
    y = y * (1 - grey) + y.mean(2, keepdim=True) * grey
    places = torch.arange(h, device=DEVICE)
    span = lambda: (places[None] - torch.randint(0, h, (n, 1), device=DEVICE)).abs() * 2 < torch.randint(8, 44, (n, 1), device=DEVICE)
    patch = (span()[:, None, :] & span()[:, :, None] & (torch.rand(n, device=DEVICE) < 0.35)[:, None, None]).float()[:, None, None]
    y = y * (1 - patch) + patch * uniform(0, 255, n, 1, 3, 1, 1)
    return (y + torch.randn_like(y) * uniform(0, 4, n, 1, 1, 1, 1)).clamp(0, 255)


def cost(logits, kinds):
    """Pairs lie one after the other, live first: which kind, and which of the two."""
    target = torch.stack([torch.zeros_like(kinds), kinds + 1], 1).reshape(-1)
    odds = live_log_odds(logits).reshape(-1, 2)
    return F.cross_entropy(logits, target, label_smoothing=0.05) + 0.5 * F.softplus(odds[:, 1] - odds[:, 0]).mean()


def trained(pairs, steps):
    """The running average of the weights over all steps."""
    rng = np.random.default_rng(1)
    net = Liveness().to(DEVICE, memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min(1, step / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        pictures, kinds = pairs.pick(rng)
        net.train()
        seen = augmented(pictures).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=HALVES):
            logits = net(seen)
        loss = cost(logits.float(), kinds)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        with torch.no_grad():
            keep = min(0.995, step / (step + 20))
            for mean, new in zip(average.state_dict().values(), net.state_dict().values()):
                mean.copy_(mean * keep + new * (1 - keep) if mean.is_floating_point() else new)
        if step % 100 == 99 or step == steps - 1:
            print(f"step {step + 1}: loss {loss.item():.3f}; withheld pairs in the right order: {ordered(average, pairs.withheld)}", flush=True)
    return average


def ordered(net, withheld):
    """Share of pairs whose live picture scores higher, by kind."""
    net.eval()
    with torch.no_grad():
        odds = torch.cat([live_log_odds(net(p.flatten(0, 1).float().to(DEVICE))) for p in withheld[0].split(128)]).reshape(-1, 2).cpu()
    right = odds[:, 0] > odds[:, 1]
    return " ".join(f"{name} {right[withheld[1] == k].float().mean():.3f}" for k, name in enumerate(("masks", "prints", "replays")))


class Calibration(quantization.CalibrationDataReader):
    def __init__(self, pictures):
        self.pictures = iter(pictures)

    def get_next(self):
        picture = next(self.pictures, None)
        return None if picture is None else {"input": picture[None]}


def export(net, pictures, path):
    """ONNX in whole numbers: 7 bits of weights, since processors without VNNI overflow with 8."""
    net = copy.deepcopy(net).cpu().to(memory_format=torch.contiguous_format).eval()
    for unit in [m for m in net.modules() if isinstance(m, Unit)]:
        unit.conv, unit.norm = torch.nn.utils.fusion.fuse_conv_bn_eval(unit.conv, unit.norm), nn.Identity()
    with tempfile.TemporaryDirectory() as folder:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        torch.onnx.export(net, (torch.zeros(1, 3, SIDE, SIDE),), str(plain), input_names=["input"], output_names=["logits"], opset_version=17, dynamo=False)
        quant_pre_process(str(plain), str(ready))
        quantization.quantize_static(str(ready), str(path), Calibration(pictures), quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=["Conv", "Add", "Relu"],
                                     activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8, per_channel=True, reduce_range=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of draw.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    torch.manual_seed(1)
    pairs = Pairs(options.cache)
    print(f"{sum(len(k) for _, k in pairs.files)} pairs on {DEVICE}", flush=True)
    net = trained(pairs, options.steps)
    torch.save(net.state_dict(), options.cache / "liveness.pt")
    some = torch.cat([p.flatten(0, 1)[:100] for p, _ in pairs.files[:4]]).float().cpu().numpy()
    export(net, some, options.out)
    print(f"{options.out} {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
