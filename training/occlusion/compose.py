"""Draws things onto cached faces: coverings, and lookalikes that cover nothing.

Everything is drawn in the face's own coordinates: the origin lies between the eyes, x = +-0.5 are the eyes of a frontal
face, y = 1 is the mouth, so about y = 0.55 is the nose tip, y = 1.75 the chin and y = -0.35 the brows.

A picture may have a fourth channel: 255 where the face is seen, 0 where something opaque lies before it. `blend` lowers
it, and so what is covered is measured, not assumed (parts.py).
"""

import copy

import cv2
import numpy as np

from geometry import CACHE, similarity


class Face:
    """The coordinates of one face, its skin colour and the light on it."""

    def __init__(self, picture, points, rng):
        self.rng = rng
        eyes, mouth = points[:2].mean(0), points[3:].mean(0)
        self.origin, self.down = eyes, mouth - eyes
        length = float(np.hypot(*self.down))
        # Eyes are as far apart as 0.86 of the way to the mouth on a frontal face; a turned face narrows, but never below this.
        width = max(float(np.hypot(*(points[1] - points[0]))), 0.72 * length)
        self.right = np.array([self.down[1], -self.down[0]]) / length * width
        self.unit = length
        self.lean = float(np.dot(points[2] - eyes, self.right) / width**2)
        cheeks = np.vstack([self.at([(-0.45 + self.lean, 0.45), (0.45 + self.lean, 0.45), (self.lean, -0.5)])])
        patches = [picture[int(y) - 3:int(y) + 4, int(x) - 3:int(x) + 4].reshape(-1, 3)
                   for x, y in np.clip(cheeks, 4, CACHE - 5)]
        self.skin = np.median(np.vstack(patches), 0)
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        small = cv2.GaussianBlur(cv2.resize(grey, (40, 40), interpolation=cv2.INTER_AREA).astype(np.float32), (0, 0), 4)
        light = small / max(float(small[10:32, 10:30].mean()), 8.0)
        self.light = cv2.resize(np.clip(light, 0.5, 1.6), (CACHE, CACHE))[..., None] ** np.float32(rng.uniform(0.2, 0.8))
        self.exposure = float(np.clip(small[10:32, 10:30].mean() / 150.0, 0.35, 1.25))

    def at(self, xy):
        xy = np.asarray(xy, np.float64).reshape(-1, 2)
        return self.origin + xy[:, :1] * self.right + xy[:, 1:] * self.down


def smooth(corners, closed=True, steps=8):
    """A curve through the corners (Catmull-Rom)."""
    p = np.asarray(corners, np.float64)
    n = len(p)
    out = []
    for i in range(n if closed else n - 1):
        if closed:
            a, b, c, d = p[(i - 1) % n], p[i], p[(i + 1) % n], p[(i + 2) % n]
        else:
            a, b, c, d = p[max(i - 1, 0)], p[i], p[i + 1], p[min(i + 2, n - 1)]
        for t in np.arange(steps) / steps:
            out.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3))
    if not closed:
        out.append(p[-1])
    return np.array(out)


def area(outline, soft=0.6):
    """Coverage 0..1 of a polygon given in pixels."""
    mask = np.zeros((CACHE, CACHE), np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32)[..., None] * np.float32(1 / 255)


def stroke(line, width, soft=0.6):
    mask = np.zeros((CACHE, CACHE), np.uint8)
    cv2.polylines(mask, [np.round(line * 16).astype(np.int32)], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, (0, 0), soft).astype(np.float32)[..., None] * np.float32(1 / 255)


def blend(picture, colour, coverage):
    coverage = np.asarray(coverage, np.float32)
    seen = picture[..., :3]
    mixed = seen + (np.clip(np.asarray(colour, np.float32), 0, 255) - seen) * coverage
    return mixed if picture.shape[2] == 3 else np.dstack([mixed, picture[..., 3:] * (1 - coverage)])


def noise(rng, grain, strength=1.0):
    """Smooth noise with spots of about `grain` pixels, mean 0, deviation `strength`."""
    n = max(3, int(CACHE / grain))
    field = cv2.resize(rng.standard_normal((n, n)).astype(np.float32), (CACHE, CACHE), interpolation=cv2.INTER_CUBIC)
    return field[..., None] * np.float32(strength)


def vivid(rng):
    return cv2.cvtColor(np.uint8([[[rng.integers(180), rng.integers(60, 255), rng.integers(60, 255)]]]),
                        cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


CLOTHS = ((235, 235, 235), (245, 240, 235), (225, 205, 170), (230, 190, 140), (200, 220, 170), (25, 25, 25), (40, 35, 35),
          (70, 65, 60), (120, 115, 110), (150, 150, 155), (90, 50, 30), (60, 20, 110), (190, 170, 240), (150, 190, 220))


# Photographed cloth, paper and the like, filled by coverings.py.
FABRICS = []


def photographed(rng):
    """A texture the size of the picture from a photographed one: turned, scaled, repeated, often in another colour."""
    tile = FABRICS[rng.integers(len(FABRICS))]
    angle, scale = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.4), np.log(1.6)))
    a, b = np.cos(angle) * scale, np.sin(angle) * scale
    texture = cv2.warpAffine(tile, np.array([[a, -b, rng.uniform(0, CACHE)], [b, a, rng.uniform(0, CACHE)]]), (CACHE, CACHE),
                             borderMode=cv2.BORDER_WRAP).astype(np.float32)
    if rng.random() < 0.5:
        mean = texture.mean((0, 1))
        base = np.array(CLOTHS[rng.integers(len(CLOTHS))], np.float32) if rng.random() < 0.6 else vivid(rng).astype(np.float32)
        texture = base + (texture - mean) * np.float32(rng.uniform(0.4, 1.2))
    return np.clip(texture, 0, 255)


