"""Puts coverings before cached faces: real hands, masks, phones, cloth and paper, and everything that is drawn.

`cover` chooses one and measures what it hides; the target is the measurement. compose.py has what is drawn from nothing.
"""

import csv
from pathlib import Path

import cv2
import numpy as np

import compose
from compose import area, blend, cloth, folds, noise, shade, smooth, vivid
from geometry import CACHE
from parts import targets

HANDS, MASKS, DEVICES = {}, {}, []

# Textures that things before a face are made of.
FABRIC_KINDS = {"Fabric", "Carpet", "Paper", "Wallpaper", "Cardboard", "Plastic", "Plaster", "Leather", "Wood", "Metal", "Wicker"}


def shrunk(picture, scale):
    """A picture made smaller; with alpha, premultiplied meanwhile, so that what lies under transparent pixels does not bleed in."""
    if scale >= 1:
        return picture
    if picture.shape[2] == 3:
        return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    alpha = picture[..., 3:].astype(np.float32) / 255
    both = cv2.resize(np.dstack([picture[..., :3] * alpha, alpha]), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.dstack([both[..., :3] / np.maximum(both[..., 3:], 1e-3), both[..., 3] * 255]).clip(0, 255).astype(np.uint8)


def cut_out(path, limit=360):
    """A picture with alpha, cut to what is opaque, in BGRA, its longer side at most `limit`."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture.ndim != 3 or picture.shape[2] != 4:
        return None
    y, x = np.where(picture[..., 3] > 32)
    picture = picture[y.min():y.max() + 1, x.min():x.max() + 1]
    return shrunk(picture, min(1.0, limit / max(picture.shape[:2])))


def load(data):
    """Reads the cut-outs and textures below `data`."""
    def rows(name):
        with open(Path(data) / name / "labels.csv", newline="") as file:
            return [(row, Path(data) / name / row["path"]) for row in csv.DictReader(file)]

    for row, path in rows("hands"):
        HANDS.setdefault(row["gesture"], []).append(cut_out(path))
    for row, path in rows("overlays"):
        if row["kind"] == "texture":
            tile = cv2.imread(str(path))
            compose.FABRICS.append(cv2.resize(tile, (256, 256), interpolation=cv2.INTER_AREA))
        else:
            MASKS.setdefault(row["kind"], []).append(cut_out(path))
    for row, path in rows("device-frames"):
        picture = cut_out(path)
        if picture is not None and row["kind"] in ("phone", "tablet"):
            DEVICES.append(picture)
    for row, path in rows("textures"):
        if row["kind"] in FABRIC_KINDS:
            compose.FABRICS.append(cv2.imread(str(path)))


def take(what, kind, pictures):
    """The same from what pack.py packed."""
    if what == "hands":
        HANDS[kind] = pictures
    elif what == "masks":
        MASKS[kind] = pictures
    elif what == "devices":
        DEVICES.extend(pictures)
    else:
        compose.FABRICS.extend(pictures)


def paste(picture, cut, matrix, border=cv2.BORDER_CONSTANT):
    """Lays a BGRA cut-out onto the picture; `matrix` leads from its pixels to the picture's."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    if scale < 0.7:
        cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = np.hstack([matrix[:, :2] / scale, matrix[:, 2:]])
    alpha = cut[..., 3:].astype(np.float32) / 255
    both = cv2.warpAffine(np.dstack([cut[..., :3] * alpha, alpha]), matrix, (CACHE, CACHE), flags=cv2.INTER_LINEAR, borderMode=border)
    cover = np.clip(both[..., 3:], 0, 1)
    return cover, both[..., :3] / np.maximum(cover, 1e-3)


def place(face, size, anchor, target, direction, length):
    """The matrix that puts `anchor` (0..1 of a cut-out of `size`) at `target`, its left edge pointing to `direction` (radians
    in face coordinates), `length` face units long."""
    width, height = size
    scale = length * face.unit / width
    angle = direction - np.pi + np.arctan2(face.right[1], face.right[0])
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[a, -b], [b, a]])
    at = face.at([target])[0] - turn @ (np.array(anchor) * [width, height])
    return np.hstack([turn, at[:, None]])


