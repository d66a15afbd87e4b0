#!/usr/bin/env python3
"""Attacks a service of its own in the ways of callers who want to take from others what is everybody's, and measures what
another caller notices. Needs Python 3 only, and Linux, where all of 127.0.0.0/8 is loopback.

    scripts/hostile-callers.py --facegate target/release/facegate --seconds 15
    scripts/hostile-callers.py --only logins,links

Each attack runs for a few seconds beside a user who asks about a picture again and again from another address:

    logins       requests with wrong names and passwords, reset 1.5 ms later, as fast as they go
    links        a user's links to a server that says nothing, reset after 20 ms
    drips        a user's bodies of which a few bytes come, with and without a length, and links to a server that drips
    chunks       two bodies of 4 MB in chunks of one byte
    connections  700 connections that say nothing, or a part of a header
    queue        eight requests at a time with a picture of twelve megapixels

Prints the median of the user's answers before and during, the worst of them, those that were no answer, and the program's
memory and threads. Ends with 1 when a bound of the documentation is broken: a refused user, memory that does not come back
to within 20 MB (--back) of what it was before the attack, threads that stay; and when an attack was none, since nothing of it
was sent or a part of it failed. Where it is memory alone, the attack is measured once more: what an allocator keeps it keeps
once, and a leak grows.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

USERS = {"ann": "an honest passphrase", "mallory": "another passphrase"}
HONEST, HOSTILE = "127.0.2.1", "127.0.3.1"
DETECT = "/api/v1/face/detect"


class Service:
    """The program with two users, the links' server allowed, and its figures."""

    def __init__(self, program, folder, link_port):
        users = []
        for name, password in USERS.items():
            hashed = subprocess.run([program, "hash-password", name], input=password + "\n", text=True, check=True,
                                    capture_output=True)
            users.append(hashed.stdout.strip())
        path = pathlib.Path(folder, "users")
        path.write_text("\n".join(users) + "\n")
        settings = {"auth.users_file": path, "links.allow_private": "true", "links.ports": link_port,
                    "metrics.listen": "127.0.0.1:0", "log.level": "error", "metrics.enabled": "false"}
        flags = [flag for name, value in settings.items() for flag in ("--set", f"{name}={value}")]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FACEGATE_") or k.endswith("MODELS_DIR")}
        self.process = subprocess.Popen([program, "serve", "--demo", "--listen", "127.0.0.1:0", *flags], text=True,
                                        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for line in self.process.stdout:
            if line.startswith("facegate listens on"):
                self.port = int(line.rsplit(":", 1)[1])
            if line.startswith("models:"):
                self.pictures = pathlib.Path(line.split(":", 1)[1].strip(), "pictures")
            if "curl" in line:
                return
        raise SystemExit("the service did not start")

    def status(self, field):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(field + ":")[1].split()[0])

    def memory(self):
        return self.status("VmRSS") / 1024

    def connect(self, source):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=30, source_address=(source, 0))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def head(user, password, more):
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    return (f"POST {DETECT} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\n"
            f"{more}\r\n").encode()


def whole(user, password, body):
    return head(user, password, f"Content-Length: {len(body)}\r\n") + body