def cloth(rng, face, patterned=0.35):
    """A texture the size of the picture: plain, dotted, striped, chequered, blotched or printed."""
    if FABRICS and patterned and rng.random() < 0.4:
        return photographed(rng) * np.float32(face.exposure * rng.uniform(0.85, 1.2))
    base = np.array(CLOTHS[rng.integers(len(CLOTHS))], np.float64) if rng.random() < 0.65 else vivid(rng)
    if rng.random() < 0.1:
        base = face.skin * rng.uniform(0.8, 1.15)
    texture = np.ones((CACHE, CACHE, 3), np.float32) * base.astype(np.float32)
    if rng.random() < patterned:
        other = vivid(rng) if rng.random() < 0.6 else np.array(CLOTHS[rng.integers(len(CLOTHS))], np.float64)
        y, x = np.mgrid[:CACHE, :CACHE].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 26)
        u, v = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
        kind = rng.integers(5)
        if kind == 0:
            on = (np.sin(u * 2 * np.pi / period) > rng.uniform(-0.3, 0.8))
        elif kind == 1:
            on = (np.sin(u * 2 * np.pi / period) * np.sin(v * 2 * np.pi / period) > rng.uniform(0.1, 0.7))
        elif kind == 2:
            on = ((np.sin(u * 2 * np.pi / period) > 0.5) | (np.sin(v * 2 * np.pi / period) > 0.5))
        elif kind == 3:
            on = noise(rng, period)[..., 0] > rng.uniform(-0.2, 0.8)
        else:
            on = noise(rng, period)[..., 0] > 0.3
            texture = blend(texture, vivid(rng), (noise(rng, period) > 0.4).astype(np.float32))
        texture = blend(texture, other, cv2.GaussianBlur(on.astype(np.float32), (0, 0), 0.8)[..., None])
    texture = texture * (1 + noise(rng, rng.uniform(2, 4), rng.uniform(0, 0.05)))
    return texture * np.float32(face.exposure * rng.uniform(0.85, 1.2))


def folds(rng, face, count, strength, sideways=True):
    """Bright and dark creases that run across (or along) the face, as a factor."""
    out = np.zeros((CACHE, CACHE, 1), np.float32)
    for _ in range(count):
        at, bend = rng.uniform(0.2, 2.2), rng.uniform(-0.25, 0.25)
        ends = rng.uniform(-0.15, 0.15, 2)
        if sideways:
            line = [(-1.2, at + ends[0]), (0, at + bend), (1.2, at + ends[1])]
        else:
            x = rng.uniform(-1.2, 1.2)
            line = [(x, 0), (x + bend, 1), (x + ends[0] * 3, 2.4)]
        line = face.at(smooth(line, closed=False))
        out += stroke(line, rng.uniform(1, 4), rng.uniform(0.8, 3)) * rng.uniform(-strength, strength * 0.5)
        out += stroke(line + [0, 2], rng.uniform(1, 3), rng.uniform(0.8, 2)) * rng.uniform(0, strength * 0.5)
    return 1 + out


def shade(face, edge):
    """Darker towards the sides, as cloth on a round head is."""
    rng = face.rng
    x = (np.arange(CACHE) - face.origin[0] - face.lean * face.unit) / (1.3 * face.unit)
    factor = 1 - rng.uniform(0, edge) * np.clip(np.abs(x), 0, 1.2) ** 2
    return (factor[None, :, None] + rng.uniform(-0.15, 0.15) * x[None, :, None]).astype(np.float32) * face.light