def real_hand(picture, face, target, gesture=None, touch=None):
    """A photographed hand; `touch` says which part of it (0 fingertips, 1 wrist) lies at `target`."""
    rng = face.rng
    gesture = gesture or ("paper", "rock", "scissors")[rng.choice(3, p=[0.5, 0.25, 0.25])]
    cut = HANDS[gesture][rng.integers(len(HANDS[gesture]))]
    if rng.random() < 0.5:
        cut = cut[::-1]
    # The arm goes on to the right as it leaves the cut-out.
    arm = cv2.copyMakeBorder(cv2.GaussianBlur(cut, (0, 0), 1.5)[:, -3:-2], 0, 0, 0, cut.shape[1] * 2, cv2.BORDER_REPLICATE)
    whole = np.ascontiguousarray(np.hstack([cut, arm]))
    height, width = cut.shape[:2]
    length = {"paper": rng.uniform(2.1, 3.2), "rock": rng.uniform(1.5, 2.3), "scissors": rng.uniform(2.1, 3.0)}[gesture]
    touch = rng.uniform(0.05, 0.6) if touch is None else touch
    # The wrist comes from below or from a side, seldom from above: the hand points to where it comes from, turned round.
    direction = rng.choice([rng.uniform(-np.pi, 0), rng.normal(-np.pi / 2, 0.4), rng.uniform(0, 2 * np.pi)], p=[0.6, 0.3, 0.1])
    matrix = place(face, (width, height), (touch, rng.uniform(0.25, 0.75)), target, direction, length)
    cover, colour = paste(picture, whole, matrix)
    opaque = cover[..., 0] > 0.9
    if opaque.any():
        mean = colour[opaque].mean(0)
        wanted = face.skin * rng.uniform(0.75, 1.2) + rng.normal(0, 6, 3) if rng.random() < 0.75 else mean * rng.uniform(0.4, 1.15)
        colour = colour * np.clip(wanted / np.maximum(mean, 1), 0.15, 2.5) * face.light
    picture = picture * (1 - np.clip(cv2.GaussianBlur(cover, (0, 0), 4)[..., None], 0, 1) * rng.uniform(0, 0.3))
    return blend(picture, colour, cover)


def real_mask(picture, face, low=False):
    """A photographed mask: three views, by how far the face is turned."""
    rng = face.rng
    turned = face.lean + rng.normal(0, 0.05)
    kind = "mask_front" if abs(turned) < 0.12 else ("mask_right", "mask_left")[int(turned < 0)]
    cut = MASKS[kind][rng.integers(len(MASKS[kind]))]
    height, width = cut.shape[:2]
    wide, lean = rng.uniform(0.8, 1.08), face.lean
    top, bottom = (rng.uniform(0.62, 0.74) if low else rng.uniform(0.18, 0.48)), rng.uniform(1.65, 2.05)
    middle = lean * rng.uniform(0.4, 0.9)
    corners = face.at([(middle - wide, top), (middle + wide, top + rng.normal(0, 0.04)), (middle - wide * rng.uniform(0.85, 1.05), bottom)])
    matrix = cv2.getAffineTransform(np.float32([(0, 0), (width, 0), (0, height)]), corners.astype(np.float32))
    cover, colour = paste(picture, cut, matrix.astype(np.float64))
    if rng.random() < 0.5:  # another cloth with the folds of this one
        grey = colour.mean(2, keepdims=True)
        light = grey / max(float(grey[cover[..., 0] > 0.9].mean()) if (cover > 0.9).any() else 128.0, 1.0)
        colour = cloth(rng, face, 0.5) * np.clip(light, 0.2, 1.8)
    else:
        colour = colour * face.exposure * rng.uniform(0.8, 1.25)
    colour = colour * face.light
    picture = picture * (1 - np.clip(cv2.GaussianBlur(cover, (0, 0), 4)[..., None], 0, 1) * rng.uniform(0, 0.3))
    return blend(picture, colour, cover * rng.uniform(0.97, 1.0))