def reset(stream):
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def honest(service, body, stop, times, others):
    """Asks again and again, each time on a connection of its own."""
    headers = {"Content-Type": "application/json",
               "Authorization": "Basic " + base64.b64encode(f"ann:{USERS['ann']}".encode()).decode()}
    while not stop.is_set():
        begin = time.perf_counter()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30, source_address=(HONEST, 0))
            connection.request("POST", DETECT, body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                others.append(str(answer.status))
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            others.append(type(error).__name__)
        times.append(time.perf_counter() - begin)
        time.sleep(0.05)


def at_work(stop, count, work, faults):
    """Runs `work(number)` in threads until the time is over. A connection may fail, anything else is a fault."""
    def run(number):
        round_ = 0
        try:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    work(number + count * round_)
                round_ += 1
        except Exception as error:
            faults.append(repr(error))
    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def server_of_links(drips):
    """A server that says nothing, or a byte now and then."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def serve():
        kept = []
        while True:
            stream, _ = listener.accept()
            if drips:
                with contextlib.suppress(OSError):
                    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12000000\r\n\r\nx")
            kept.append(stream)
            del kept[:-2000]
    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def attacks(service, link_port, picture, stop):
    link = json.dumps({"sessionId": "s", "faceImageBase": f"http://127.0.0.1:{link_port}/a.jpg"}).encode()
    mallory = ("mallory", USERS["mallory"])
    count = {"sent": 0}

    def logins(number):
        stream = service.connect(HOSTILE)
        stream.sendall(whole(f"nobody{number}", "wrong", b"{}"))
        time.sleep(0.0015)
        reset(stream)
        count["sent"] += 1

    def links(_):
        stream = service.connect(HOSTILE)
        stream.sendall(whole(*mallory, link))
        time.sleep(0.02)
        reset(stream)
        count["sent"] += 1

    def drips(number):
        stream = service.connect(HOSTILE)
        kinds = [head(*mallory, "Transfer-Encoding: chunked\r\n") + b"7\r\n{\"a\":1,\r\n",
                 head(*mallory, "Content-Length: 16000000\r\n") + b"{\"a\":1,", whole(*mallory, link)]
        stream.sendall(kinds[number % 3])
        count["sent"] += 1
        stream.settimeout(25)
        stream.recv(100)
        stream.close()

    def chunks(_):
        stream = service.connect(HOSTILE)
        stream.sendall(head(*mallory, "Transfer-Encoding: chunked\r\n"))
        portion = b"1\r\nx\r\n" * 10_000
        stream.sendall(portion)
        # A slow machine may not be through with all of it when the time is over.
        count["sent"] += 1
        for _ in range(399):
            stream.sendall(portion)
        stream.sendall(b"0\r\n\r\n")
        stream.recv(100)
        stream.close()

    def connections(number):
        stream = service.connect(HOSTILE)
        if number % 2:
            stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-")
        count["sent"] += 1
        stop.wait(2)
        stream.close()

    def queue(_):
        stream = service.connect(HOSTILE)
        stream.sendall(whole(*mallory, picture))
        count["sent"] += 1
        stream.recv(100)
        stream.close()

    return count, {"logins": (8, logins), "links": (8, links), "drips": (60, drips), "chunks": (2, chunks),
                   "connections": (700, connections), "queue": (8, queue)}


def large_picture(service, program, folder):
    subprocess.run([program, "bench", "--write-pictures", folder], check=True, stdout=subprocess.DEVNULL)
    largest = max(pathlib.Path(folder).glob("*.jpg"), key=lambda path: path.stat().st_size)
    return json.dumps({"sessionId": "l", "faceImageBase": base64.b64encode(largest.read_bytes()).decode()}).encode()


def measure(service, name, link_port, body, large, options):
    """One attack beside an honest user; what was wrong, and of that apart what is said of the memory."""
    stop, quiet = threading.Event(), threading.Event()
    before, during, refused, faults = [], [], [], []
    thread = threading.Thread(target=honest, args=(service, body, quiet, before, refused))
    thread.start()
    time.sleep(4)
    quiet.set()
    thread.join()
    memory, threads = service.memory(), service.status("Threads")
    count, kinds = attacks(service, link_port, large, stop)
    number, work = kinds[name]
    running = at_work(stop, number, work, faults)
    over = threading.Event()
    thread = threading.Thread(target=honest, args=(service, body, over, during, refused))
    thread.start()
    most, begin = memory, time.monotonic()
    while time.monotonic() < begin + options.seconds:
        most = max(most, service.memory())
        time.sleep(0.05)
    stop.set()
    over.set()
    thread.join()
    for each in running:
        each.join(30)
    # What was cut off is given back when its time is over: the longest is that of a link.
    deadline = time.monotonic() + 15
    while service.memory() > memory + options.back and time.monotonic() < deadline:
        time.sleep(0.2)
    after, left = service.memory(), service.status("Threads") - threads
    print(f"{name:<12} {count['sent']:>7} {statistics.median(before) * 1e3:>11.0f} ms "
          f"{statistics.median(during) * 1e3:>6.0f} ms {max(during) * 1e3:>6.0f} ms {len(refused):>8} "
          f"{memory:>11.0f} MB {most:>4.0f} MB {after:>4.0f} MB {left:>+8}", flush=True)
    wrong = []
    if not count["sent"]:
        wrong.append(f"{name}: nothing was sent")
    if faults:
        wrong.append(f"{name}: the attack failed: {sorted(set(faults))}")
    if refused:
        wrong.append(f"{name}: the honest user got {sorted(set(refused))}")
    # A pool's threads start when they are first needed: one for logins, 16 for lookups.
    if left > 20:
        wrong.append(f"{name}: {left} threads stayed")
    return wrong, [f"{name}: {after - memory:.0f} MB stayed"] if after > memory + options.back else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--back", type=int, default=20, help="MB that the memory may stay higher afterwards")
    parser.add_argument("--facegate", default="target/release/facegate")
    parser.add_argument("--seconds", type=float, default=15, help="of each attack")
    parser.add_argument("--only", default="", help="names of attacks, with commas between them")
    options = parser.parse_args()
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        link_port = server_of_links(drips=True)
        service = Service(options.facegate, folder, link_port)
        try:
            portrait = (service.pictures / "demo-portrait.jpg").read_bytes()
            body = json.dumps({"sessionId": "s", "faceImageBase": base64.b64encode(portrait).decode()}).encode()
            large = large_picture(service, options.facegate, folder)
            # The allocator keeps what an analysis of such a picture needs: that is no leak, and is there from now on.
            for _ in range(6):
                stream = service.connect(HOSTILE)
                stream.sendall(whole("mallory", USERS["mallory"], large))
                stream.recv(100)
                stream.close()
            names = [name for name in options.only.split(",") if name]
            print(f"{'attack':<12} {'sent':>7} {'median before':>14} {'during':>9} {'worst':>9} {'refused':>8} "
                  f"{'memory before':>14} {'most':>7} {'after':>7} {'threads':>8}")
            for name in names or ["logins", "links", "drips", "chunks", "connections", "queue"]:
                wrong, stayed = measure(service, name, link_port, body, large, options)
                if stayed and not wrong:
                    wrong, stayed = measure(service, name, link_port, body, large, options)
                failures += wrong + stayed
        finally:
            service.stop()
    for failure in failures:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