def face_mask(picture, face, where="on"):
    """A mask on nose and mouth (`on`), on the mouth only (`low`) or under the chin (`chin`, which covers nothing)."""
    rng = face.rng
    top = {"on": rng.uniform(0.12, 0.42), "low": rng.uniform(0.62, 0.76), "chin": rng.uniform(1.5, 1.72)}[where]
    side = {"on": rng.uniform(0.1, 0.5), "low": rng.uniform(0.55, 0.8), "chin": rng.uniform(1.25, 1.5)}[where]
    bottom = rng.uniform(1.62, 2.05) + {"on": 0, "low": 0.15, "chin": 0.4}[where]
    wide = rng.uniform(0.82, 1.12) * (0.85 if where == "chin" else 1)
    low_side = side + (bottom - side) * rng.uniform(0.45, 0.72)
    lean = face.lean * rng.uniform(0.6, 1.1)
    jaw = wide * rng.uniform(0.6, 0.9)
    peak = top - (rng.uniform(0.0, 0.12) if where != "chin" else 0)
    corners = [(-wide + lean * 0.3, side), (-wide * 0.45 + lean, (top + side) / 2 - rng.uniform(-0.02, 0.1)), (lean, peak),
               (wide * 0.45 + lean, (top + side) / 2 - rng.uniform(-0.02, 0.1)), (wide + lean * 0.3, side),
               (wide * rng.uniform(0.9, 1.02) + lean * 0.3, (side + low_side) / 2), (jaw + lean * 0.3, low_side),
               (jaw * 0.5 + lean * 0.5, bottom - 0.1), (lean * 0.6, bottom), (-jaw * 0.5 + lean * 0.5, bottom - 0.1),
               (-jaw + lean * 0.3, low_side), (-wide * rng.uniform(0.9, 1.02) + lean * 0.3, (side + low_side) / 2)]
    corners = np.array(corners) + rng.normal(0, 0.02, (12, 2))
    outline = face.at(smooth(corners))
    texture = cloth(rng, face) * shade(face, 0.5)
    style = rng.integers(3)
    if style == 0:      # pleats
        texture = texture * folds(rng, face, int(rng.integers(2, 6)), 0.35)
    elif style == 1:    # a seam down the middle
        line = face.at(smooth([(lean, peak), (lean * 1.3, (peak + bottom) / 2), (lean * 0.6, bottom)], closed=False))
        texture = texture * (1 - stroke(line, 2, 1.0) * rng.uniform(0.1, 0.5))
        texture = texture * (1 + stroke(line + [3 * rng.choice([-1, 1]), 0], 5, 3.0) * rng.uniform(0, 0.2))
    else:
        texture = texture * folds(rng, face, int(rng.integers(0, 8)), 0.2, bool(rng.integers(2)))
    strap = cloth(rng, face, 0)[:1, :1] if rng.random() < 0.5 else np.array([[[225.0, 225, 225]]]) * face.exposure
    if rng.random() < 0.75:
        for sign, low, high in ((-1, corners[10], corners[0]), (1, corners[6], corners[4])):
            ear = (sign * rng.uniform(1.2, 1.45), rng.uniform(-0.1, 0.4) + (0.2 if where == "chin" else 0))
            for end in (low, high):
                line = smooth([end, (np.array(end) + ear) / 2 + [0, rng.uniform(-0.08, 0.08)], ear], closed=False)
                picture = blend(picture, strap, stroke(face.at(line), rng.uniform(1.5, 4)))
    # The mask darkens the skin next to it a little.
    picture = picture * (1 - cv2.GaussianBlur(area(outline), (0, 0), 4)[..., None] * rng.uniform(0, 0.35))
    cover = area(outline, rng.uniform(0.5, 1.6))
    picture = blend(picture, texture, cover * rng.uniform(0.96, 1.0))
    if rng.random() < 0.3:
        trim = face.at(smooth(np.array(corners)[:5], closed=False))
        picture = blend(picture, texture * rng.uniform(0.5, 1.4), stroke(trim, rng.uniform(2, 5)) * 0.8)
    if rng.random() < 0.12:
        middle = face.at([(lean + rng.uniform(-0.5, 0.5), (top + bottom) / 2 + rng.uniform(-0.1, 0.3))])[0]
        disc = np.zeros((CACHE, CACHE), np.uint8)
        cv2.circle(disc, (int(middle[0]), int(middle[1])), int(face.unit * rng.uniform(0.12, 0.25)), 255, -1, cv2.LINE_AA)
        picture = blend(picture, cloth(rng, face, 0.2), disc[..., None].astype(np.float32) / 255)
    elif rng.random() < 0.15:
        picture = blend(picture, vivid(rng) * face.exposure, lettering(face, (lean, (top + bottom) / 2)) * cover)
    return picture