def device(picture, face, target):
    """A photographed phone or tablet, its screen or (blurred to plain) its back to the camera, often in a hand."""
    rng = face.rng
    cut = DEVICES[rng.integers(len(DEVICES))]
    if cut.shape[0] > cut.shape[1] and rng.random() < 0.7:  # upright in the picture: `place` points to the left
        cut = np.ascontiguousarray(np.rot90(cut))
    height, width = cut.shape[:2]
    if rng.random() < 0.4:
        plain = np.array(((25, 25, 27), (60, 60, 62), (205, 205, 210), (170, 190, 215), (120, 60, 30), (60, 60, 170))[rng.integers(6)])
        cut = np.dstack([np.clip(plain * (1 + noise(rng, 60, 0.08)[:1, :1]), 0, 255) * np.ones(cut.shape[:2] + (1,)), cut[..., 3]]).astype(np.uint8)
    length = rng.uniform(1.6, 2.6) * max(1.0, width / max(height, 1) / 2)
    direction = rng.normal(-np.pi / 2, 0.35) + (np.pi / 2 if rng.random() < 0.25 else 0)
    cover, colour = paste(picture, cut, place(face, (width, height), (rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.7)), target, direction, length))
    picture = picture * (1 - np.clip(cv2.GaussianBlur(cover, (0, 0), 5)[..., None], 0, 1) * rng.uniform(0, 0.3))
    picture = blend(picture, colour * face.exposure + rng.uniform(0, 25), cover)
    if rng.random() < 0.5:
        picture = real_hand(picture, face, np.asarray(target) + [rng.uniform(-0.5, 0.5), rng.uniform(0.6, 1.1)], touch=rng.uniform(0.1, 0.4))
    return picture


def stuff(face):
    """What a panel, a patch or a sheet is made of: cloth, plain colour, skin colour."""
    rng = face.rng
    kind = rng.random()
    if kind < 0.5:
        return cloth(rng, face, 0.5) * shade(face, rng.uniform(0, 0.3))
    if kind < 0.8:
        value = rng.uniform(0, 255) if rng.random() < 0.5 else None
        colour = np.full(3, value) if value is not None else vivid(rng)
        return np.ones((CACHE, CACHE, 3), np.float32) * (colour * (1 + noise(rng, 90, 0.04)))
    return np.ones((CACHE, CACHE, 3), np.float32) * (face.skin * rng.uniform(0.6, 1.2) * (1 + noise(rng, 30, 0.05)))


def panel(picture, face):
    """Something that hides the face from one side up to a straight or bent edge: a door, a wall, a sheet of paper, a hand fan."""
    rng = face.rng
    side = rng.choice(4, p=[0.33, 0.33, 0.22, 0.12])  # left, right, below, above
    tilt, bow = rng.normal(0, 0.12), rng.normal(0, 0.08) * (rng.random() < 0.4)
    if side < 2:
        sign = -1 if side == 0 else 1
        x = face.lean * 0.5 + sign * rng.uniform(-0.3, 0.4)
        outline = [(x + tilt * 4, -4), (x + bow, 0.6), (x - tilt * 4, 4), (sign * 7, 4), (sign * 7, -4)]
    elif side == 2:
        y = rng.uniform(0.15, 0.95)
        outline = [(-5, y + tilt * 4), (0, y + bow), (5, y - tilt * 4), (5, 6), (-5, 6)]
    else:
        y = rng.uniform(0.05, 0.6)
        outline = [(-5, y + tilt * 4), (0, y + bow), (5, y - tilt * 4), (5, -6), (-5, -6)]
    cover = area(face.at(outline), rng.uniform(0.4, 3.0))
    picture = picture * (1 - np.clip(cv2.GaussianBlur(cover, (0, 0), 5)[..., None], 0, 1) * rng.uniform(0, 0.3))
    return blend(picture, stuff(face), cover)


