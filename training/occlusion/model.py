"""The network: depthwise separable, plain ReLU, about 90 thousand parameters."""

import torch
from torch import nn


class Separable(nn.Module):
    """Depthwise 3x3, pointwise 1x1; the input is added where the shapes allow it."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.add = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.body(x)
        return torch.relu(x + y) if self.add else torch.relu(y)


class Occlusion(nn.Module):
    """0..255 RGB, [n, 3, 112, 112], to the logit [n, 1]."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            Separable(16, 32, 2), Separable(32, 32), Separable(32, 32),
            Separable(32, 64, 2), Separable(64, 64), Separable(64, 64), Separable(64, 64),
            Separable(64, 128, 2), Separable(128, 128), Separable(128, 128), Separable(128, 128))
        # The face always lies in the same place, so every place of the last 7x7 grid has weights of its own.
        self.place = nn.Sequential(nn.Conv2d(128, 128, 7, groups=128, bias=False), nn.BatchNorm2d(128), nn.Flatten())
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(128, 1)

    def forward(self, x):
        # Only a factor, no offset: the zero padding means the same before and after folding it into the weights.
        return self.last(self.drop(self.place(self.body(self.first(x / 255.0)))))


class Product(nn.Module):
    """What is exported: the probability for one chip, from the mean logit of the chip and its mirror image, with the factor
    1/255 inside the first convolution."""

    def __init__(self, net, shift):
        super().__init__()
        self.net = net
        with torch.no_grad():
            net.first[0].weight /= 255.0
            net.last.bias += shift

    def forward(self, x):
        n = self.net
        both = torch.cat([x, x.flip(3)])
        return torch.sigmoid(n.last(n.place(n.body(n.first(both)))).mean(0, keepdim=True))
