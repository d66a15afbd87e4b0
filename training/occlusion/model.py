"""The network: depthwise separable, plain ReLU, about 120 thousand parameters."""

import onnx
import torch
from torch import nn


class Separable(nn.Module):
    """Depthwise 3x3, pointwise 1x1; the input is added where the shapes allow it."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, outputs, 1))
        self.add = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.body(x)
        return torch.relu(x + y) if self.add else torch.relu(y)


class Occlusion(nn.Module):
    """0..255 RGB, [n, 3, 112, 112], to the logits [n, 6]: covered at all, then the parts (parts.PARTS)."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            Separable(16, 32, 2), Separable(32, 32), Separable(32, 32),
            Separable(32, 64, 2), Separable(64, 64), Separable(64, 64), Separable(64, 64),
            Separable(64, 128, 2), Separable(128, 128), Separable(128, 128), Separable(128, 128))
        self.drop = nn.Dropout(0.2)
        # The face always lies in the same place, so every place of the last 7x7 grid has weights of its own.
        self.place = nn.Conv2d(128, 6, 7)

    def forward(self, x):
        # Only a factor, no offset: the zero padding means the same before and after folding it into the weights.
        return self.answer(self.body(self.first(x / 255.0)))

    def answer(self, grid):
        return self.place(self.drop(grid)).flatten(1)


class Product(nn.Module):
    """What is exported: the probabilities for one chip, from the mean logits of the chip and its mirror image (where the eyes
    change sides), with the factor 1/255 inside the first convolution. `shift` moves the overall logit."""

    def __init__(self, net, shift):
        super().__init__()
        self.net = net
        self.register_buffer("mirrored", torch.tensor([0, 2, 1, 3, 4, 5]))
        with torch.no_grad():
            net.first[0].weight /= 255.0
            net.place.bias[0] += shift

    def forward(self, x):
        n = self.net
        y = n.answer(n.body(n.first(torch.cat([x, x.flip(3)]))))
        y = torch.sigmoid((y[:1] + y[1:, self.mirrored]) / 2)
        return y[:, :1], y[:, 1:]


def take_up(net, path):
    """Begins with an exported network of version 3: its normalisation layers are part of the convolutions, and its last two
    layers (a depthwise 7x7, a linear one) become the overall answer's part of `place`. The parts begin with nothing."""
    graph = onnx.load(path).graph
    stored = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    stored |= {n.output[0]: onnx.numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    layers = [m for m in [*net.first.modules(), *net.body.modules()] if isinstance(m, nn.Conv2d)]
    linear = next(n for n in graph.node if n.op_type == "Gemm")
    with torch.no_grad():
        for node, layer in zip(convolutions[:-1], layers, strict=True):
            weight, bias = (torch.tensor(stored[name]) for name in node.input[1:3])
            layer.weight.copy_(weight * (255 if node is convolutions[0] else 1))
            layer.bias.copy_(bias)
        depthwise, offsets = (torch.tensor(stored[name]) for name in convolutions[-1].input[1:3])
        weights, bias = torch.tensor(stored[linear.input[1]])[0], torch.tensor(stored[linear.input[2]])[0]
        net.place.weight.zero_()
        net.place.bias.zero_()
        net.place.weight[0] = depthwise[:, 0] * weights[:, None, None]
        net.place.bias[0] = bias + (weights * offsets).sum()