def patch(picture, face):
    """A patch over one eye, a bar over both, tape over the mouth, a plaster or a slip of paper over the nose."""
    rng = face.rng
    kind = rng.choice(4, p=[0.3, 0.25, 0.3, 0.15])
    if kind == 0:
        centre = (rng.choice([-0.5, 0.5]) + face.lean * 0.3, rng.normal(0, 0.05))
        wide, high = rng.uniform(0.28, 0.5), rng.uniform(0.22, 0.45)
    elif kind == 1:
        centre, wide, high = (face.lean * 0.4, rng.normal(0, 0.05)), rng.uniform(0.85, 1.3), rng.uniform(0.17, 0.35)
    elif kind == 2:
        centre, wide, high = (face.lean * 0.8, rng.normal(1.0, 0.05)), rng.uniform(0.35, 0.8), rng.uniform(0.16, 0.4)
    else:
        centre, wide, high = (face.lean, rng.normal(0.45, 0.06)), rng.uniform(0.25, 0.5), rng.uniform(0.22, 0.4)
    power, angle = rng.choice([0.3, 0.6, 1.0]), rng.normal(0, 0.12)
    t = np.arange(32) * np.pi / 16
    x, y = np.cos(t), np.sin(t)
    x, y = np.sign(x) * np.abs(x) ** power * wide, np.sign(y) * np.abs(y) ** power * high
    outline = face.at(np.stack([centre[0] + x * np.cos(angle) - y * np.sin(angle), centre[1] + x * np.sin(angle) + y * np.cos(angle)], 1))
    texture = stuff(face) if rng.random() < 0.6 else np.ones((CACHE, CACHE, 3), np.float32) * np.float32(rng.choice([8, 25, 60, 200, 235]))
    if kind == 0 and rng.random() < 0.6:
        strap = face.at([(-1.4, -0.3 + rng.normal(0, 0.2)), centre, (1.4, -0.3 + rng.normal(0, 0.2))])
        picture = blend(picture, texture, compose.stroke(strap, rng.uniform(2, 6)))
    return blend(picture, texture, area(outline, rng.uniform(0.4, 1.5)))


def fingers(picture, face, target):
    """One to four fingers of one colour, side by side, as of a hand held before the eyes or the mouth."""
    rng = face.rng
    count, thick = int(rng.integers(1, 5)), rng.uniform(0.22, 0.34)
    angle = rng.choice([rng.normal(0, 0.25), rng.normal(np.pi / 2, 0.4)])
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    colour = face.skin * rng.uniform(0.75, 1.2) + rng.normal(0, 5, 3)
    gap, sign = rng.uniform(0.95, 1.35), rng.choice([-1, 1])
    for i in range(count):
        middle = np.asarray(target) + across * (i - (count - 1) / 2) * thick * gap
        line = face.at([middle - along * sign * rng.uniform(0.7, 1.3), middle + along * sign * 5])
        width = thick * face.unit * rng.uniform(0.9, 1.05)
        cover = compose.stroke(line, width)
        depth = cv2.distanceTransform((cover[..., 0] > 0.5).astype(np.uint8), cv2.DIST_L2, 3)[..., None] / (width / 2)
        picture = blend(picture, colour * (1 - rng.uniform(0, 0.4) * (1 - np.sqrt(np.clip(depth, 0, 1)))), cover)
    return picture


