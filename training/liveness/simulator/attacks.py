"""Draws pairs: a live picture and an attack of the same picture, in one geometry, through one camera."""

import csv
from pathlib import Path

import cv2
import numpy as np

from physics import (Camera, chance, equally_noisy, equally_sharp, exchanged, flare, mirrored_lamps, paper_light, printed, room_light, shown,
                     tinted, to_light)

# The canvas has the shape of YuNet's boxes; it is reduced to the networks' input at the end.
WIDE, HIGH = 144, 192
KINDS = ("mask", "print", "replay")
# A head must be this wide in its own picture to be printed on a mask.
HEAD = 70


class Props:
    """Hands, devices and surfaces, read once."""

    def __init__(self, data):
        data = Path(data)
        self.hands = [self._small(cv2.imread(str(p), -1), 160) for p in sorted((data / "hands/img").iterdir())[::4]]
        self.devices = []
        for row in csv.DictReader((data / "device-frames/labels.csv").open()):
            frame = self._small(cv2.imread(str(data / "device-frames" / row["path"]), -1), 420)
            screen = self._screen(frame)
            if screen is not None:
                self.devices.append((frame, screen))
        self.surfaces = [cv2.imread(str(p)) for p in sorted((data / "textures/img").iterdir())[::3]]

    @staticmethod
    def _small(picture, side):
        scale = min(1, side / max(picture.shape[:2]))
        return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)

    @staticmethod
    def _screen(frame):
        """The screen is the rectangle of one colour (or of none) about the middle."""
        h, w = frame.shape[:2]
        middle = frame[h // 2, w // 2].astype(int)
        alike = (np.abs(frame.astype(int) - middle).max(2) < 14).astype(np.uint8)
        if frame[h // 2, w // 2, 3] < 20:
            alike = (frame[..., 3] < 20).astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(alike)
        left, top, wide, high, area = stats[parts[h // 2, w // 2]]
        return (left, top, wide, high) if 0.35 * w * h < wide * high and area > 0.9 * wide * high and wide < w and high < h else None


def view(picture, area, turn=0.0, bend=None):
    """The area (left, top, width, height) on the canvas, turned about its middle; each picture is sampled just once."""
    left, top, wide, high = area
    scale = (WIDE / wide + HIGH / high) / 2
    here = np.float32([[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]])
    there = np.float32([[0, 0], [WIDE, 0], [WIDE, HIGH], [0, HIGH]])
    if bend is not None:
        there = there + bend
    if turn:
        spin = cv2.getRotationMatrix2D((WIDE / 2, HIGH / 2), turn, 1.0 + abs(turn) / 100)
        there = there @ spin[:, :2].T + spin[:, 2]
    matrix = cv2.getPerspectiveTransform(here, np.float32(there))
    if scale < 0.8:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([1 / scale, 1 / scale, 1])
    out = cv2.warpPerspective(picture, matrix, (WIDE, HIGH), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out, matrix if scale >= 0.8 else matrix @ np.diag([scale, scale, 1])


def moved(points, matrix):
    return cv2.perspectiveTransform(np.float32(points)[None], matrix)[0]


def crop(item, scale, rng):
    """A crop as the service cuts it: the box grown by the scale, at most to the picture, shifted inside; a little jittered."""
    high, wide = item["picture"].shape[:2]
    left, top, w, h = item["box"]
    w, h = w * np.exp(rng.normal(0, 0.04)), h * np.exp(rng.normal(0, 0.04))
    x, y = left + item["box"][2] / 2 + rng.normal(0, 0.03) * w, top + item["box"][3] / 2 + rng.normal(0, 0.03) * h
    fitting = min(scale, (wide - 1) / w, (high - 1) / h)
    cw, ch = w * fitting, h * fitting
    return (float(np.clip(x - cw / 2, 0, wide - cw)), float(np.clip(y - ch / 2, 0, high - ch)), cw, ch), fitting


def polygon(points):
    mask = np.zeros((HIGH * 2, WIDE * 2), np.uint8)
    cv2.fillPoly(mask, [np.int32(np.round(np.float32(points) * 2 * 16))], 255, shift=4)
    return cv2.resize(mask, (WIDE, HIGH), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255


def over(below, above, mask):
    return below + mask * (above - below)


def shadow(light, mask, rng, strength=0.6):
    soft = cv2.GaussianBlur(mask[..., 0], (0, 0), rng.uniform(1, 7))
    move = np.float32([[1, 0, rng.normal(0, 4)], [0, 1, rng.normal(2, 4)]])
    soft = cv2.warpAffine(soft, move, (WIDE, HIGH))
    return light * (1 - rng.uniform(0, strength) * soft[..., None])


def with_hand(light, props, at, wrist, size, rng):
    """A hand whose middle lies at the point and whose wrist points along the angle (0 = right, 90 = down)."""
    hand = props.hands[int(rng.integers(len(props.hands)))]
    if chance(rng, 0.5):
        hand = hand[::-1]
    h, w = hand.shape[:2]
    turn = cv2.getRotationMatrix2D((w * 0.35, h / 2), -wrist + rng.normal(0, 20), size / w * rng.uniform(0.8, 1.2))
    turn[:, 2] += np.float32(at) - [w * 0.35, h / 2]
    small = cv2.warpAffine(hand, turn, (WIDE, HIGH), flags=cv2.INTER_AREA if size > w else cv2.INTER_LINEAR)
    mask = small[..., 3:].astype(np.float32) / 255
    skin = np.clip(to_light(small[..., :3]) * np.exp(rng.normal(-0.2, 0.5)) * tinted(rng, 0.12), 0, 1.2)
    light = shadow(light, mask, rng, 0.4) if chance(rng, 0.5) else light
    return over(light, skin, mask)


def held(light, props, quad, face, rng):
    """Fingers of one or two hands at the borders of what is held before a face of that width."""
    middle = quad.mean(0)
    for _ in range(int(rng.integers(1, 3))):
        side = (1, 3, 2, 1, 3)[int(rng.integers(5))]
        at = quad[side] + (quad[(side + 1) % 4] - quad[side]) * rng.uniform(0.15, 0.9)
        out = at - middle
        at = np.clip(at, [-8, -8], [WIDE + 8, HIGH + 8])
        light = with_hand(light, props, at + out / np.linalg.norm(out) * face * rng.uniform(0.1, 0.35), np.degrees(np.arctan2(out[1], out[0])),
                          face * rng.uniform(0.7, 1.3), rng)
    return light


def behind(items, props, rng, aligned):
    """What is seen around a print or a device: a person who holds it before the face, a room, a table."""
    if chance(rng, 0.2):
        tile = props.surfaces[int(rng.integers(len(props.surfaces)))]
        tile = np.tile(tile, (4, 4, 1))
        size = rng.uniform(0.8, 2.5) * WIDE
        picture, _ = view(tile, (rng.uniform(0, 126), rng.uniform(0, 126), size, size * HIGH / WIDE), rng.uniform(-20, 20))
    else:
        item = items[int(rng.integers(len(items)))]
        if chance(rng, 0.55):
            area, _ = crop(item, aligned, rng)
        else:
            h, w = item["picture"].shape[:2]
            high = rng.uniform(0.3, 0.95) * min(h, w * HIGH / WIDE)
            area = (rng.uniform(0, w - high * WIDE / HIGH), rng.uniform(0, h - high), high * WIDE / HIGH, high)
        picture, _ = view(item["picture"], area, rng.normal(0, 2))
    light = to_light(picture) * np.exp(rng.normal(-0.1, 0.4))
    return cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 2.5)) if chance(rng, 0.3) else light


def borders(face, rng, inside):
    """Corners of a sheet or screen around the face, clockwise from top left; `inside` tells how much of it the frame shows."""
    left, top, right, bottom = face
    w, h = right - left, bottom - top
    far = 1.3 if inside else 3.0
    near = 0.08
    quad = np.float32([
        [left - w * rng.uniform(near, far), top - h * rng.uniform(0.15, far * 0.8)], [0, 0],
        [right + w * rng.uniform(near, far), bottom + h * rng.uniform(near, far)], [0, 0]])
    quad[1], quad[3] = [quad[2, 0], quad[0, 1]], [quad[0, 0], quad[2, 1]]
    quad += rng.normal(0, 0.02, (4, 2)) * w
    spin = cv2.getRotationMatrix2D(tuple(map(float, quad.mean(0))), rng.normal(0, 3), 1.0)
    return (quad @ spin[:, :2].T + spin[:, 2]).astype(np.float32)


def grown(quad, share):
    middle = quad.mean(0)
    size = np.abs(quad - middle).mean(0)
    return (quad + np.sign(quad - middle) * size.min() * share).astype(np.float32)


def print_attack(live, face, items, props, scale, rng, wider=False):
    ink, white = printed(live, rng, wider)
    sheet = ink
    factor, gloss = paper_light(sheet.shape, rng)
    level = np.exp(rng.normal(0, 0.35))
    if chance(rng, 0.3):
        return sheet * factor * level + gloss
    quad = borders(face, rng, chance(rng, 0.75))
    if chance(rng, 0.6):
        paper = np.clip(white * tinted(rng, 0.05) * rng.uniform(0.9, 1.1), 0, 1)
        rim = rng.uniform(0.01, 0.12)
        sheet = over(paper * np.ones_like(sheet), sheet, polygon(grown(quad, -rim)))
    sheet = sheet * factor * level + gloss
    mask = polygon(quad)
    scene = behind(items, props, rng, scale)
    light = over(shadow(scene, mask, rng), sheet, mask)
    return held(light, props, quad, face[2] - face[0], rng) if chance(rng, 0.55) else light


def replay_attack(live, face, items, props, scale, rng):
    screen = shown(live, rng) + mirrored_lamps(live.shape, rng)
    if chance(rng, 0.35):
        return screen
    quad = borders(face, rng, chance(rng, 0.7))
    scene = behind(items, props, rng, scale) * np.exp(rng.normal(-0.5, 0.6))
    mask = polygon(quad)
    if chance(rng, 0.6):
        wide, high = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
        fits = sorted(range(len(props.devices)), key=lambda i: abs(np.log(props.devices[i][1][2] / props.devices[i][1][3] * high / wide)))
        frame, (l, t, w, h) = props.devices[fits[int(rng.integers(8))]]
        matrix = cv2.getPerspectiveTransform(np.float32([[l, t], [l + w, t], [l + w, t + h], [l, t + h]]), quad)
        laid = cv2.warpPerspective(frame, matrix, (WIDE, HIGH), flags=cv2.INTER_LINEAR)
        body, alpha = to_light(laid[..., :3]) * np.exp(rng.normal(0, 0.5)) + rng.uniform(0, 0.03), laid[..., 3:].astype(np.float32) / 255
        scene = over(shadow(scene, alpha, rng) if chance(rng, 0.5) else scene, body, alpha)
    else:
        colour = (rng.uniform(0, 0.06), rng.uniform(0.1, 0.4), rng.uniform(0.5, 0.9))[int(rng.choice(3, p=(0.7, 0.15, 0.15)))]
        bezel = polygon(grown(quad, rng.uniform(0.03, 0.25)))
        scene = over(scene, np.float32([1, 1, 1]) * colour * tinted(rng, 0.05), bezel)
    light = over(scene, screen, mask)
    return held(light, props, grown(quad, 0.1), face[2] - face[0], rng) if chance(rng, 0.35) else light


def silhouette(item):
    """The outline of head and hair, found once by graph cut about the face, on a reduced picture."""
    if "outline" not in item:
        left, top, w, h = item["box"]
        shrink = 36 / w
        x0, y0 = max(0, int(left - 0.7 * w)), max(0, int(top - 0.7 * h))
        part = item["picture"][y0:int(top + 1.3 * h), x0:int(left + 1.7 * w)]
        part = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        left, top, w, h = (left - x0) * shrink, (top - y0) * shrink, w * shrink, h * shrink
        hints = np.full(part.shape[:2], cv2.GC_BGD, np.uint8)
        middle = (int(left + w / 2), int(top + h * 0.42))
        cv2.ellipse(hints, middle, (int(w * 0.95), int(h * 0.88)), 0, 0, 360, cv2.GC_PR_BGD, -1)
        cv2.ellipse(hints, middle, (int(w * 0.62), int(h * 0.7)), 0, 0, 360, cv2.GC_PR_FGD, -1)
        cv2.ellipse(hints, (middle[0], int(top + h / 2)), (int(w * 0.36), int(h * 0.4)), 0, 0, 360, cv2.GC_FGD, -1)
        hints[int(top + h * 1.04):] = cv2.GC_BGD
        cv2.setRNGSeed(1)
        cv2.grabCut(part, hints, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
        mask = ((hints == cv2.GC_FGD) | (hints == cv2.GC_PR_FGD)).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        shapes, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outline = max(shapes, key=cv2.contourArea)[:, 0].astype(np.float32) if shapes else None
        item["outline"] = None if outline is None else (outline + 0.5) / shrink + [x0, y0]
    return item["outline"]


def cut(item, rng):
    """The outline of what is cut out of the head's print, in its own picture; with corners, as scissors leave them."""
    left, top, w, h = item["box"]
    outline = silhouette(item) if chance(rng, 0.7) else None
    if outline is None or len(outline) < 30:
        angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        hair = chance(rng, 0.5)
        rx, up, down = (rng.uniform(0.55, 0.72), rng.uniform(0.62, 0.95), rng.uniform(0.5, 0.62)) if hair else (
            rng.uniform(0.44, 0.55), rng.uniform(0.42, 0.55), rng.uniform(0.42, 0.55))
        y = np.sin(angles)
        outline = np.stack([left + w / 2 + rx * w * np.cos(angles), top + h / 2 + h * np.where(y < 0, up, down) * y], 1)
    corners = int(rng.integers(12, 60))
    picked = outline[np.linspace(0, len(outline) - 1, corners).astype(int)] + rng.normal(0, 0.01, (corners, 2)) * w
    if chance(rng, 0.35):
        # The lower part is missing, from between nose and chin on.
        edge = item["points"][2, 1] + rng.uniform(-0.1, 1.0) * (item["points"][3:, 1].mean() - item["points"][2, 1])
        slope = rng.normal(0, 0.1)
        limit = edge + slope * (picked[:, 0] - left - w / 2)
        picked[:, 1] = np.minimum(picked[:, 1], limit)
    return picked


def mask_attack(live, matrix, item, heads, props, rng, wider=False):
    """A printed head, cut out, before the face of the live picture."""
    head = heads[int(rng.integers(len(heads)))]
    theirs = moved(item["points"], matrix)
    fit, _ = cv2.estimateAffinePartial2D(head["points"].astype(np.float32), theirs.astype(np.float32), method=cv2.LMEDS)
    if fit is None:
        return None
    grow = np.exp(rng.normal(0.15, 0.14))
    middle = theirs.mean(0)
    spin = cv2.getRotationMatrix2D(tuple(map(float, middle)), rng.normal(0, 4), grow)
    fit = np.vstack([spin, [0, 0, 1]]) @ np.vstack([fit, [0, 0, 1]])
    fit[:2, 2] += rng.normal(0, 2, 2)
    scale = np.hypot(fit[0, 0], fit[1, 0])
    picture, to_canvas = head["picture"], fit
    if scale < 0.8:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        to_canvas = fit @ np.diag([1 / scale, 1 / scale, 1])
    laid = cv2.warpPerspective(picture, to_canvas, (WIDE, HIGH), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    outline = moved(cut(head, rng), fit)
    mask = polygon(outline)
    ink, white = printed(to_light(laid), rng, wider)
    if chance(rng, 0.5):
        # Rooms print as they are lit: the print meets the brightness of the face more often than not.
        ink = ink * np.clip((live * mask).sum() / max((ink * mask).sum(), 1e-3), 0.4, 2.5)
    level = np.exp(rng.normal(0.05, 0.3))
    factor, gloss = paper_light(live.shape, rng)
    sheet = ink * factor * level + gloss
    light = live
    if chance(rng, 0.12):
        y = int(np.clip(theirs[:2, 1].mean() + rng.normal(0, 8), 0, HIGH - 1))
        band = np.zeros((HIGH, WIDE), np.float32)
        cv2.line(band, (0, y + int(rng.normal(0, 4))), (WIDE, y), 1.0, int(rng.integers(1, 4)), cv2.LINE_AA)
        span = np.abs(np.arange(WIDE) - middle[0]) < 0.75 * np.ptp(outline[:, 0])
        light = over(light, np.float32([1, 1, 1]) * rng.uniform(0, 0.7), (band * span)[..., None])
    if chance(rng, 0.5):
        mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 1.5))[..., None]
    whole = mask
    if chance(rng, 0.2):
        rim = int(rng.integers(1, 4))
        whole = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2))[..., None]
        sheet = over(white * level * factor * tinted(rng, 0.04), sheet, mask)
    light = shadow(light, whole, rng) if chance(rng, 0.6) else light
    if chance(rng, 0.35):
        eyes = moved(head["points"][:2], fit)
        between = max(np.linalg.norm(eyes[1] - eyes[0]), 4)
        holes = np.zeros((HIGH, WIDE), np.uint8)
        sizes = between * rng.uniform(0.14, 0.26), between * rng.uniform(0.07, 0.16)
        for eye in eyes:
            at = tuple(int(v * 16) for v in eye + rng.normal(0, 0.5, 2))
            cv2.ellipse(holes, at, tuple(int(v * 16) for v in sizes), rng.normal(0, 8), 0, 360, 255, -1, cv2.LINE_AA, 4)
        whole = whole * (1 - holes[..., None].astype(np.float32) / 255)
        light = light * (1 - rng.uniform(0, 0.5) * (holes[..., None] > 0))
    light = over(light, sheet, whole)
    if chance(rng, 0.4):
        left, top = outline.min(0)
        right, bottom = outline.max(0)
        quad = np.float32([[left, top], [right, top], [right, bottom], [left, bottom]])
        light = held(light, props, quad, 0.9 * (right - left), rng)
    return light


def elsewhere(live, matrix, item, items, props, rng):
    """The same live person before another room, cut out softly: an outline about the head is no proof of an attack."""
    if silhouette(item) is None:
        return live
    outline = moved(silhouette(item), matrix)
    low, wide, middle = outline[:, 1].max(), np.ptp(outline[:, 0]), outline[:, 0].mean()
    shoulders = np.float32([[middle - wide * 0.35, low - 4], [middle + wide * 0.35, low - 4], [middle + wide * rng.uniform(0.6, 1.2), low + wide * 0.45],
                            [middle + wide * 1.3, HIGH + 4], [middle - wide * 1.3, HIGH + 4], [middle - wide * rng.uniform(0.6, 1.2), low + wide * 0.45]])
    mask = np.maximum(polygon(outline), polygon(shoulders))
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 2.0))[..., None]
    scene = behind(items, props, rng, 2.0)
    return over(scene * np.clip(live.mean() / max(scene.mean(), 1e-3), 0.4, 2.5), live, mask)