def lettering(face, middle):
    """Coverage of a few characters printed round `middle`."""
    rng = face.rng
    text = "".join(rng.choice(list("ABCDEGHKMNORSTUX&+238"), int(rng.integers(1, 6))))
    size, thick = rng.uniform(0.5, 1.3) * face.unit / 40, int(rng.integers(1, 4))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    mask = np.zeros((CACHE, CACHE), np.uint8)
    corner = face.at([middle])[0] + [-width / 2, height / 2] + rng.normal(0, 0.15, 2) * face.unit
    cv2.putText(mask, text, tuple(map(int, corner)), cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    return mask[..., None].astype(np.float32) / 255


def scarf(picture, face, covering=True):
    """Wool or silk from the nose (or the mouth) down; without `covering` it lies round the neck."""
    rng = face.rng
    top = rng.uniform(0.2, 0.72) if covering else rng.uniform(1.8, 2.0)
    edge = [(x, top + rng.uniform(-0.1, 0.1) + 0.25 * (abs(x) > 1) * rng.uniform(-1, 1)) for x in np.linspace(-1.7, 1.7, 7)]
    wide = rng.uniform(1.0, 2.2)
    corners = [(x / 1.7 * wide, y) for x, y in edge] + [(wide * 1.2, 3.2), (-wide * 1.2, 3.2)]
    texture = cloth(rng, face, 0.6) * shade(face, 0.4)
    texture = texture * folds(rng, face, int(rng.integers(3, 12)), 0.5, rng.random() < 0.7)
    if rng.random() < 0.4:
        texture = texture * (1 + 0.2 * np.sin(np.arange(CACHE) * rng.uniform(0.5, 1.5))[:, None, None])
    return blend(picture, texture, area(face.at(smooth(corners, steps=4)), rng.uniform(0.6, 2.0)))


def hand(picture, face, target, reach=0.0):
    """Fingers (and the palm behind them) whose middle lies at `target`; the arm comes from below or from a side."""
    rng = face.rng
    direction = rng.choice([rng.uniform(-2.6, -0.5), rng.uniform(-2.0, -1.1)])  # the fingers point up, more or less
    along, across = np.array([np.cos(direction), np.sin(direction)]), np.array([-np.sin(direction), np.cos(direction)])
    target = np.asarray(target, np.float64)
    thick, length = rng.uniform(0.23, 0.32), rng.uniform(0.8, 1.2)
    colour = face.skin * rng.uniform(0.75, 1.15) + rng.normal(0, 6, 3)
    grain = 1 + noise(rng, 6, 0.03) + noise(rng, 40, 0.06)
    light = face.light * rng.uniform(0.9, 1.05)
    side = rng.choice([-1, 1])

    def limb(picture, line, width):
        width = max(3, round(width * face.unit))
        cover = stroke(face.at(line), width, 0.7)
        # A cylinder: the distance from the edge gives the brightness.
        depth = cv2.distanceTransform((cover[..., 0] > 0.5).astype(np.uint8), cv2.DIST_L2, 3)[..., None] / (width / 2)
        round_shade = 0.62 + 0.42 * np.sqrt(np.clip(depth, 0, 1))
        picture = picture * (1 - cv2.GaussianBlur(cover, (0, 0), 3)[..., None] * 0.25)
        return blend(picture, colour * grain * light * round_shade, cover)

    palm = target - along * (length * 0.75)
    wrist = palm - along * 1.6
    picture = limb(picture, smooth([wrist, (wrist + palm) / 2, palm - along * 0.1], closed=False), rng.uniform(0.7, 0.85))
    picture = limb(picture, [palm - along * 0.25, palm], rng.uniform(0.95, 1.15))
    spread = rng.uniform(0.85, 1.25)
    count = int(rng.integers(3, 5)) if rng.random() < 0.4 else 4
    for i in rng.permutation(count):
        offset = (i - (count - 1) / 2) * thick * spread
        fan = (i - (count - 1) / 2) * rng.uniform(0.0, 0.12)
        size = length * (1 - 0.12 * abs(i - 1.3)) * rng.uniform(0.92, 1.05)
        start = palm + across * offset * 0.9
        end = start + along * size + across * fan
        curl = (start + end) / 2 + across * rng.uniform(-0.04, 0.04)
        picture = limb(picture, smooth([start, curl, end], closed=False), thick * rng.uniform(0.92, 1.05))
        if rng.random() < 0.4:
            nail = face.at([end - along * 0.02])[0]
            disc = np.zeros((CACHE, CACHE), np.uint8)
            cv2.ellipse(disc, (int(nail[0]), int(nail[1])), (max(2, int(thick * face.unit * 0.36)), max(2, int(thick * face.unit * 0.28))),
                        np.degrees(direction), 0, 360, 255, -1, cv2.LINE_AA)
            picture = blend(picture, vivid(rng) if rng.random() < 0.2 else colour * 1.1 + 12, disc[..., None] / 255.0 * 0.7)
    if rng.random() < 0.7:
        start = palm + across * side * 0.45 - along * 0.15
        picture = limb(picture, smooth([start, start + across * side * 0.3 + along * 0.2,
                                        start + across * side * 0.4 + along * 0.55], closed=False), thick * 1.1)
    return picture


def slab(picture, face, target, phone=True):
    """A phone, card, book, cup or other flat thing held before the face."""
    rng = face.rng
    w, h = (rng.uniform(0.75, 1.1), rng.uniform(1.5, 2.1)) if phone else (rng.uniform(0.9, 2.4), rng.uniform(0.8, 2.0))
    angle = rng.normal(0, 0.25) + (np.pi / 2 if rng.random() < 0.3 else 0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    r = rng.uniform(0.03, 0.12) if phone else rng.uniform(0.0, 0.3)
    corners = [(-w / 2 + r, -h / 2), (w / 2 - r, -h / 2), (w / 2, -h / 2 + r), (w / 2, h / 2 - r),
               (w / 2 - r, h / 2), (-w / 2 + r, h / 2), (-w / 2, h / 2 - r), (-w / 2, -h / 2 + r)]
    outline = face.at(np.array(corners) @ turn + target)
    base = np.array(((22, 22, 24), (40, 40, 42), (200, 200, 205), (170, 190, 215), (90, 60, 40))[rng.integers(5)], np.float64)
    texture = base * (1 + noise(rng, 60, 0.08)) * face.exposure if phone else cloth(rng, face, 0.6)
    cover = area(outline, rng.uniform(0.4, 1.0))
    picture = picture * (1 - cv2.GaussianBlur(cover, (0, 0), 5)[..., None] * 0.3)
    picture = blend(picture, texture, cover)
    if phone:
        for i in range(int(rng.integers(1, 4))):
            lens = face.at(np.array([[-w / 2 + 0.18, -h / 2 + 0.2 + 0.2 * i]]) @ turn + target)[0]
            cv2.circle(picture, (int(lens[0]), int(lens[1])), max(2, int(face.unit * 0.07)), (10.0, 10.0, 10.0), -1, cv2.LINE_AA)
            cv2.circle(picture, (int(lens[0]), int(lens[1])), max(2, int(face.unit * 0.07)), (120.0, 120.0, 120.0), 1, cv2.LINE_AA)
        if rng.random() < 0.5:
            picture = hand(picture, face, np.asarray(target) + [rng.uniform(-0.4, 0.4), rng.uniform(0.5, 0.9)])
    return picture


def blob(picture, face, target):
    """Something unknown: an irregular opaque shape."""
    rng = face.rng
    n = int(rng.integers(5, 10))
    angles = np.sort(rng.uniform(0, 2 * np.pi, n))
    radius = rng.uniform(0.6, 1.1, n)
    corners = np.stack([np.cos(angles) * radius * rng.uniform(0.8, 1.4), np.sin(angles) * radius], 1) + target
    texture = cloth(rng, face, 0.5) * shade(face, 0.3) * folds(rng, face, int(rng.integers(0, 5)), 0.3)
    return blend(picture, texture, area(face.at(smooth(corners)), rng.uniform(0.5, 1.5)))


def microphone(picture, face, target):
    rng = face.rng
    target = np.asarray(target, np.float64)
    size = rng.uniform(0.2, 0.4)
    grip = target + [rng.uniform(-0.8, 0.8), 1.6]
    colour = np.array(((25, 25, 25), (60, 60, 65), (170, 170, 175))[rng.integers(3)], np.float64) * face.exposure
    picture = blend(picture, colour, stroke(face.at([target, grip]), size * face.unit * 1.1))
    head = smooth([target + np.array([np.cos(a), np.sin(a)]) * size for a in np.arange(8) * np.pi / 4])
    texture = colour * (1 + noise(rng, 2, 0.25) + noise(rng, 14, 0.2))
    return blend(picture, texture, area(face.at(head)))


def lens_outline(rng, centre, half_width, half_height, style):
    steps = np.arange(16) * np.pi / 8
    power = {0: 1.0, 1: 0.6, 2: 0.75}[style]
    x, y = np.cos(steps), np.sin(steps)
    x, y = np.sign(x) * np.abs(x) ** power, np.sign(y) * np.abs(y) ** power
    if style == 2:  # aviators widen upwards
        x = x * (1 - 0.18 * y)
    return np.stack([centre[0] + x * half_width, centre[1] + y * half_height], 1)


def tilted(face):
    """The face for a thing worn askew, slipped down or pushed up a little."""
    rng, other = face.rng, copy.copy(face)
    angle = rng.normal(0, 0.07)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    other.right, other.down = turn @ face.right, turn @ face.down
    other.origin = face.origin + face.down * rng.uniform(-0.06, 0.1)
    return other


def glasses(picture, face, dark, small=False):
    """Sunglasses (`dark`), from lightly tinted to opaque and mirroring, of usual size or (`small`) round, narrow and often without
    a rim; or ordinary glasses with clear lenses."""
    rng = face.rng
    opacity = rng.uniform(0.93, 1.0) if rng.random() < 0.8 else rng.uniform(0.3, 0.93)
    tint = np.array(((12, 12, 12), (25, 22, 20), (20, 30, 50), (60, 30, 20), (40, 25, 60), (30, 60, 90), (25, 50, 30))[rng.integers(7)],
                    np.float64) * rng.uniform(0.5, 1.6)
    if rng.random() < 0.2:
        tint = vivid(rng) * rng.uniform(0.3, 1.0)
    fade, mirror = rng.uniform(0, 45) * (rng.random() < 0.7), rng.random()
    reflection = photographed(rng) if FABRICS and mirror < (0.3 if small else 0.12 if dark else 0.3) else None
    style = int(rng.integers(3))
    half_width, half_height = rng.uniform(0.38 if dark else 0.34, 0.52), rng.uniform(0.24, 0.5 if dark else 0.42)
    if small:
        half_width, half_height, style = rng.uniform(0.27, 0.42), rng.uniform(0.17, 0.34), int(rng.integers(3))
    drop = rng.uniform(0.0, 0.1)
    frame = np.array(((20, 20, 20), (30, 40, 70), (90, 130, 160), (60, 60, 60), (190, 190, 195))[rng.integers(5)], np.float64)
    if rng.random() < 0.15:
        frame = vivid(rng)
    if dark and rng.random() < 0.5:  # of one piece with the lenses
        frame = tint * rng.uniform(0.4, 1.2)
    frame = frame * face.exposure
    thick = 1.2 + (5.0 if dark else 7.0) * rng.random() ** 2
    shift = face.lean * 0.35
    for sign in (-1, 1):
        outline = face.at(lens_outline(rng, (sign * rng.uniform(0.5, 0.54) + shift, drop), half_width, half_height, style))
        if dark:
            rise = (np.arange(CACHE)[:, None, None] - face.origin[1]) / (face.unit * 0.4)
            texture = tint + np.clip(rise, -1, 1) * fade + np.zeros((1, CACHE, 3))
            if reflection is not None:
                texture = texture * 0.5 + cv2.GaussianBlur(reflection, (0, 0), 4) * rng.uniform(0.4, 0.9)
            elif mirror < 0.6:
                texture = texture + np.clip(noise(rng, rng.uniform(20, 60)), 0, 2) * rng.uniform(10, 90)
            cover = area(outline) * opacity
            if opacity < 0.93 and fade:  # lighter below
                cover = cover * np.clip(1 - np.clip(rise, -1, 1) * 0.25, 0, 1)
            picture = blend(picture, texture, cover)
        else:
            cover = area(outline)
            picture = blend(picture, rng.choice([0.0, 255.0]), cover * rng.uniform(0, 0.1))
            if reflection is not None:  # a window or a room in the lens; the eye shows through
                picture = blend(picture, cv2.GaussianBlur(reflection, (0, 0), 3), cover * rng.uniform(0.05, 0.3))
            if rng.random() < 0.25:  # a glare that leaves most of the eye visible
                spot = outline.mean(0) + rng.uniform(-0.25, 0.25, 2) * face.unit
                line = np.array([spot, spot + rng.uniform(-0.2, 0.2, 2) * face.unit])
                picture = blend(picture, 250.0, stroke(line, rng.uniform(1, 6), 1.5) * cover * rng.uniform(0.3, 0.9))
        if (not small or rng.random() < 0.5) if dark else rng.random() < 0.9:
            picture = blend(picture, frame, stroke(np.vstack([outline, outline[:1]]), thick))
        temple = face.at([(sign * 1.0 + shift, drop - 0.1), (sign * 1.3, drop - 0.12)])
        picture = blend(picture, frame, stroke(temple, max(1.5, thick * 0.8)))
    bridge = face.at(smooth([(-0.15 + shift, drop - 0.05), (shift, drop - 0.12), (0.15 + shift, drop - 0.05)], closed=False))
    if dark and rng.random() < 0.15:  # a visor: no gap between the lenses
        bridge = face.at([(-0.2 + shift, drop - half_height * 0.5), (0.2 + shift, drop - half_height * 0.5)])
        return blend(picture, frame, stroke(bridge, half_height * face.unit * rng.uniform(0.5, 0.9)))
    return blend(picture, frame, stroke(bridge, max(1.5, thick * 0.8)))


def hair(picture, face, covering):
    """Strands from the top: over the eyes, or (not `covering`) a fringe above the brows, a few thin ones, or at the sides."""
    rng = face.rng
    top = face.at([(0, -1.05)])[0]
    x, y = np.clip(top, 2, CACHE - 3).astype(int)
    colour = picture[y, x, :3].copy() if picture[y, x, :3].mean() < 90 else np.array(((18, 18, 22), (25, 35, 55), (60, 100, 140))[rng.integers(3)], float)
    if covering:
        sides = [(-1.1, 1.1)] if rng.random() < 0.6 else [((-1.1, 0.15), (-0.15, 1.1))[rng.integers(2)]]
        count, ends, width = rng.integers(130, 260), (0.28, 0.9), (1.0, 3.0)
    elif rng.random() < 0.5:
        sides, count, ends, width = [(-1.1, 1.1)], rng.integers(60, 200), (-0.75, -0.32), (1.0, 3.0)
    elif rng.random() < 0.6:
        sides, count, ends, width = [(-1.5, -1.05), (1.05, 1.5)], rng.integers(60, 120), (0.5, 2.2), (1.0, 3.0)
    else:
        sides, count, ends, width = [(-1.0, 1.0)], rng.integers(2, 6), (-0.2, 1.0), (0.8, 1.5)
    sway = rng.uniform(-0.5, 0.5)
    for left, right in sides:
        for _ in range(int(count)):
            x0 = rng.uniform(left, right)
            y1 = rng.uniform(*ends)
            line = smooth([(x0 * 0.8 - sway * 0.5, -1.7), (x0 - sway * 0.2, -0.7), (x0 + sway * 0.15, (y1 - 0.7) / 2), (x0 + sway * 0.3, y1)],
                          closed=False, steps=5)
            tone = colour * rng.uniform(0.7, 1.3) + rng.uniform(0, 12)
            cv2.polylines(picture, [np.round(face.at(line) * 16).astype(np.int32)], False, tuple(map(float, tone)),
                          max(1, round(rng.uniform(*width))), cv2.LINE_AA, 4)
    return picture


def lock(picture, face):
    """Hair swept from a parting over one eye, thin strands whose tone changes slowly from one to the next."""
    rng = face.rng
    sign = rng.choice([-1, 1])
    colour = np.array(((16, 16, 20), (22, 30, 48), (40, 62, 95), (75, 115, 150), (150, 155, 160))[rng.integers(5)], np.float64) * face.exposure
    part, low, wave = -sign * rng.uniform(-0.2, 0.6), rng.uniform(0.35, 1.5), rng.uniform(0, 0.1)
    inner, outer = rng.uniform(0.0, 0.3), rng.uniform(0.85, 1.25)
    tones = np.interp(np.linspace(0, 1, 200), np.linspace(0, 1, 14), rng.uniform(0.55, 1.5, 14))
    for u in rng.permutation(np.linspace(0, 1, int(rng.integers(110, 260)))):
        across = inner + (outer - inner) * u
        end = low + (0.5 - u) * rng.uniform(0, 0.4) + rng.normal(0, 0.08)
        line = smooth([(part, -1.2 - 0.25 * u), (part * 0.4 + sign * across * 0.45, -0.95 + 0.3 * (1 - u)), (sign * across, -0.25 + rng.normal(0, 0.02)),
                       (sign * (across * 1.05 + wave * np.sin(9 * u)), (end - 0.25) / 2), (sign * (across * 0.98 + rng.normal(0, 0.03)), end)], False, 4)
        tone = colour * tones[int(u * 199)] * rng.uniform(0.85, 1.2) + rng.uniform(0, 8)
        cv2.polylines(picture, [np.round(face.at(line) * 16).astype(np.int32)], False, tuple(map(float, tone)), int(rng.integers(1, 3)), cv2.LINE_AA, 4)
    return picture


def beard(picture, face):
    """Hair on jaw, chin and upper lip; the lips stay free."""
    rng = face.rng
    lean = face.lean * 0.7
    high, wide = rng.uniform(0.5, 1.1), rng.uniform(0.75, 1.0)
    bottom = rng.uniform(1.7, 2.3)
    outer = smooth([(-wide, high), (-wide * 0.55 + lean, rng.uniform(0.85, 1.15)), (-0.35 + lean, 0.78), (lean, 0.72), (0.35 + lean, 0.78),
                    (wide * 0.55 + lean, rng.uniform(0.85, 1.15)), (wide, high), (wide * 0.85, 1.45), (wide * 0.4, bottom - 0.1),
                    (0, bottom), (-wide * 0.4, bottom - 0.1), (-wide * 0.85, 1.45)])
    if rng.random() < 0.3:  # chin and upper lip only
        outer = smooth([(-0.42 + lean, 1.0), (-0.3 + lean, 0.8), (lean, 0.74), (0.3 + lean, 0.8), (0.42 + lean, 1.0), (0.4 + lean, 1.5),
                        (lean, bottom - 0.1), (-0.4 + lean, 1.5)])
    lips = smooth([(-0.36 + lean, 1.0), (lean, 0.9), (0.36 + lean, 1.0), (lean, 1.17)])
    cover = area(face.at(outer), rng.uniform(2, 6)) * (1 - area(face.at(lips), 1.5))
    tone = np.array(((20, 20, 22), (30, 38, 52), (60, 85, 115), (120, 125, 130), (190, 190, 190))[rng.integers(5)], np.float64)
    grain = cv2.blur(rng.standard_normal((CACHE, CACHE)).astype(np.float32), (2, int(rng.integers(3, 9))))[..., None]
    texture = tone * face.exposure * (1 + grain * rng.uniform(0.3, 0.9))
    return blend(picture, texture, np.clip(cover * (rng.uniform(0.4, 0.95) + grain * 0.35), 0, 1))


def cap(picture, face):
    rng = face.rng
    brim = rng.uniform(-0.75, -0.42)
    wide = rng.uniform(1.1, 1.6)
    bow = rng.uniform(-0.1, 0.25)
    corners = [(-wide, brim + bow), (-wide * 0.5, brim + bow * 0.3), (0, brim), (wide * 0.5, brim + bow * 0.3), (wide, brim + bow),
               (wide * 1.1, -1.4), (wide, -3.0), (-wide, -3.0), (-wide * 1.1, -1.4)]
    texture = cloth(rng, face, 0.4) * shade(face, 0.4) * folds(rng, face, 3, 0.2)
    outline = face.at(smooth(corners, steps=5))
    # The brim's shadow may reach over the eyes.
    low = np.clip(cv2.GaussianBlur(area(outline + [0, rng.uniform(2, 30)]), (0, 0), rng.uniform(2, 6))[..., None], 0, 1)
    picture = picture * (1 - low * rng.uniform(0, 0.7))
    return blend(picture, texture, area(outline))


def shadow(picture, face):
    """A hard or soft shadow across a part of the face."""
    rng = face.rng
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:CACHE, :CACHE].astype(np.float32)
    middle = face.at([(rng.uniform(-0.6, 0.6), rng.uniform(-0.2, 1.3))])[0]
    edge = ((x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)) / rng.uniform(2, 40)
    edge = edge + noise(rng, 50, rng.uniform(0, 1))[..., 0]
    dark = 1 / (1 + np.exp(-np.clip(edge, -20, 20)))[..., None]
    return picture * (1 - dark * rng.uniform(0.3, 0.8))


def make_up(picture, face):
    rng = face.rng
    lean = face.lean * 0.8
    lips = area(face.at(smooth([(-0.33 + lean, 1.0), (lean - 0.08, 0.92), (lean + 0.08, 0.92), (0.33 + lean, 1.0), (lean, 1.14)])), 1.2)
    colour = np.array((rng.uniform(20, 90), rng.uniform(10, 60), rng.uniform(120, 220))) * face.exposure
    picture = blend(picture, colour, lips * rng.uniform(0.3, 0.7))
    if rng.random() < 0.5:
        for sign in (-1, 1):
            lid = smooth([(sign * 0.5 - 0.2, 0.0), (sign * 0.5, -0.13), (sign * 0.5 + 0.2, 0.0), (sign * 0.5, -0.05)])
            picture = blend(picture, vivid(rng) * 0.6, area(face.at(lid), 1.5) * rng.uniform(0.3, 0.7))
    return picture


def light_decorate(picture, face):
    """What a covered face may wear as well, so that the marks of drawing do not give the label away."""
    kind = face.rng.integers(5)
    return (lambda: glasses(picture, face, dark=False), lambda: cap(picture, face), lambda: shadow(picture, face),
            lambda: hair(picture, face, covering=False), lambda: blob(picture, face, (face.rng.choice([-2.1, 2.1]), 1.0)))[kind]()


def other_head(picture, points, other, other_points, rng, eyes_too):
    """The face with the head of another one above a seam over the brows, or (`eyes_too`) under the eyes.

    The bare and the masked pictures come from different sources: light, hair, caps, background and resolution tell them
    apart. Heads that change sides leave only what lies on the face to tell.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    other_eyes, other_mouth = other_points[:2].mean(0), other_points[3:].mean(0)
    moved = cv2.warpAffine(other, similarity([other_eyes, other_mouth], [eyes, mouth]), (CACHE, CACHE), borderMode=cv2.BORDER_REPLICATE)
    down = mouth - eyes
    unit = float(np.hypot(*down))
    lowest, highest = (0.08, 0.16) if eyes_too else (-0.6, -0.35)
    turn = rng.normal(0, 0.06)
    axis = np.array([down[0] - turn * down[1], down[1] + turn * down[0]]) / unit
    y, x = np.mgrid[:CACHE, :CACHE].astype(np.float32)
    below = (x - eyes[0]) * axis[0] + (y - eyes[1]) * axis[1] - rng.uniform(lowest, highest) * unit
    share = np.clip(below / rng.uniform(2, 14) + 0.5, 0, 1)[..., None]
    if rng.random() < 0.7:  # one light on both: the means of the seam's surroundings agree
        near = np.exp(-(below / (0.25 * unit)) ** 2)[..., None] * (np.abs(x - eyes[0]) < 0.8 * unit)[..., None]
        gain = (picture * near).sum((0, 1)) / np.maximum((moved * near).sum((0, 1)), 1)
        moved = np.clip(moved * np.clip(gain, 0.5, 2), 0, 255)
    return (picture * share + moved * (1 - share)).astype(np.uint8)


def other_skin(picture, points, rng):
    """Darker or lighter skin; cloth and background of another colour keep theirs. The sources show few skin tones."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    at = np.clip(eyes - down * rng.uniform(0.3, 0.5), 6, CACHE - 7).astype(int)  # between and over the brows: free under a mask
    lab = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB).astype(np.float32)
    skin = np.median(lab[at[1] - 5:at[1] + 6, at[0] - 5:at[0] + 6].reshape(-1, 3), 0)
    y, x = np.mgrid[:CACHE, :CACHE].astype(np.float32)
    unit = float(np.hypot(*down))
    middle = eyes + down * 0.6
    oval = np.clip(2.6 - np.hypot((x - middle[0]) / (1.1 * unit), (y - middle[1]) / (1.5 * unit)) * 2, 0, 1)
    chroma = np.hypot(lab[..., 1] - skin[1], lab[..., 2] - skin[2])
    alike = np.exp(-((chroma / 14) ** 2) - (np.clip(np.abs(lab[..., 0] - skin[0]) - 30, 0, None) / 40) ** 2)
    weight = cv2.GaussianBlur(oval * alike, (0, 0), 1.5)[..., None]
    tone = np.array([0.85, 0.92, 1.0], np.float32) ** rng.uniform(0, 1.5) * np.float32(rng.uniform(0.3, 1.15))
    return np.clip(picture * (1 - weight * (1 - tone)), 0, 255).astype(np.uint8)
