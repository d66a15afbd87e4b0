"""The network: depthwise separable, plain ReLU, about 240 thousand parameters. Normalised by batch while it learns; exported without."""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTHS = (24, 48, 96, 192)


def convolution(inputs, outputs, size, stride=1, groups=1):
    """A convolution and its normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs))


class Separable(nn.Module):
    """Depthwise 3x3, pointwise 1x1; the input is added where the shapes allow it."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.depth = convolution(inputs, inputs, 3, stride, inputs)
        self.point = convolution(inputs, outputs, 1)
        self.add = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.point(torch.relu(self.depth(x)))
        return torch.relu(x + y) if self.add else torch.relu(y)


class Occlusion(nn.Module):
    """0..255 RGB, [n, 3, 112, 112], to the logits [n, 6]: covered at all, then the parts (parts.PARTS)."""

    def __init__(self):
        super().__init__()
        a, b, c, d = WIDTHS
        self.first = convolution(3, a, 3, 2)
        self.body = nn.Sequential(
            Separable(a, b, 2), Separable(b, b), Separable(b, b),
            Separable(b, c, 2), Separable(c, c), Separable(c, c), Separable(c, c),
            Separable(c, d, 2), Separable(d, d), Separable(d, d), Separable(d, d))
        self.drop = nn.Dropout(0.2)
        # The face always lies in the same place, so every place of the last 7x7 grid has weights of its own.
        self.place = nn.Conv2d(d, 6, 7)
        nn.init.normal_(self.place.weight, std=0.003)
        nn.init.zeros_(self.place.bias)

    def forward(self, x):
        # Only a factor, no offset: the zero padding means the same before and after folding it into the weights.
        grid = self.body(torch.relu(self.first(x / 255.0)))
        return self.place(self.drop(grid)).flatten(1)


def folded(net):
    """The same network with every normalisation inside its convolution, which then has a bias."""
    for part in net.modules():
        for name, pair in part.named_children():
            if isinstance(pair, nn.Sequential) and len(pair) == 2 and isinstance(pair[1], nn.BatchNorm2d):
                setattr(part, name, fuse_conv_bn_eval(*pair))
    return net


class Product(nn.Module):
    """What is exported: the probabilities for one chip, with the normalisations and the factor 1/255 inside the convolutions.
    `shift` moves the overall logit."""

    def __init__(self, net, shift):
        super().__init__()
        self.net = folded(net.eval())
        with torch.no_grad():
            net.first.weight /= 255.0
            net.place.bias[0] += shift

    def forward(self, x):
        n = self.net
        y = torch.sigmoid(n.place(n.body(torch.relu(n.first(x)))).flatten(1))
        return y[:, :1], y[:, 1:]
