"""What paper, ink, displays, lamps and cameras do to light: functions of a picture in linear light (BGR, 0..1) and a generator."""

import functools

import cv2
import numpy as np

LUMA = np.array([0.07, 0.72, 0.21], np.float32)


# A gamma of 2 stands for sRGB's: squares and roots are fast, and nothing here depends on the difference.
SQUARES = (np.arange(256, dtype=np.float32) / 255) ** 2


def to_light(picture):
    return SQUARES[picture] if picture.dtype == np.uint8 else np.square(picture)


def to_levels(light):
    return np.sqrt(np.clip(light, 0, 1))


def chance(rng, share):
    return rng.random() < share


def smooth_noise(rng, shape, cells):
    """Zero mean, unit deviation, `cells` bumps along each side."""
    coarse = rng.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


@functools.lru_cache
def lattice(height, width):
    return np.mgrid[:height, :width].astype(np.float32)


def grid(shape):
    return lattice(*shape[:2])


def saturated(light, share):
    grey = (light @ LUMA)[..., None]
    return grey + share * (light - grey)


def tinted(rng, amount):
    tint = np.exp(rng.normal(0, amount, 3)).astype(np.float32)
    return tint / (tint @ LUMA)


def printed(light, rng, wider=False):
    """Ink on paper: lifted black, dull white, fewer colours, raster or bands of the printer, grain of the paper. `wider`: also
    out of focus and washed out, as prints close to a phone are."""
    if chance(rng, 0.5):
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.3, 1.6 if wider else 1.0))
    if wider and not chance(rng, 0.6):
        black, white = rng.uniform(0.08, 0.3), rng.uniform(0.6, 1.0)
    else:
        black, white = rng.uniform(0.01, 0.16), rng.uniform(0.5, 0.95)
    light = saturated(np.power(light, rng.uniform(0.75, 1.35)), rng.uniform(0.2 if wider else 0.3, 1.05))
    light = (black + (white - black) * np.clip(light, 0, 1)) * tinted(rng, 0.1)
    y, x = grid(light.shape)
    if chance(rng, 0.4):
        pitch, angle = rng.uniform(1.8, 3.5), rng.uniform(0, np.pi / 2)
        u, v = (x * np.cos(angle) + y * np.sin(angle)) / pitch, (y * np.cos(angle) - x * np.sin(angle)) / pitch
        dots = np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v)
        light = light * (1 + rng.uniform(0.01, 0.1) * dots)[..., None]
    if chance(rng, 0.15):
        bands = np.cos(2 * np.pi * y / rng.uniform(4, 14) + rng.uniform(0, 6))
        light = light * (1 + rng.uniform(0.01, 0.06) * bands)[..., None]
    return np.clip(light, 0, 1), white


def paper_light(shape, rng):
    """Shading of a sheet that is bent, creased or glossy: a factor and an addition."""
    y, x = grid(shape)
    angle = rng.normal(0, 0.5) if chance(rng, 0.7) else rng.uniform(0, np.pi)
    across = ((x - shape[1] / 2) * np.cos(angle) + (y - shape[0] / 2) * np.sin(angle)) / shape[1]
    factor = 1 + rng.normal(0, 0.3) * across - rng.uniform(0, 0.8) * (across - rng.normal(0, 0.15)) ** 2
    if chance(rng, 0.3):
        factor = factor * (1 + rng.uniform(0.01, 0.06) * smooth_noise(rng, shape, int(rng.integers(3, 9))))
    if chance(rng, 0.15):
        at = across - rng.normal(0, 0.2)
        factor = factor * (1 + rng.normal(0, 0.12) * np.tanh(at * 40) * np.exp(-np.abs(at) * 8))
    add = np.zeros(shape[:2], np.float32)
    if chance(rng, 0.4):
        add = rng.uniform(0.03, 0.5) * np.exp(-(((across - rng.normal(0, 0.3)) / rng.uniform(0.05, 0.3)) ** 2))
        along = (-(x - shape[1] / 2) * np.sin(angle) + (y - shape[0] / 2) * np.cos(angle)) / shape[1]
        add = add * np.exp(-(((along - rng.normal(0, 0.5)) / rng.uniform(0.2, 1.0)) ** 2))
    return np.clip(factor, 0.2, 2)[..., None].astype(np.float32), add[..., None].astype(np.float32)


