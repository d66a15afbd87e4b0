"""Writes HEIC files as phones do, from tiles that heif-enc has encoded: grids, turns and mirrors (ISO 23008-12).

heif-enc 1.15 writes single pictures only, so the container is put together here, box by box. What it shows is for libheif to
say: see `compare.py`.
"""

import struct
import subprocess
import tempfile
from pathlib import Path

from PIL import Image


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind, version, flags, *parts):
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def boxes(data):
    """Kind and body of each box, one after the other."""
    at = 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, data[at + 8 : at + length]
        at += length


def encoded(picture, chroma="420"):
    """The coded picture, its decoder's configuration and its colours, as heif-enc wrote them."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "tile.png"), Path(folder, "tile.heic")
        picture.save(source)
        command = ["heif-enc", "-q", "85", "-p", f"chroma={chroma}", "-o", str(target), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        data = target.read_bytes()
    meta = dict(boxes(data))[b"meta"][4:]
    inside = dict(boxes(meta))
    properties = list(boxes(dict(boxes(inside[b"iprp"]))[b"ipco"]))
    kept = {kind: body for kind, body in properties if kind in (b"hvcC", b"colr", b"pixi")}
    # One item: number, kept where, base, one extent; sizes of four bytes, as heif-enc writes them.
    place = inside[b"iloc"]
    assert place[0] == 0 and place[4:6] == b"\x44\x40", place
    _, _, base, _, offset, length = struct.unpack(">HHIHII", place[8:26])
    offset += base
    return data[offset : offset + length], kept


def heic(picture, tile=None, turn=0, mirror=None, chroma="420"):
    """The file. With `tile`, a grid of squares of that side, the last ones beyond the picture's edges as phones leave them;
    `turn` in quarters to the left (irot), then `mirror` about axis 0 or 1 (imir)."""
    width, height = picture.size
    side = (tile, tile) if tile else (width, height)
    columns, rows = -(-width // side[0]), -(-height // side[1])
    # What lies beyond the edges repeats them.
    whole = Image.new("RGB", (columns * side[0], rows * side[1]))
    whole.paste(picture.crop((width - 1, height - 1, width, height)).resize(whole.size))
    whole.paste(picture.crop((width - 1, 0, width, height)).resize((whole.size[0], height)), (0, 0))
    whole.paste(picture.crop((0, height - 1, width, height)).resize((width, whole.size[1])), (0, 0))
    whole.paste(picture, (0, 0))
    places = [(x * side[0], y * side[1]) for y in range(rows) for x in range(columns)]
    tiles = [encoded(whole.crop((x, y, x + side[0], y + side[1])), chroma) for x, y in places]
    kept = tiles[0][1]
    assert all(other[b"hvcC"] == kept[b"hvcC"] for _, other in tiles)

    properties = [box(kind, body) for kind, body in kept.items()]
    of_tile = [(number + 1, kind == b"hvcC") for number, kind in enumerate(kept)]
    of_whole = [(number + 1, False) for number, kind in enumerate(kept) if kind != b"hvcC"]

    def add(data, essential, *lists):
        properties.append(data)
        for each in lists:
            each.append((len(properties), essential))

    add(full(b"ispe", 0, 0, struct.pack(">II", *side)), False, of_tile)
    main = of_whole if tile else of_tile
    if tile:
        add(full(b"ispe", 0, 0, struct.pack(">II", width, height)), False, of_whole)
    if turn:
        add(box(b"irot", bytes([turn])), True, main)
    if mirror is not None:
        add(box(b"imir", bytes([mirror])), True, main)

    items = list(range(1, len(tiles) + 1))
    primary = len(tiles) + 1 if tile else 1
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    info = [full(b"infe", 2, 1 if tile else 0, struct.pack(">HH4sB", item, 0, b"hvc1", 0)) for item in items]
    if tile:
        info.append(full(b"infe", 2, 0, struct.pack(">HH4sB", primary, 0, b"grid", 0)))

    def associations(item, of):
        return struct.pack(">HB", item, len(of)) + bytes(number | essential << 7 for number, essential in of)

    lines = [associations(item, of_tile) for item in items] + ([associations(primary, of_whole)] if tile else [])
    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(start):
        offsets, at = [], start
        for data, _ in tiles:
            offsets.append(struct.pack(">HHHHII", len(offsets) + 1, 0, 0, 1, at, len(data)))
            at += len(data)
        if tile:
            # In the idat box, as construction method 1.
            offsets.append(struct.pack(">HHHHII", primary, 1, 0, 1, 0, len(grid)))
        parts = [
            full(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full(b"pitm", 0, 0, struct.pack(">H", primary)),
            full(b"iinf", 0, 0, struct.pack(">H", len(info)), *info),
            full(b"iloc", 1, 0, b"\x44\x00", struct.pack(">H", len(offsets)), *offsets),
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", 0, 0, struct.pack(">I", len(lines)), *lines)),
        ]
        if tile:
            links = struct.pack(">HH", primary, len(items)) + b"".join(struct.pack(">H", item) for item in items)
            parts += [box(b"idat", grid), full(b"iref", 0, 0, box(b"dimg", links))]
        return full(b"meta", 0, 0, *parts)

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(data for data, _ in tiles))


def as_phones_send(picture, small):
    """Name -> bytes."""
    # Odd sides take a clean aperture, which phones need no more than heif-enc's way around it.
    single = picture.crop((0, 0, picture.size[0] // 2 * 2, picture.size[1] // 2 * 2))
    tile = 64 if small or min(picture.size) < 256 else 128
    yield "heic_grid.heic", heic(picture, tile)
    for turn in (1, 3) if small else (1, 2, 3):
        yield f"heic_grid_irot_{turn}.heic", heic(picture, tile, turn)
        yield f"heic_irot_{turn}.heic", heic(single, None, turn)
    for axis in (0, 1):
        yield f"heic_imir_{axis}.heic", heic(single, None, 0, axis)
        yield f"heic_grid_irot_1_imir_{axis}.heic", heic(picture, tile, 1, axis)
    if not small:
        for chroma in ("422", "444"):
            yield f"heic_grid_{chroma}.heic", heic(picture, tile, 0, None, chroma)