def fingertips(picture, face):
    """The ends of a photographed hand's fingers over an eye, the nose or the mouth, the hand coming from anywhere; or two such hands."""
    rng = face.rng
    for _ in range(1 + int(rng.random() < 0.2)):
        gesture = ("paper", "scissors")[int(rng.random() < 0.35)]
        picture = real_hand(picture, face, spot(face, SPOTS[rng.choice(5, p=[0.35, 0.16, 0.16, 0.18, 0.15])]), gesture, rng.uniform(0.06, 0.3))
    return picture


def full_beard(picture, face):
    """A beard of single hairs, dark to white, from stubble to the chest; it may hide the upper lip, the lower one stays free."""
    rng = face.rng
    lean, stubble = face.lean * 0.7, rng.random() < 0.3
    bottom, wide, high = rng.uniform(1.75, 2.6), rng.uniform(0.72, 0.98), rng.uniform(0.3, 0.9)
    lip = rng.uniform(0.9, 1.02)
    jaw = face.at(smooth([(-wide, high), (-wide * 0.6 + lean, rng.uniform(0.85, 1.1)), (-0.33 + lean, 0.82), (lean, 0.76), (0.33 + lean, 0.82),
                          (wide * 0.6 + lean, rng.uniform(0.85, 1.1)), (wide, high), (wide * 0.88, 1.4), (wide * 0.45, min(bottom, 2.0) - 0.12),
                          (0, min(bottom, 2.0)), (-wide * 0.45, min(bottom, 2.0) - 0.12), (-wide * 0.88, 1.4)]))
    lips = area(face.at(smooth([(-0.34 + lean, 1.0), (lean, lip), (0.34 + lean, 1.0), (lean, 1.16)])), 1.2)
    cover = area(jaw, rng.uniform(1.5, 5)) * (1 - lips)
    tone = np.array(((14, 15, 18), (22, 28, 40), (40, 60, 95), (110, 115, 120), (200, 200, 202))[rng.integers(5)], np.float64) * face.exposure
    if stubble:
        dots = np.clip(rng.standard_normal((CACHE, CACHE, 1)).astype(np.float32) * 0.5 + 0.4, 0, 1)
        return blend(picture, tone, cover * cv2.GaussianBlur(dots, (0, 0), 0.7)[..., None] * rng.uniform(0.3, 0.9))
    under = blend(picture, tone * rng.uniform(0.6, 1.0), cover * rng.uniform(0.6, 0.95))
    hairs = under[..., :3].astype(np.float32).copy()
    inside = np.argwhere(cover[..., 0] > 0.25)
    length = rng.uniform(0.08, 0.3) * face.unit * (1 if bottom < 2.1 else 1.8)
    down = face.down / face.unit
    side = face.right / np.hypot(*face.right)
    middle = face.at([(lean, 1.0)])[0]
    for y, x in inside[rng.integers(len(inside), size=int(rng.integers(250, 700)))] if len(inside) else []:
        out = np.clip(np.dot(np.array([x, y]) - middle, side) / (0.9 * face.unit), -1, 1)
        way = (down + side * out * 0.5 + rng.normal(0, 0.2, 2)) * length * rng.uniform(0.5, 1.1)
        line = np.array([(x, y), (x, y) + way * 0.55 + rng.normal(0, 1, 2), (x, y) + way])
        cv2.polylines(hairs, [np.round(line * 16).astype(np.int32)], False, tuple(map(float, tone * rng.uniform(0.6, 1.6) + rng.uniform(0, 14))), 1,
                      cv2.LINE_AA, 4)
    return blend(picture, hairs, np.clip(cover * 1.6, 0, 1) + (0 if bottom < 2.1 else area(jaw + down * length, 2) * (1 - lips) * (1 - cover)))