def shown(light, rng):
    """A display: its gamma, brightness, cast, pixel grid and the moire of that grid with the sensor."""
    shape = light.shape
    light = saturated(np.power(light, rng.uniform(0.9, 1.5)), rng.uniform(0.7, 1.35))
    light = light * rng.uniform(0.5, 2.2) * tinted(rng, 0.12)
    y, x = grid(shape)
    # The angle of view dims one side of the panel.
    light = light * (1 + rng.normal(0, 0.15) * (x / shape[1] - 0.5) + rng.normal(0, 0.15) * (y / shape[0] - 0.5))[..., None]
    if chance(rng, 0.35):
        pitch, angle = rng.uniform(1.6, 4.0), rng.normal(0, 0.1)
        u, v = (x * np.cos(angle) + y * np.sin(angle)) / pitch, (y * np.cos(angle) - x * np.sin(angle)) / pitch
        depth = rng.uniform(0.02, 0.15)
        # Cameras keep little of the stripes' colour: demosaicing and the coarser coding of colour take it.
        stripes = np.stack([1 + depth * (0.7 * np.cos(2 * np.pi * u) + 0.3 * np.cos(2 * np.pi * (u - c / 3))) for c in range(3)], -1)
        light = light * stripes * (1 + 0.5 * depth * np.cos(2 * np.pi * v))[..., None]
    for _ in range(int(rng.integers(0, 2))):
        angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(40)))
        warp = rng.uniform(0, 4) * smooth_noise(rng, shape, 3)
        phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + warp
        depth, spread = rng.uniform(0.01, 0.08), rng.uniform(0, 0.8)
        light = light * np.stack([1 + depth * np.cos(phase + c * spread) for c in range(3)], -1)
    if chance(rng, 0.12):
        light = light * (1 + rng.uniform(0.05, 0.3) * np.cos(2 * np.pi * y / shape[0] * rng.uniform(0.5, 3) + rng.uniform(0, 6)))[..., None]
    return np.clip(light, 0, 3).astype(np.float32)


def mirrored_lamps(shape, rng):
    """What a glossy surface adds: blobs, tubes, windows, and the haze of the room."""
    y, x = grid(shape)
    add = np.full(shape[:2], rng.uniform(0, 0.06) if chance(rng, 0.6) else 0, np.float32)
    if chance(rng, 0.5):
        add = add + rng.uniform(0, 0.08) * np.clip(smooth_noise(rng, shape, 4), 0, None)
    for _ in range(int(rng.integers(0, 4)) if chance(rng, 0.6) else 0):
        cx, cy, angle = rng.uniform(0, shape[1]), rng.uniform(0, shape[0]), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        kind = rng.integers(3)
        ru, rv = ((rng.uniform(6, 50),) * 2, (rng.uniform(15, 60), rng.uniform(1.5, 5)), (rng.uniform(8, 35), rng.uniform(8, 35)))[kind]
        power = (2, 4, 8)[kind]
        add = add + rng.uniform(0.05, 1.0) * np.exp(-(np.abs(u / ru) ** power + np.abs(v / rv) ** power))
    return add[..., None].astype(np.float32)


def room_light(shape, rng, strength=1.0):
    """Uneven light of a room, as a factor."""
    y, x = grid(shape)
    field = 1 + strength * (rng.normal(0, 0.2) * (x / shape[1] - 0.5) + rng.normal(0, 0.2) * (y / shape[0] - 0.5))
    return np.clip(field, 0.3, 2)[..., None].astype(np.float32)


def flare(shape, rng, strength=1.0):
    """Light that strays in the lens of any camera that looks towards a lamp."""
    add = np.full(shape[:2], 0, np.float32)
    if chance(rng, 0.3 * strength):
        y, x = grid(shape)
        cx, cy = rng.uniform(-0.3, 1.3) * shape[1], rng.uniform(-0.3, 1.0) * shape[0]
        add = rng.uniform(0.03, 0.4) * np.exp(-np.hypot(x - cx, y - cy) / rng.uniform(25, 120))
    if chance(rng, 0.25 * strength):
        add = add + rng.uniform(0, 0.12)
    return add[..., None].astype(np.float32)


def exchanged(levels, other):
    """Gives a picture the colour statistics of another: its quantiles of lightness, mean and spread of its chroma."""
    own, aim = (cv2.cvtColor(np.clip(p, 0, 1), cv2.COLOR_BGR2Lab) for p in (levels, other))
    at = np.linspace(0, 100, 24)
    quantiles = np.maximum.accumulate(np.percentile(own[::3, ::3, 0], at) + np.arange(24) * 1e-3)
    own[..., 0] = np.interp(own[..., 0], quantiles, np.percentile(aim[::3, ::3, 0], at))
    for c in (1, 2):
        ratio = np.clip((aim[..., c].std() + 0.5) / (own[..., c].std() + 0.5), 0.2, 4)
        own[..., c] = (own[..., c] - own[..., c].mean()) * ratio + aim[..., c].mean()
    return np.clip(cv2.cvtColor(own, cv2.COLOR_Lab2BGR), 0, 1)


# Lightness and two differences of colours, and back.
OPPONENT = np.float32([[1 / 3, 1 / 3, 1 / 3], [-0.5, 0, 0.5], [0.25, -0.5, 0.25]])
BACK = np.linalg.inv(OPPONENT).astype(np.float32)
# Immerkaer's kernel answers noise alone; its mean magnitude is this much of the noise's deviation.
IMMERKAER, MAGNITUDE = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]), 6 * np.sqrt(2 / np.pi)


