"""From cached faces to 112x112 chips as a bad camera, a bad connection and a detector would deliver them; a whole batch at once,
on the processor or on a graphics card.

Both classes pass through the same steps: the folders differ in resolution, compression and crop, and none of that may
tell them apart.
"""

import cv2
import numpy as np
import torch
from torch.nn import functional

from geometry import CACHE, CHIP, CHIP_POINTS, similarity, warp

SWAP = [1, 0, 2, 4, 3]
# The smallest side that a chip is reduced to in between, pixels.
LEAST = 44


def plain(picture, points):
    """The chip as the product cuts it: uint8 BGR."""
    return warp(picture, similarity(points, CHIP_POINTS), CHIP)


def resizing(interpolation, up):
    """For every side from LEAST to CHIP the matrix that OpenCV resizes by, [sides, CHIP, CHIP]: down to the side, the last row
    repeated to the end, or up from it."""
    eye, out = np.eye(CHIP, dtype=np.float32), []
    for n in range(LEAST, CHIP + 1):
        if up:
            matrix = np.zeros((CHIP, CHIP), np.float32)
            matrix[:, :n] = cv2.resize(eye[:n, :n], (n, CHIP), interpolation=interpolation)
        else:
            matrix = cv2.resize(eye, (CHIP, n), interpolation=interpolation)[np.minimum(np.arange(CHIP), n - 1)]
        out.append(matrix)
    return torch.from_numpy(np.stack(out))


def cosines():
    """The matrix of the discrete cosine transform of a block of 8x8 pixels, [64, 64]."""
    k, n = np.mgrid[:8, :8]
    line = np.cos((2 * n + 1) * k * np.pi / 16) * np.where(k == 0, np.sqrt(1 / 8), 0.5)
    return torch.from_numpy(np.kron(line, line).astype(np.float32))


# The quantisation tables of the JPEG standard (ITU-T T.81, annex K): brightness, colour.
BRIGHT = [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
          18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99]
COLOUR = [17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99] + [99] * 36