def pair(item, items, heads, props, kind, rng, wider=False, widest=2.7):
    """The two pictures, 8 bits BGR on the canvas, live first; or None where the head does not fit. `wider`: with what the network
    of our own is drawn beside, and the linear head is not. `widest`: the crop of the network that looks at them, in face boxes."""
    scale = widest if chance(rng, 0.5) else np.exp(rng.uniform(np.log(1.25), np.log(widest)))
    area, fitting = crop(item, scale, rng)
    picture, matrix = view(item["picture"], area, rng.normal(0, 3), rng.normal(0, 2.5, (4, 2)).astype(np.float32))
    flip = chance(rng, 0.5)
    live = to_light(picture)
    corners = moved([item["box"][:2], item["box"][:2] + item["box"][2:]], matrix)
    face = np.r_[corners[0], corners[1]]
    if kind == "mask":
        attack = mask_attack(live, matrix, item, heads, props, rng, wider)
        if attack is None:
            return None
    elif kind == "print":
        attack = print_attack(live, face, items, props, fitting, rng, wider)
    else:
        attack = replay_attack(live, face, items, props, fitting, rng)
    if wider and chance(rng, 0.2):
        live = elsewhere(live, matrix, item, items, props, rng)
    # A live person may hold a hand beside the face as well, and lamps shine for everybody.
    if chance(rng, 0.3):
        side = float(rng.choice((-1, 1)))
        at = (face[[0, 2]].mean() + side * (face[2] - face[0]) * rng.uniform(0.55, 1.2), rng.uniform(face[1], face[3] + 20))
        live = with_hand(live, props, at, 90 - side * rng.uniform(0, 100), (face[2] - face[0]) * rng.uniform(0.7, 1.3), rng)
    camera = Camera(rng)
    strength = 0.3 if camera.gentle else 1.0
    light, stray = room_light(live.shape, rng, strength), flare(live.shape, rng, strength)
    both = [camera.lens(np.clip(p * light + stray, 0, 3).astype(np.float32)) for p in (live, attack)]
    # One of the two takes the colours of the other, and the calmer one the noise, so that neither alone tells anything;
    # nor does sharpness: what is pasted has edges.
    to = int(chance(rng, 0.9 if camera.gentle else 0.5))
    both[to] = exchanged(np.float32(both[to]), np.float32(both[1 - to]))
    both = equally_noisy(equally_sharp([np.float32(p) for p in both]), rng)
    out = [camera.sensor(np.float32(p), rng) for p in both]
    return [p[:, ::-1] for p in out] if flip else out, fitting