def equally_noisy(both, rng):
    """The calmer of the two pictures gets noise, separately in lightness and both colour differences, until they are alike."""
    parts = [p @ OPPONENT.T for p in both]
    for c in range(3):
        found = []
        for p in parts:
            answer = np.abs(cv2.filter2D(np.ascontiguousarray(p[..., c]), -1, IMMERKAER))[1:-1:2, 1:-1:2]
            # Edges are no noise: in lightness without the strongest tenth.
            kept = np.sort(answer.ravel())[: answer.size * 9 // 10] if c == 0 else answer
            found.append(kept.mean() / MAGNITUDE)
        calm = int(np.argmin(found))
        # More than is missing of colour: the camera's processing takes more of noise than of a pattern.
        missing = np.sqrt(max(0.0, max(found) ** 2 - min(found) ** 2)) * (1.2 if c == 0 else 1.8)
        parts[calm][..., c] += missing * rng.standard_normal(parts[calm].shape[:2], np.float32)
    return [p @ BACK.T for p in parts]


def equally_sharp(both):
    """The softer of the two pictures is sharpened until its finest detail carries as much energy as the other's."""
    for _ in range(3):
        found = [np.sqrt(cv2.Laplacian(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), cv2.CV_32F).var()) + 1e-4 for p in both]
        soft = int(np.argmin(found))
        amount = min(0.8 * (max(found) / min(found) - 1), 1.5)
        both[soft] = both[soft] + amount * (both[soft] - cv2.GaussianBlur(both[soft], (0, 0), 1.2))
    return both


class Camera:
    """One camera with its processing, drawn once and then the same for every picture that passes it."""

    def __init__(self, rng):
        # Some cameras are good: everything is gentle.
        m = 0.35 if chance(rng, 0.15) else 1.0
        self.gentle = m < 1
        self.blur = rng.uniform(0.2, 1.3) * m if chance(rng, 0.7) else 0
        self.motion = (int(rng.integers(2, 7)), rng.uniform(0, 180)) if chance(rng, 0.2) and not self.gentle else None
        self.gain, self.cast = np.exp(rng.normal(0, 0.25) * m), tinted(rng, 0.08 * m)
        self.vignette = rng.uniform(0, 0.4) * m if chance(rng, 0.4) else 0
        self.shot, self.read = 10 ** rng.uniform(-4.5, -2.5) * m**3, 10 ** rng.uniform(-6.5, -4.3) * m**3
        self.blotch = rng.uniform(0, 0.9)
        self.curve, self.saturation = rng.normal(0, 0.35) * m, np.exp(rng.normal(0, 0.2) * m)
        self.denoise = chance(rng, 0.25 * m)
        self.sharpen = (rng.uniform(0.2, 1.6) * m, rng.uniform(0.6, 1.6)) if chance(rng, 0.55) else None
        self.reduced = rng.uniform(0.55, 0.95) if chance(rng, 0.35) and not self.gentle else None
        self.enlarged, self.quality = rng.uniform(1, 2), int(rng.integers(75 if self.gentle else 35, 97))

    def lens(self, light):
        h, w = light.shape[:2]
        if self.blur:
            light = cv2.GaussianBlur(light, (0, 0), self.blur)
        if self.motion:
            length, angle = self.motion
            kernel = np.zeros((length, length), np.float32)
            kernel[length // 2] = 1
            kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, angle, 1), (length, length))
            light = cv2.filter2D(light, -1, kernel / max(kernel.sum(), 1e-3))
        y, x = grid((h, w))
        fall = 1 - self.vignette * (((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) * 2)
        return to_levels(light * self.gain * self.cast * fall[..., None])

    def sensor(self, levels, rng):
        """Noise and the phone's processing: levels 0..1 to 8 bits."""
        h, w = levels.shape[:2]
        noise = rng.standard_normal(levels.shape, np.float32)
        if self.blotch > 0.3:
            noise = cv2.GaussianBlur(noise, (0, 0), self.blotch) * 2 * self.blotch
        light = np.square(levels)
        levels = to_levels(light + noise * np.sqrt(self.read + self.shot * light))
        levels = levels + self.curve * levels * (1 - levels) * (levels - 0.5) * 4
        levels = np.clip(saturated(levels, self.saturation), 0, 1).astype(np.float32)
        if self.denoise:
            levels = cv2.bilateralFilter(levels, 5, 0.06, 2)
        if self.sharpen:
            amount, sigma = self.sharpen
            levels = np.clip(levels + amount * (levels - cv2.GaussianBlur(levels, (0, 0), sigma)), 0, 1)
        picture = np.round(levels * 255).astype(np.uint8)
        if self.reduced:
            picture = cv2.resize(picture, None, fx=self.reduced, fy=self.reduced, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (int(w * self.enlarged), int(h * self.enlarged)), interpolation=cv2.INTER_LINEAR)
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1], 1)