def anonymise(picture, face, pixelated=0.6, cells=(0.1, 0.42)):
    """The face made unrecognisable: pixelated or heavily blurred, whole or only the eyes; `cells` in face units."""
    rng = face.rng
    seen = picture[..., :3]
    # An eye is 0.35 units wide: cells and blurs that leave nothing of it. The face box is about 2 units wide.
    if rng.random() < pixelated:
        n = max(4, round(CACHE / (face.unit * rng.uniform(*cells))))
        # The cells begin anywhere, not at the corner of the cached picture.
        off = -rng.uniform(0, CACHE / n, 2)
        low = cv2.resize(np.roll(seen, off.astype(int), (0, 1)), (n, n), interpolation=cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_NEAREST)
        hidden = np.roll(cv2.resize(low, (CACHE, CACHE), interpolation=cv2.INTER_NEAREST), -off.astype(int), (0, 1))
    else:
        hidden = cv2.GaussianBlur(seen, (0, 0), face.unit * rng.uniform(0.16, 0.45))
    kind = rng.random()
    if kind < 0.2:
        cover = np.ones((CACHE, CACHE, 1), np.float32)
    elif kind < 0.35:
        cover = area(face.at([(-1.1, -0.3), (1.1, -0.3), (1.1, 0.3), (-1.1, 0.3)]))
    elif kind < 0.65:
        l, t, r, b = -rng.uniform(0.8, 1.3), -rng.uniform(0.4, 1.2), rng.uniform(0.8, 1.3), rng.uniform(1.5, 2.2)
        cover = area(face.at([(l, t), (r, t), (r, b), (l, b)]))
    else:
        angle = np.arange(24) * np.pi / 12
        cover = area(face.at(np.stack([np.cos(angle) * rng.uniform(0.85, 1.25), 0.55 + np.sin(angle) * rng.uniform(1.15, 1.6)], 1)), rng.uniform(0.6, 6))
    return blend(picture, hidden, cover)


def headscarf(picture, face, veil=False):
    """Cloth over hair, ears and neck that leaves the face free, or (`veil`) only the eyes."""
    rng = face.rng
    lean = face.lean * 0.5
    t = np.arange(24) * np.pi / 12
    if veil:
        wide, high, middle = rng.uniform(0.9, 1.2), rng.uniform(0.25, 0.5), rng.uniform(-0.15, 0.05)
    else:
        wide, high, middle = rng.uniform(0.95, 1.25), rng.uniform(1.3, 1.6), rng.uniform(0.4, 0.6)
    hole = face.at(smooth(np.stack([lean + np.cos(t) * wide, middle + np.sin(t) * high], 1) + rng.normal(0, 0.02, (24, 2)), steps=3))
    outer = face.at([(lean - 2, -1.5), (lean, -2.3), (lean + 2, -1.5), (lean + 2.6, 4), (lean - 2.6, 4)])
    cover = area(outer, 1.0) * (1 - area(hole, rng.uniform(0.6, 1.5)))
    texture = cloth(rng, face, 0.5) * shade(face, 0.4) * folds(rng, face, int(rng.integers(2, 10)), 0.4, rng.random() < 0.4)
    dark = np.clip(cv2.GaussianBlur(cover, (0, 0), 5)[..., None], 0, 1)
    return blend(picture * (1 - dark * rng.uniform(0, 0.4)), texture, cover)


