#!/usr/bin/env python3
"""An attacker beside a user: one sends the most costly pictures without pause, the other a portrait now and then.

    scripts/costly-pictures.py [--seconds 60] [--attackers 2] [--attempts 1] [--also FILE...]
        [--svg docs/costly-pictures.svg]

Starts the program itself (--facegate, target/release/facegate) with two users, and asks for a third of the time without the
attacker, for a third beside him, and for a third after him; then each of the attacker's pictures is sent alone. What must
hold, or the exit code is 1:

- every picture of the attacker is answered with 200 or 422, or shed with 503; alone, so that it waits for none of his others,
  within three times `analysis.limits.max_decode_ms` and half a second (where nothing else runs it takes a third of that);
- the user's median beside the attacker is at most --factor (1.3) times that without him;
- afterwards the service's memory is within 20 MB of where it was before, and so is that of its cells.

Other work on the machine breaks such a bound of time or memory too: one that --attempts measurements break is no accident. A
wrong answer is never tried again.

Needs Python 3 only and Linux. The pictures are written here, byte by byte; --also adds files.
"""

import argparse
import base64
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from soak import PASSWORD, USER, Service, body, envelope

ATTACKER = "mallory"
SIDE = 5000


def png(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def costly():
    """The largest pictures that are let in, with the most work in each byte."""
    rows = zlib.compress(bytes(SIDE * 3 + 1) * SIDE, 9)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    profile = b"p\0\0" + zlib.compress(bytes(200 << 20), 9)
    start = b"\x89PNG\r\n\x1a\n" + png(b"IHDR", header)
    yield "PNG of 25 megapixels", start + png(b"IDAT", rows) + png(b"IEND", b"")
    yield "PNG with a profile of 200 MB", start + png(b"iCCP", profile) + png(b"IDAT", rows) + png(b"IEND", b"")
    # Nine bits 1 0000 0000, the code that clears the table, eight times in nine bytes.
    clear = sum(0x100 << (9 * n) for n in range(8)).to_bytes(9, "little") * 1_000_000
    blocks = b"".join(bytes([len(clear[at : at + 255])]) + clear[at : at + 255] for at in range(0, len(clear), 255))
    size = struct.pack("<HH", SIDE, SIDE)
    yield "GIF of clear codes", b"GIF89a" + size + b"\xf0\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + size + b"\0\x08" + blocks + b"\0;"
    scan = b"\xff\xda\0\x08\x01\x01\0\0\0\0" + bytes(20_000)
    for count in (10, 50):
        yield f"progressive JPEG of {count} scans", (
            b"\xff\xd8\xff\xc2\0\x0b\x08" + struct.pack(">HH", SIDE, SIDE) + b"\x01\x01\x11\0"
            b"\xff\xc4\0\x14\0\x01" + bytes(16) + scan * count + b"\xff\xd9"
        )
    tile = b"\x80\0" * 50_000
    tiles, table = 2_500, 8 + 2 + 10 * 12 + 4
    entries = [(0x100, 800), (0x101, 800), (0x102, 8), (0x103, 5), (0x106, 2), (0x115, 3), (0x142, 16), (0x143, 16)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    directory += struct.pack("<HHII", 0x144, 4, tiles, table) + struct.pack("<HHII", 0x145, 4, tiles, table + 4 * tiles)
    places = struct.pack("<I", table + 8 * tiles) * tiles + struct.pack("<I", len(tile)) * tiles
    yield "TIFF of tiles in one place", b"II*\0\x08\0\0\0" + struct.pack("<H", 10) + directory + bytes(4) + places + tile


def memory(service):
    """Resident MB of the service and of its cells."""

    def resident(pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    cells = 0
    for task in pathlib.Path(f"/proc/{service.process.pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue  # A thread that has just ended.
        for child in children:
            try:
                cells += resident(child)
            except (OSError, IndexError):
                pass  # It has just been replaced.
    return resident(service.process.pid), cells


def svg(times, samples, third, title):
    """The user's times as dots, the memory as lines, the attack as a grey field."""
    width, height, left = 800, 360, 60
    end, slowest = 3 * third, max([time for _, time in times] + [0.1])
    most = max(own + cells for _, own, cells in samples)
    x = lambda at: left + at / end * (width - left - 60)
    y = lambda value, top: 320 - value / top * 260
    line = lambda pick: " ".join(f"{x(s[0]):.1f},{y(pick(s), most):.1f}" for s in samples)
    text = 'font-family="sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="22" {text} font-weight="bold">{title}</text>',
        f'<rect x="{x(third):.1f}" y="40" width="{x(2 * third) - x(third):.1f}" height="280" fill="#eee"/>',
        f'<text x="{x(third) + 6:.1f}" y="56" {text}>costly pictures without pause</text>',
        *(f'<circle cx="{x(at):.1f}" cy="{y(time, slowest):.1f}" r="2.5" fill="#1f77b4"/>' for at, time in times),
        f'<polyline points="{line(lambda s: s[1])}" fill="none" stroke="#d62728" stroke-width="1.5"/>',
        f'<polyline points="{line(lambda s: s[1] + s[2])}" fill="none" stroke="#ff9896" stroke-width="1.5"/>',
        f'<line x1="{left}" y1="320" x2="{width - 60}" y2="320" stroke="black"/>',
        f'<text x="4" y="64" {text} fill="#1f77b4">{slowest * 1000:.0f} ms</text><text x="36" y="324" {text}>0</text>',
        f'<text x="{width - 56}" y="64" {text} fill="#d62728">{most} MB</text>',
        f'<text x="{left}" y="345" {text}>0 s</text><text x="{width - 90}" y="345" {text}>{end:.0f} s</text>',
        f'<text x="170" y="345" {text} fill="#1f77b4">time of the user\'s requests</text>',
        f'<text x="370" y="345" {text} fill="#d62728">memory: service</text>',
        f'<text x="490" y="345" {text} fill="#ff9896">service and cells</text></svg>',
    ]
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facegate", default="target/release/facegate")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--attackers", type=int, default=2, help="connections of the attacker")
    parser.add_argument("--factor", type=float, default=1.3)
    parser.add_argument("--attempts", type=int, default=1, help="measurements of which one must keep the bounds")
    parser.add_argument("--back", type=int, default=20, help="MB that the memory may stay higher afterwards")
    parser.add_argument("--also", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--svg", type=pathlib.Path)
    options = parser.parse_args()

    def output(*words, **more):
        return subprocess.run([options.facegate, *words], check=True, capture_output=True, text=True, **more).stdout.strip()

    limit = float(output("config", "analysis.limits.max_decode_ms").split("#")[0].split("=")[-1]) / 1000
    portrait = pathlib.Path(output("models", "path")) / "pictures" / "demo-portrait.jpg"
    pictures = list(costly()) + [(path.name, path.read_bytes()) for path in options.also]
    attacks = [(name, body(picture)) for name, picture in pictures]
    with tempfile.NamedTemporaryFile("w", suffix=".users") as users:
        for name in (USER, ATTACKER):
            users.write(output("hash-password", name, input=PASSWORD) + "\n")
        users.flush()
        os.environ["FACEGATE_USERS_FILE"] = users.name
        for attempt in range(1, options.attempts + 1):
            service = Service(options.facegate, random.randrange(20_000, 30_000), "--demo", login=False)
            good = body(portrait.read_bytes())
            faults, broken = run(options, service, limit, good, attacks)
            service.stop()
            if broken:
                print(f"attempt {attempt} of {options.attempts}: {'; '.join(broken)}", file=sys.stderr, flush=True)
            if faults or not broken:
                break
    sys.exit(1 if faults or broken else 0)


def run(options, service, limit, good, attacks):
    """One measurement: answers that were wrong, and bounds of time or memory that were broken."""
    third, begin = options.seconds / 3, None
    login = "Basic " + base64.b64encode(f"{ATTACKER}:{PASSWORD}".encode()).decode()
    times, samples, faults, statuses = [], [], [], {}
    done = threading.Event()
    # Side by side, so that every worker has had its first picture: what that takes is no attacker's doing.
    warming = [threading.Thread(target=lambda: [envelope(*service.detect(good)) for _ in range(5)]) for _ in range(2)]
    for thread in warming:
        thread.start()
    for thread in warming:
        thread.join()
    begin = time.monotonic()
    now = lambda: time.monotonic() - begin

    def user():
        pace = random.Random(1)
        while now() < 3 * third:
            at = now()
            status = envelope(*service.detect(good))
            if status == 200:
                times.append((at, now() - at))
            else:
                faults.append(f"the user got {status}")
            time.sleep(pace.uniform(0.05, 0.15))

    def attacker(number):
        time.sleep(third)
        while now() < 2 * third:
            number += 1
            name, attack = attacks[number % len(attacks)]
            at = now()
            try:
                status = envelope(*service.detect(attack, login))
            except (OSError, ValueError, AssertionError) as error:
                faults.append(f"{name}: {error!r}")
                continue
            took = now() - at
            statuses.setdefault(name, []).append((status, took))
            if status not in (200, 422, 503):
                faults.append(f"{name}: {status}")

    def watch():
        while not done.is_set():
            samples.append((now(), *memory(service)))
            time.sleep(0.2)

    watching = threading.Thread(target=watch)
    threads = [threading.Thread(target=user)]
    threads += [threading.Thread(target=attacker, args=(number,)) for number in range(options.attackers)]
    for thread in (watching, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watching.join()
    part = lambda first, last, rows: [row for row in rows if first <= row[0] < last]
    median = lambda first, last: statistics.median(row[1] for row in part(first, last, times))
    # Requests that began beside the attacker, and the memory a while after he has gone.
    calm, strained, after = median(0, third), median(third, 2 * third), median(2 * third + limit, 3 * third)
    own_before, cells_before = (max(s[n] for s in part(0, third, samples)) for n in (1, 2))
    own_after, cells_after = (min(s[n] for s in samples[-5:]) for n in (1, 2))
    for name, answers in statuses.items():
        seen = sorted({status for status, _ in answers})
        print(f"{name:34} {len(answers):4} times {seen}, slowest {max(took for _, took in answers):.2f} s")
    slow, broken = [], []
    for name, attack in attacks:
        at = now()
        status, took = envelope(*service.detect(attack, login)), now() - at
        print(f"{name:34} alone {status} after {took:.2f} s")
        if status not in (200, 422):
            faults.append(f"{name}: {status} alone")
        if took > 3 * limit + 0.5:
            slow.append(f"{name}: {took:.2f} s")
    own_most = max(s[1] for s in samples)
    print(f"median {calm * 1000:.0f} ms, beside the attacker {strained * 1000:.0f} ms ({strained / calm:.2f} times), after him "
          f"{after * 1000:.0f} ms; memory of the service {own_before} MB, at most {own_most}, after {own_after}; of its cells "
          f"{cells_before}, after {cells_after}; answered late: {slow or 'none'}; faults: {faults or 'none'}")
    if options.svg:
        title = f"Median {calm * 1000:.0f} ms, beside the attacker {strained * 1000:.0f} ms"
        options.svg.write_text(svg(times, samples, third, title))
    if strained > options.factor * calm:
        broken.append(f"the user waits {strained / calm:.2f} times as long beside the attacker")
    if own_after > own_before + options.back:
        broken.append(f"the service keeps {own_after - own_before} MB")
    if cells_after > cells_before + 20:
        broken.append(f"its cells keep {cells_after - cells_before} MB")
    if slow:
        broken.append("pictures are answered late")
    return faults, broken


if __name__ == "__main__":
    main()
