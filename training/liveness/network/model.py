"""The network: plain 3x3 convolutions, residual, four answers (live, mask, print, replay)."""

import torch
from torch import nn

SIDE = 112
CHANNELS = (32, 48, 80, 128)


class Unit(nn.Module):
    """Convolution 3x3 and normalisation, which become one convolution when exported."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.norm(self.conv(x))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a, self.b = Unit(channels, channels), Unit(channels, channels)

    def forward(self, x):
        return torch.relu(x + self.b(torch.relu(self.a(x))))


class Liveness(nn.Module):
    """0..255 BGR [n, 3, SIDE, SIDE] to logits [n, 4]."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for channels in CHANNELS:
            layers += [nn.Sequential(Unit(inputs, channels, 2), nn.ReLU()), Residual(channels)]
            inputs = channels
        self.body, self.drop = nn.Sequential(*layers), nn.Dropout(0.4)
        # Mean and maximum over the grid: an edge anywhere counts as well as a cast everywhere.
        self.last = nn.Linear(2 * inputs, 4)

    def forward(self, x):
        x = self.body(x / 255.0)
        return self.last(self.drop(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))


def live_log_odds(logits):
    """Live against all attacks together."""
    return logits[:, 0] - torch.logsumexp(logits[:, 1:], 1)
