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
    """Begins with an exported network, its factor 1/255 taken out of the first convolution again."""
    stored = {i.name.removeprefix("net."): onnx.numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    net.load_state_dict({name: torch.tensor(stored[name]) * (255 if name == "first.0.weight" else 1) for name in net.state_dict()})
