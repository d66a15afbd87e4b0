"""Draws pictures by program and writes them in every way that the encoders of other people offer.

`write(folder)` fills a folder; `write(folder, small=True)` writes the few tiny files that the project's tests keep, and
`expected.json` with what Pillow (and libheif, through pillow-heif) makes of them.
"""

import io
import json
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import heic
import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def drawn(width, height, seed=0):
    """A smooth picture with edges: no two corners alike, saturated and pale parts."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = (x + 0.5) / width, (y + 0.5) / height
    red = 40 + 200 * x
    green = 220 - 180 * y
    blue = 128 + 100 * np.sin(6 * x + 4 * y + seed)
    picture = np.stack([red, green, blue], -1)
    picture[(x - 0.3) ** 2 + (y - 0.4) ** 2 < 0.03] = (200, 150, 120)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, **more).stdout


# JPEG


def jpegs(picture, small):
    """Name -> bytes."""
    width, height = picture.size
    ppm = io.BytesIO()
    picture.save(ppm, "PPM")
    samplings = ["1x1", "2x1", "1x2", "2x2", "4x1", "4x2", "1x4", "2x4"]
    if not small:
        samplings += ["3x1", "3x2", "1x3", "2x2,1x2,1x2", "2x2,2x1,2x1", "2x1,1x1,2x1", "2x2,1x1,2x2"]
    for sampling in samplings:
        name = sampling.replace(",", "_")
        for kind, flags in {"": [], "_progressive": ["-progressive"], "_restart": ["-restart", "1"]}.items():
            if small and kind and sampling not in ("2x2", "1x1"):
                continue
            yield f"sampling_{name}{kind}.jpg", run("cjpeg", "-quality", 92, "-sample", sampling, *flags, input=ppm.getvalue())
    base = run("cjpeg", "-quality", 92, "-sample", "2x2", input=ppm.getvalue())
    scans = "0;\n1;\n2;\n"
    Path("/tmp/facegate-scans").write_text(scans)
    yield "not_interleaved.jpg", run("jpegtran", "-scans", "/tmp/facegate-scans", input=base)
    yield "restart_every_unit.jpg", run("jpegtran", "-restart", "1B", input=base)
    yield "optimised.jpg", run("jpegtran", "-optimize", input=base)
    yield "arithmetic.jpg", run("jpegtran", "-arithmetic", input=base)
    yield "no_end_marker.jpg", base[:-2]
    yield "trailer.jpg", base + b"\0" * 30 + b"SEFT" + b"x" * 40
    yield "second_picture.jpg", base + base
    yield "no_huffman_tables.jpg", without(base, {0xC4})
    yield "adobe_transform_0_with_jfif.jpg", base[:20] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + base[20:]
    yield "adobe_short.jpg", base[:20] + segment(0xEE, b"Adobe") + base[20:]
    yield "garbage_between_segments.jpg", base[:20] + b"\0\0\0" + base[20:]
    yield "fill_bytes.jpg", base[:2] + b"\xff\xff\xff" + base[2:]
    for number in (3, 6) if small else range(1, 9):
        for order in ("II", "MM"):
            yield f"orientation_{number}_{order}.jpg", base[:2] + segment(0xE1, b"Exif\0\0" + exif(number, order)) + base[2:]
    yield "orientation_twice.jpg", (
        base[:2] + segment(0xE1, b"Exif\0\0" + exif(6, "MM")) + segment(0xE1, b"Exif\0\0" + exif(1, "MM")) + base[2:]
    )
    grey = io.BytesIO()
    picture.convert("L").save(grey, "JPEG", quality=92)
    yield "grey.jpg", grey.getvalue()
    ink = io.BytesIO()
    picture.convert("CMYK").save(ink, "JPEG", quality=92)
    yield "ink.jpg", ink.getvalue()
    yield "rgb.jpg", run("cjpeg", "-quality", 92, "-rgb", input=ppm.getvalue())


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def without(jpeg, markers):
    """The file less the segments with these markers."""
    out, at = bytearray(jpeg[:2]), 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        if jpeg[at + 1] not in markers:
            out += jpeg[at:end]
        at = end
    return bytes(out + jpeg[at:])


def exif(orientation, order):
    sign = "<" if order == "II" else ">"
    return order.encode() + struct.pack(sign + "HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)


def damaged_jpegs(picture):
    """Files that are not whole: name -> bytes. Each must be refused."""
    ppm = io.BytesIO()
    picture.save(ppm, "PPM")
    for kind, flags in {"": [], "_progressive": ["-progressive"], "_restart": ["-restart", "1"]}.items():
        base = run("cjpeg", "-quality", 92, "-sample", "2x2", *flags, input=ppm.getvalue())
        start = base.rindex(b"\xff\xda") if not kind.startswith("_p") else base.index(b"\xff\xda")
        for share in (10, 50, 90):
            cut = start + 16 + (len(base) - start - 18) * share // 100
            yield f"cut_at_{share}{kind}.jpg", base[:cut]
            yield f"cut_at_{share}_with_end{kind}.jpg", base[:cut] + b"\xff\xd9"
    base = run("cjpeg", "-quality", 92, "-progressive", input=ppm.getvalue())
    yield "last_scan_missing.jpg", base[: base.rindex(b"\xff\xda")] + b"\xff\xd9"
    base = run("cjpeg", "-quality", 92, "-restart", "1", input=ppm.getvalue())
    first = base.index(b"\xff\xd0")
    yield "restart_marker_missing.jpg", base[:first] + base[first + 2 :]
    yield "restart_marker_twice.jpg", base[:first] + b"\xff\xd0" + base[first:]
    yield "restart_interval_missing.jpg", base[:first] + base[base.index(b"\xff\xd1") :]


# TIFF, written here: no encoder writes all of these.


def tiff(samples, photometric, bits=8, order="II", compression=1, predictor=1, planar=1, tile=None, extra=None, more=()):
    """`samples`: height x width x samples, whole numbers."""
    sign = "<" if order == "II" else ">"
    height, width, count = samples.shape
    across, down = tile or (width, min(height, 7))
    planes = [samples[:, :, i : i + 1] for i in range(count)] if planar == 2 else [samples]
    chunks = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across].astype(np.int64)
                if tile:
                    pad = ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0))
                    part = np.pad(part, pad, mode="edge")
                if predictor == 2 and compression in (5, 8):
                    part[:, 1:] = (part[:, 1:] - part[:, :-1].copy()) % (1 << bits)
                rows = part.reshape(part.shape[0], -1)
                if bits == 16:
                    data = rows.astype(sign + "u2").tobytes()
                elif bits == 8:
                    data = rows.astype(np.uint8).tobytes()
                else:
                    spread = (rows[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
                    data = np.packbits(spread.reshape(rows.shape[0], -1).astype(np.uint8), axis=1).tobytes()
                chunks.append(packed(data, compression))
    entries = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * count), (259, 3, [compression]), (262, 3, [photometric]),
        (277, 3, [count]), (284, 3, [planar]), (317, 3, [predictor]),
    ]
    if extra is not None:
        entries.append((338, 3, extra))
    entries += list(more)
    offsets = []
    body = bytearray(b"\0" * 8)
    for chunk in chunks:
        offsets.append(len(body))
        body += chunk + b"\0" * (len(chunk) % 2)
    lengths = [len(chunk) for chunk in chunks]
    if tile:
        entries += [(322, 3, [across]), (323, 3, [down]), (324, 4, offsets), (325, 4, lengths)]
    else:
        entries += [(273, 4, offsets), (278, 4, [down]), (279, 4, lengths)]
    entries.sort()
    fields = b""
    for tag, kind, values in entries:
        data = b"".join(struct.pack(sign + ("H" if kind == 3 else "I"), value) for value in values)
        if len(data) > 4:
            place = struct.pack(sign + "I", len(body))
            body += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        fields += struct.pack(sign + "HHI", tag, kind, len(values)) + place
    body[:8] = order.encode() + struct.pack(sign + "HI", 42, len(body))
    return bytes(body) + struct.pack(sign + "H", len(entries)) + fields + b"\0\0\0\0"


def packed(data, compression):
    if compression == 8:
        return zlib.compress(data)
    if compression == 32773:
        return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))
    if compression == 5:
        return lzw(data)
    return data


def lzw(data, end=True):
    """TIFF 6.0, section 13; without the end code as some scanners write it."""
    bits, size, table, codes = [], 9, {bytes([i]): i for i in range(256)}, 258
    out = lambda code: bits.append((code, size))  # noqa: E731
    out(256)
    prefix = b""
    for byte in data:
        longer = prefix + bytes([byte])
        if longer in table:
            prefix = longer
            continue
        out(table[prefix])
        table[longer] = codes
        codes += 1
        if codes == 4094:
            out(256)
            size, table, codes = 9, {bytes([i]): i for i in range(256)}, 258
        elif codes + 1 > (1 << size):
            size += 1
        prefix = bytes([byte])
    out(table[prefix])
    codes += 1
    if codes + 1 > (1 << size) and size < 12:
        size += 1
    if end:
        out(257)
    stream = "".join(f"{code:0{length}b}" for code, length in bits)
    stream += "0" * (-len(stream) % 8)
    return int(stream, 2).to_bytes(len(stream) // 8, "big")


def tiffs(picture, small):
    rgb = np.asarray(picture).astype(int)
    grey = np.asarray(picture.convert("L")).astype(int)[:, :, None]
    alpha = np.linspace(20, 235, rgb.shape[1]).astype(int)[None, :, None].repeat(rgb.shape[0], 0)
    rgba = np.concatenate([rgb, alpha], -1)
    ink = np.asarray(picture.convert("CMYK")).astype(int)
    indexed = picture.quantize(16)
    index = np.asarray(indexed).astype(int)[:, :, None]
    colours = np.array(indexed.getpalette()[:48] + [0] * 48)[:48].reshape(16, 3) * 257
    for order in ("II", "MM"):
        for compression in (1, 5, 8, 32773):
            for tile in (None, (16, 32)):
                name = f"{order}_{compression}_{'tiles' if tile else 'strips'}"
                common = dict(order=order, compression=compression, tile=tile)
                if small and order == "MM" and compression != 5:
                    continue
                yield f"rgb_{name}.tif", tiff(rgb, 2, **common)
                if small and (compression != 5 or tile):
                    continue
                yield f"rgb_predictor_{name}.tif", tiff(rgb, 2, predictor=2, **common)
                yield f"rgb16_predictor_{name}.tif", tiff(rgb * 257, 2, bits=16, predictor=2, **common)
                yield f"planes_{name}.tif", tiff(rgb, 2, planar=2, **common)
                yield f"planes_predictor_{name}.tif", tiff(rgb, 2, planar=2, predictor=2, **common)
                yield f"unspecified_extra_{name}.tif", tiff(rgba, 2, predictor=2, extra=[0], **common)
                yield f"unassociated_{name}.tif", tiff(rgba, 2, extra=[2], **common)
                yield f"ink_{name}.tif", tiff(ink, 5, **common)
                for bits in (1, 2, 4, 8, 16):
                    levels = (grey * ((1 << bits) - 1) / 255).round().astype(int)
                    for photometric in (0, 1):
                        if photometric == 0 and bits not in (1, 8):
                            continue
                        yield f"grey{bits}_{photometric}_{name}.tif", tiff(levels, photometric, bits=bits, **common)
                for bits in (4, 8):
                    table = np.zeros((1 << bits, 3), int)
                    table[:16] = colours
                    map_ = (320, 3, list(table.T.reshape(-1)))
                    yield f"palette{bits}_{name}.tif", tiff(index, 3, bits=bits, more=[map_], **common)
    for number in (3, 6) if small else range(1, 9):
        yield f"orientation_{number}.tif", tiff(rgb, 2, more=[(274, 3, [number])])


# The rest


def others(picture):
    def saved(format, image=picture, **more):
        data = io.BytesIO()
        image.save(data, format, **more)
        return data.getvalue()

    alpha = picture.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
    for mode in ("RGB", "L", "1", "P", "LA", "RGBA"):
        image = alpha.convert(mode) if mode in ("LA", "RGBA") else picture.convert(mode)
        yield f"png_{mode}.png", saved("PNG", image)
    sixteen = Image.fromarray((np.asarray(picture.convert("L")).astype(np.uint16) * 257))
    yield "png_16.png", saved("PNG", sixteen)
    yield "png_orientation_6.png", saved("PNG", exif=b"Exif\0\0" + exif(6, "MM"))
    for mode in ("RGB", "L", "1", "P"):
        yield f"bmp_{mode}.bmp", saved("BMP", picture.convert(mode))
    yield "bmp_alpha_empty.bmp", bmp_v5(picture, 0)
    yield "bmp_alpha_full.bmp", bmp_v5(picture, 255)
    yield "gif.gif", saved("GIF", picture.quantize(64))
    for name, more in {"lossy": dict(quality=90), "lossless": dict(lossless=True)}.items():
        yield f"webp_{name}.webp", saved("WEBP", **more)
        yield f"webp_{name}_alpha.webp", saved("WEBP", alpha, **more)
    for prefix in (b"", b"Exif\0\0"):
        yield f"webp_orientation_6{'_prefix' if prefix else ''}.webp", webp_exif(saved("WEBP", quality=90), picture, prefix)
    # Whole, and its last 96 bytes are zeros.
    squares = np.random.default_rng(45).integers(0, 256, (5, 20, 3), dtype=np.uint8)
    flat = np.full((192, 192, 3), 255, np.uint8)
    flat[:48] = squares.repeat(10, 0).repeat(10, 1)[:48, :192]
    yield "webp_flat_end.webp", saved("WEBP", Image.fromarray(flat), quality=0, method=0)


def bmp_v5(picture, alpha):
    width, height = picture.size
    rows = np.asarray(picture)[::-1, :, ::-1]
    data = np.concatenate([rows, np.full((height, width, 1), alpha, np.uint8)], -1).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 32, 3, len(data), 2835, 2835, 0, 0) + masks
    header += b"BGRs" + b"\0" * (124 - len(header) - 4)
    return b"BM" + struct.pack("<IHHI", 14 + 124 + len(data), 0, 0, 14 + 124) + header + data


def webp_exif(plain, picture, prefix):
    """The simple file as an extended one with an EXIF chunk."""
    chunk = plain[12:]
    block = prefix + exif(6, "II")
    width, height = picture.size
    head = b"VP8X" + struct.pack("<I", 10) + bytes([8, 0, 0, 0]) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBP" + head + chunk + b"EXIF" + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def heifs(picture, folder, small):
    """HEIC by heif-enc (x265) and AVIF by avifenc (libaom), into `folder`."""
    source = folder / "source.png"
    picture.save(source)
    for chroma in ("420",) if small else ("420", "422", "444"):
        run("heif-enc", "-q", 85, "-p", f"chroma={chroma}", "-o", folder / f"heic_{chroma}.heic", source)
        run("avifenc", "-s", 8, "--min", 5, "--max", 15, "-y", chroma, source, folder / f"avif_{chroma}.avif")
        if not small:
            run("avifenc", "-s", 8, "-d", 10, "-y", chroma, source, folder / f"avif_10_{chroma}.avif")
    run("heif-enc", "-q", 85, "-t", 16, "-o", folder / "heic_thumbnail.heic", source)
    for angle in (1,) if small else (1, 2, 3):
        run("avifenc", "-s", 8, "--irot", angle, source, folder / f"avif_irot_{angle}.avif")
    for axis in (0,) if small else (0, 1):
        run("avifenc", "-s", 8, "--imir", axis, source, folder / f"avif_imir_{axis}.avif")
    if picture.size[0] >= 128:
        even = picture.resize((256, 128))
        even.save(source)
        run("avifenc", "-s", 8, "-g", "2x1", source, folder / "avif_grid.avif")
    source.unlink()
    # Large enough for several tiles.
    for name, data in heic.as_phones_send(drawn(150, 100) if small else picture, small):
        (folder / name).write_bytes(data)


def write(folder, small=False):
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    random.seed(7)
    sides = [(50, 37)] if small else [(random.randint(1, 1023), random.randint(1, 1023)) for _ in range(12)] + [
        (1, 1), (1, 40), (40, 1), (7, 9), (8, 8), (16, 16), (17, 33), (640, 480), (1023, 511),
    ]
    for number, (width, height) in enumerate(sides):
        picture = drawn(width, height, number)
        place = folder if small else folder / f"{width}x{height}"
        place.mkdir(exist_ok=True)
        sources = [jpegs(picture, small), others(picture)]
        if small or number % 4 == 0 or max(width, height) < 64:
            sources.append(tiffs(picture, small))
        for source in sources:
            for name, data in source:
                (place / name).write_bytes(data)
        if small or (number % 4 == 0 and min(width, height) > 64):
            heifs(picture, place, small)
    broken = folder / "broken"
    broken.mkdir()
    for name, data in damaged_jpegs(drawn(*(sides[0] if small else (640, 480)))):
        (broken / name).write_bytes(data)


def expected(folder):
    """What Pillow makes of the files: size as seen and the mean colours of a grid of 4 x 3."""
    from compare import pillow

    answers = {}
    for path in sorted(Path(folder).glob("*.*")):
        pixels = pillow(path)
        if pixels is not None:
            height, width, _ = pixels.shape
            cells = [
                pixels[height * j // 3 : height * (j + 1) // 3, width * i // 4 : width * (i + 1) // 4].mean((0, 1))
                for j in range(3)
                for i in range(4)
            ]
            answers[path.name] = {"size": [width, height], "means": [[round(float(v), 1) for v in cell] for cell in cells]}
    # Pillow shows nothing of a bitmap whose transparency is empty; browsers and viewers take it as opaque.
    answers["bmp_alpha_empty.bmp"] = answers["bmp_alpha_full.bmp"]
    return answers


if __name__ == "__main__":
    import sys

    target = Path(sys.argv[1])
    write(target, small=True)
    answers = expected(target)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
    (target / "expected.json").write_text("{\n" + lines + "\n}\n")