class Augment:
    """Random chips from cached faces."""

    def __init__(self, device, seed):
        self.device = device
        self.random = torch.Generator(device).manual_seed(seed)
        # Area three times: it is what the product and most programs do.
        self.down = torch.stack([resizing(i, False) for i in (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR)]).to(device)
        self.up = torch.stack([resizing(i, True) for i in (cv2.INTER_LINEAR, cv2.INTER_LINEAR, cv2.INTER_CUBIC)]).to(device)
        self.cosines = cosines().to(device)
        self.tables = torch.tensor([BRIGHT, COLOUR], dtype=torch.float32).view(2, 8, 8).to(device)
        self.chip_points = torch.tensor(CHIP_POINTS, dtype=torch.float32, device=device)
        self.swap = torch.tensor(SWAP, device=device)
        step = torch.arange(2 * CHIP, device=device, dtype=torch.float32) / 2 - 0.25  # two samples per pixel and direction
        self.places = torch.stack(torch.meshgrid(step, step, indexing="xy"), -1).view(-1, 2)
        self.ramp = torch.linspace(-1, 1, CHIP, device=device)
        self.row = torch.arange(CHIP, device=device)

    def uniform(self, low, high, *shape):
        return low + (high - low) * torch.rand(shape, generator=self.random, device=self.device)

    def normal(self, deviation, *shape):
        return deviation * torch.randn(shape, generator=self.random, device=self.device)

    def chance(self, share, *shape):
        return torch.rand(shape, generator=self.random, device=self.device) < share

    def where_from(self, points):
        """Where in the (perhaps mirrored) picture each sample of the chip lies, [n, samples, 2]."""
        n = len(points)
        # The points come from a detector today and may come from landmarks tomorrow: each is a little off, all of them together
        # more so, and over a covering they are guesses.
        eye = (points[:, 1] - points[:, 0]).norm(dim=1).clamp(min=25)
        points = points + self.normal(0.035, n, 5, 2) * eye[:, None, None]
        angle, scale = torch.deg2rad(self.normal(5, n)), torch.exp(self.normal(0.06, n))
        # Faces held askew, whose points are less sure.
        angle = torch.where(self.chance(0.1, n), angle * 2.5, angle)
        a, b = (torch.cos(angle) * scale)[:, None], (torch.sin(angle) * scale)[:, None]
        c = self.chip_points - CHIP / 2
        target = torch.stack([a * c[:, 0] - b * c[:, 1], b * c[:, 0] + a * c[:, 1]], -1) + CHIP / 2 + self.normal(1.8, n, 1, 2)
        # The similarity that geometry.similarity finds, from the picture to the chip, turned round.
        s0, t0 = points.mean(1, keepdim=True), target.mean(1, keepdim=True)
        s, t = points - s0, target - t0
        a = (s * t).sum((1, 2))[:, None]
        b = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(1)[:, None]
        back = (s * s).sum((1, 2))[:, None] / (a * a + b * b)
        a, b = a * back, -b * back
        x, y = (self.places - t0).unbind(-1)
        # Another aspect, as stretched pictures have.
        x = x * torch.exp(self.normal(0.1, n) * self.chance(0.3, n))[:, None]
        return torch.stack([a * x - b * y, b * x + a * y], -1) + s0

    def end_edges(self, at):
        """Pretends that the picture ended here: everything outside repeats the edge, as in a tight crop."""
        n, middle = len(at), CACHE / 2
        cut = self.chance(0.4, n)
        left, right = (self.uniform(0, 56, n) * self.chance(0.5, n) * cut for _ in range(2))
        above, below = self.uniform(0, 70, n) * self.chance(0.6, n) * cut, self.uniform(0, 66, n) * self.chance(0.5, n) * cut
        angle = torch.deg2rad(self.normal(8, n)) * cut
        a, b = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
        x, y = (at - middle).unbind(-1)
        x, y = a * x - b * y + middle, b * x + a * y + middle
        # Outside the cached picture the sampling repeats its edge; only what was cut ends earlier.
        far = 4.0 * CACHE
        low, high = torch.where(cut, left, -far)[:, None], torch.where(cut, CACHE - 1 - right, far)[:, None]
        top, bottom = torch.where(cut, above, -far)[:, None], torch.where(cut, CACHE - 1 - below, far)[:, None]
        x, y = torch.minimum(torch.maximum(x, low), high) - middle, torch.minimum(torch.maximum(y, top), bottom) - middle
        return torch.stack([a * x + b * y, -b * x + a * y], -1) + middle

    def relight(self, x):
        """Exposure, contrast, gamma, colour cast, saturation, grey, a light from one side."""
        n = len(x)
        grey = x.mean(1, keepdim=True)
        saturation = torch.where(self.chance(0.12, n), 0.0, torch.where(self.chance(0.7, n), self.uniform(0.3, 1.5, n), 1.0))
        x = grey + (x - grey) * saturation[:, None, None, None]
        x = x * torch.exp(self.normal(0.1, n, 3) * self.chance(0.6, n)[:, None] * (saturation > 0)[:, None])[..., None, None]
        gamma = torch.exp(self.normal(0.35, n) * self.chance(0.5, n))
        x = 255 * (x.clamp(0.01, 255) / 255) ** gamma[:, None, None, None]
        on = self.chance(0.7, n)
        mean = x.mean((1, 2, 3), keepdim=True)
        contrast = torch.where(on, self.uniform(0.5, 1.35, n), 1.0)[:, None, None, None]
        x = (x - mean) * contrast + mean * torch.exp(self.normal(0.25, n) * on)[:, None, None, None]
        slope = self.normal(0.25, n, 2) * self.chance(0.3, n)[:, None] * torch.where(self.chance(0.25, n), 2.0, 1.0)[:, None]
        ramp = 1 + slope[:, :1, None] * self.ramp[None, :, None] + slope[:, 1:, None] * self.ramp[None, None, :]
        return (x * ramp.clamp(0.15, 2)[:, None]).clamp(0, 255)

    def blur(self, x, side, deviation):
        """A Gaussian blur of the upper left `side` pixels, each picture its own."""
        distance = (self.row[:, None] - self.row[None]).float()
        kernel = torch.exp(-0.5 * (distance[None] / deviation.clamp(min=0.05)[:, None, None]) ** 2) * (self.row[None, None] < side[:, None, None])
        kernel = (kernel / kernel.sum(2, keepdim=True).clamp(min=1e-6))
        kernel = kernel.gather(1, torch.minimum(self.row[None], side[:, None] - 1)[..., None].expand_as(kernel))[:, None]
        return kernel @ x @ kernel.mT

    def shake(self, x, longest):
        """A motion blur of a few pixels along a line."""
        n = len(x)
        angle, t = self.uniform(0, np.pi, n), torch.linspace(-1, 1, 25, device=self.device)
        reach = (self.uniform(0.15, 1, n) * longest / 2)[:, None]
        column, line = (torch.round(t * reach * f(angle)[:, None] + 4).long() for f in (torch.cos, torch.sin))
        kernel = torch.zeros(n, 81, device=self.device).scatter_add_(1, line * 9 + column, torch.full((n, 25), 1 / 25, device=self.device))
        kernel = kernel.view(n, 1, 9, 9).repeat_interleave(3, 0)
        padded = functional.pad(x, (4, 4, 4, 4), mode="replicate").reshape(1, 3 * n, CHIP + 8, CHIP + 8)
        return functional.conv2d(padded, kernel, groups=3 * n).reshape(n, 3, CHIP, CHIP)

    def blocks(self, x, table):
        """Cosine transform, rounding to a table [n, 8, 8] and back, in blocks of eight pixels."""
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4).reshape(n, -1, 64) @ self.cosines.T
        table = table.view(n, 1, 64)
        x = (torch.round(x / table) * table) @ self.cosines
        return x.reshape(n, c, h // 8, w // 8, 8, 8).transpose(3, 4).reshape(n, c, h, w)

    def jpeg(self, x, quality):
        """JPEG at a quality for each picture, colour at half the resolution."""
        scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
        tables = [((t * scale + 50) / 100).floor().clamp(1, 255) for t in self.tables]
        r, g, b = x.unbind(1)
        y = 0.299 * r + 0.587 * g + 0.114 * b
        colour = functional.avg_pool2d(torch.stack([(b - y) / 1.772, (r - y) / 1.402], 1), 2)
        y = self.blocks(y[:, None] - 128, tables[0])[:, 0] + 128
        blue, red = functional.interpolate(self.blocks(colour, tables[1]), scale_factor=2, mode="nearest").unbind(1)
        return torch.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], 1)

    def degrade(self, x, least):
        """Low resolution, blur, noise and JPEG blocks, at the resolution they would have had."""
        n = len(x)
        fine = least > 0.7 * CHIP  # what must stay visible is fine: cells of a few pixels
        side = torch.exp(torch.log(least) + self.uniform(0, 1, n) * (float(np.log(CHIP)) - torch.log(least)))
        side = torch.where(self.chance(0.75, n), side, float(CHIP)).long().clamp(LEAST, CHIP)
        which = torch.randint(3, (2, n), generator=self.random, device=self.device)
        down = self.down[which[0], side - LEAST][:, None]
        x = down @ x @ down.mT
        # Not so much that an eye is lost: a face that is blurred away counts as covered (coverings.anonymise).
        soft = self.uniform(0.3, 1, n) * torch.where(fine, 0.8, 1.6) * (side / 70).clamp(max=1.0)
        x = torch.where(self.chance(0.3, n)[:, None, None, None], self.blur(x, side, soft), x)
        # The batch is in random order: its first tenth is shaken.
        tenth = n // 10
        longest = torch.where(side[:tenth] < 70, 3.0, 6.0) * ~fine[:tenth]
        x = torch.cat([self.shake(x[:tenth], longest), x[tenth:]]) if tenth else x
        strength = self.uniform(1, 10, n) * self.chance(0.4, n)
        x = torch.round(x + self.normal(1, n, 3, CHIP, CHIP) * strength[:, None, None, None]).clamp(0, 255)
        lowest = torch.where(fine | (side < 80), 35.0, 18.0)
        quality = lowest + self.uniform(0, 1, n) * (95 - lowest)
        x = torch.where(self.chance(0.75, n)[:, None, None, None], torch.round(self.jpeg(x, quality)).clamp(0, 255), x)
        up = self.up[which[1], side - LEAST][:, None]
        return torch.round(up @ x @ up.mT).clamp(0, 255)

    def __call__(self, pictures, points, least):
        """Cached faces uint8 [n, 3, CACHE, CACHE] in RGB, points [n, 5, 2], the least sides [n] to chips [n, 3, CHIP, CHIP] from 0 to
        255, and which of them are mirror images."""
        n = len(pictures)
        flipped = self.chance(0.5, n)
        mirrored = torch.stack([CACHE - 1 - points[..., 0], points[..., 1]], -1)[:, self.swap]
        at = self.end_edges(self.where_from(torch.where(flipped[:, None, None], mirrored, points)))
        at = torch.stack([torch.where(flipped[:, None], CACHE - 1 - at[..., 0], at[..., 0]), at[..., 1]], -1)
        grid = ((at * 2 + 1) / CACHE - 1).view(n, 2 * CHIP, 2 * CHIP, 2)
        x = functional.grid_sample(pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        return self.degrade(self.relight(functional.avg_pool2d(x, 2)), least), flipped