def open_mouth(picture, face):
    """The lower lip and what is under it move down; between the lips it is dark, often with teeth."""
    rng = face.rng
    opened, wide, lean = rng.uniform(0.1, 0.45), rng.uniform(0.2, 0.36), face.lean * 0.8
    y, x = np.mgrid[:CACHE, :CACHE].astype(np.float32)
    down = (face.down / face.unit).astype(np.float32)
    along = ((x - face.origin[0]) * down[0] + (y - face.origin[1]) * down[1]) / face.unit
    back = np.clip(along - 1.0, 0, opened) * (face.unit * 1.0)
    moved = cv2.remap(np.ascontiguousarray(picture, np.float32), (x - down[0] * back).astype(np.float32), (y - down[1] * back).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    t = np.arange(20) * np.pi / 10
    lips = face.at(np.stack([lean + np.cos(t) * (wide + 0.05), 1 + opened / 2 + np.sin(t) * (opened / 2 + 0.07)], 1))
    hole = face.at(np.stack([lean + np.cos(t) * wide, 1 + opened / 2 + np.sin(t) * (opened / 2 + 0.01)], 1))
    colour = np.array((70, 75, 150)) * face.exposure * rng.uniform(0.7, 1.2)
    moved = blend(moved, colour, area(lips, 1.5) * rng.uniform(0.5, 0.9))
    inside = area(hole, 1.0)
    moved = blend(moved, np.array((25, 20, 55)) * rng.uniform(0.3, 1.6), inside)
    for top, share in ((1.0, 0.8), (1 + opened * 0.72, 0.4)):
        if rng.random() < share:
            teeth = face.at([(lean - wide, top - 0.03), (lean + wide, top - 0.03), (lean + wide * 0.8, top + opened * 0.25), (lean - wide * 0.8, top + opened * 0.25)])
            moved = blend(moved, np.array((195, 210, 220)) * face.exposure, area(teeth, 0.8) * inside * rng.uniform(0.6, 1.0))
    if rng.random() < 0.4:
        tongue = face.at(np.stack([lean + np.cos(t) * wide * 0.6, 1 + opened * 0.85 + np.sin(t) * opened * 0.3], 1))
        moved = blend(moved, np.array((90, 85, 190)) * face.exposure, area(tongue, 1.2) * inside * 0.8)
    return moved


SPOTS = ("mouth", "right eye", "left eye", "nose", "both eyes")


def spot(face, name):
    """Where a part lies, in face coordinates, a little off."""
    rng = face.rng
    lean = face.lean
    x, y = {"mouth": (lean * 0.8, 1.0), "right eye": (-0.5, 0.0), "left eye": (0.5, 0.0), "nose": (lean, 0.5), "both eyes": (lean * 0.4, 0.0)}[name]
    return np.array([x + rng.normal(0, 0.12), y + rng.normal(0, 0.1)])


# Pixelation that leaves eyes and mouth as spots: 12 to 22 cells across a face box, which is 2.23 units wide. A kind only where asked for.
FINE_CELLS = (0.1, 0.186)

KINDS = {"mask": 0.09, "real mask": 0.10, "low mask": 0.03, "drawn hand": 0.05, "hand": 0.20, "scarf": 0.05, "veil": 0.02, "sunglasses": 0.15,
         "drawn phone": 0.02, "phone": 0.04, "hair": 0.03, "object": 0.03, "microphone": 0.01, "panel": 0.07, "patch": 0.05,
         "fingers": 0.03, "anonymised": 0.05}
KINDS = {kind: share / sum(KINDS.values()) for kind, share in KINDS.items()}


def cover(picture, points, face, kind=None):
    """One covering, chosen at random. Returns the picture, what it was and the target that it calls for."""
    rng = face.rng
    kind = kind or list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    target = spot(face, SPOTS[rng.choice(5, p=[0.42, 0.13, 0.13, 0.14, 0.18])])
    p = np.dstack([picture.astype(np.float32), np.full(picture.shape[:2], 255, np.float32)])
    if kind in ("mask", "low mask"):
        p = compose.face_mask(p, face, "on" if kind == "mask" else "low")
    elif kind == "real mask":
        p = real_mask(p, face, rng.random() < 0.12)
    elif kind == "drawn hand":
        p = compose.hand(p, face, target - [0, rng.uniform(0.0, 0.15)])
    elif kind == "hand":
        p = real_hand(p, face, target)
        if rng.random() < 0.25:
            p = real_hand(p, face, spot(face, SPOTS[rng.integers(5)]))
    elif kind == "scarf":
        p = compose.scarf(p, face)
    elif kind == "veil":
        p = headscarf(p, face, veil=True)
    elif kind == "sunglasses":
        p = compose.glasses(p, face, dark=True)
    elif kind == "other sunglasses":
        p = compose.glasses(p, compose.tilted(face), dark=True, small=True)
    elif kind == "lock":
        p = compose.lock(p, face)
    elif kind == "fingertips":
        p = fingertips(p, face)
    elif kind == "drawn phone":
        p = compose.slab(p, face, target)
    elif kind == "phone":
        p = device(p, face, target)
    elif kind == "hair":
        p = compose.hair(p, face, covering=True)
    elif kind == "object":
        p = compose.slab(p, face, target, phone=False) if rng.random() < 0.5 else compose.blob(p, face, target)
    elif kind == "microphone":
        p = compose.microphone(p, face, (face.lean + rng.normal(0, 0.1), rng.uniform(0.9, 1.05)))
    elif kind == "panel":
        p = panel(p, face)
    elif kind == "patch":
        p = patch(p, face)
    elif kind == "fingers":
        p = fingers(p, face, spot(face, SPOTS[rng.choice(5, p=[0.25, 0.12, 0.13, 0.1, 0.4])]))
    elif kind == "fine cells":
        p = anonymise(p, face, 1.0, FINE_CELLS)
    else:
        p = anonymise(p, face)
    return p[..., :3], kind, targets(p[..., 3], points, face)


# Where a hand lies that covers nothing, or next to nothing: at a cheek or ear, the forehead, under the chin.
BESIDE = ((-1.5, 0.6), (1.5, 0.6), (-1.3, 1.3), (1.3, 1.3), (0.0, 2.4), (-0.7, 2.3), (0.7, 2.3), (-0.8, -1.1), (0.8, -1.1), (0.0, -1.3))


def beside(picture, points, face):
    """A hand or a thing beside the face. It may reach into it: the target is what it hides."""
    rng = face.rng
    p = np.dstack([picture.astype(np.float32), np.full(picture.shape[:2], 255, np.float32)])
    at = np.array(BESIDE[rng.integers(len(BESIDE))]) + rng.normal(0, 0.12, 2)
    p = device(p, face, at * 1.5) if rng.random() < 0.15 else real_hand(p, face, at, touch=rng.uniform(0.0, 0.4))
    return p[..., :3], targets(p[..., 3], points, face)


def decorate(picture, face):
    """One or two things that are no covering."""
    rng = face.rng
    for _ in range(1 + int(rng.random() < 0.35)):
        kind = rng.choice(12, p=[0.19, 0.15, 0.08, 0.06, 0.10, 0.10, 0.04, 0.03, 0.05, 0.05, 0.10, 0.05])
        if kind == 0:
            picture = compose.glasses(picture, face, dark=False)
        elif kind == 1:
            picture = compose.beard(picture, face)
        elif kind == 2:
            picture = compose.cap(picture, face)
        elif kind == 3:
            picture = compose.face_mask(picture, face, "chin")
        elif kind == 4:
            picture = compose.shadow(picture, face)
        elif kind == 5:
            picture = compose.hair(picture, face, covering=False)
        elif kind == 6:
            picture = compose.scarf(picture, face, covering=False)
        elif kind == 7:
            picture = compose.microphone(picture, face, (rng.uniform(-0.5, 0.5), rng.uniform(1.75, 2.2)))
        elif kind == 8:
            picture = compose.make_up(picture, face)
        elif kind == 9:
            picture = headscarf(picture, face)
        elif kind == 10:
            picture = open_mouth(picture, face)
        else:  # something beside the face
            picture = compose.blob(picture, face, (rng.choice([-1, 1]) * rng.uniform(1.9, 2.4), rng.uniform(-0.5, 2)))
    return picture


# Kinds that draw.py draws more often.
LOOKALIKES = {"beard": compose.beard, "full beard": full_beard, "glasses": lambda picture, face: compose.glasses(picture, face, dark=False), "open mouth": open_mouth}
