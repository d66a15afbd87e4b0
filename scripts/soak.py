#!/usr/bin/env python3
"""Puts a running facegate under strain and watches it. Needs Python 3 only; with matplotlib it also draws a plot.

    scripts/soak.py mixed    --minutes 60 --rate 4      good, bad and hostile requests at a bounded rate
    scripts/soak.py overload --minutes 5                one caller per core, then four times what they got through
    scripts/soak.py crash                               kill -9 under load, start again, time until ready

Starts the program itself (--facegate, target/release/facegate), with a user of its own. Run as root: the service lets
nobody else count its descriptors. Writes samples of memory,
descriptors and threads to --out as CSV, and figures to standard output.
"""

import argparse
import base64
import collections
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

USER, PASSWORD = "soak", "a passphrase for the soak"
DETECT = "/api/v1/face/detect"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Service:
    def __init__(self, facegate, port, *flags, login=True):
        environment = {**os.environ, **({"FACEGATE_USER": USER, "FACEGATE_PASSWORD": PASSWORD} if login else {})}
        command = [facegate, "serve", "--listen", f"127.0.0.1:{port}", "--set", "log.level=error", *flags]
        self.port, self.begin = port, time.monotonic()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while True:
            try:
                if self.request("GET", "/readyz", timeout=1)[0] == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None:
                sys.exit("facegate did not start")
            time.sleep(0.01)
        self.ready_after = time.monotonic() - self.begin

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def detect(self, body, login=LOGIN):
        return self.request("POST", DETECT, body, {"Authorization": login, "Content-Type": "application/json"})

    def sample(self):
        root = pathlib.Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines() if ":" in line)
        return int(status["VmRSS"].split()[0]) // 1024, len(os.listdir(root / "fd")), int(status["Threads"])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def envelope(status, text):
    """An answer must be the contract's envelope, whatever was sent."""
    answer = json.loads(text)
    assert isinstance(answer["hasError"], bool), answer
    assert answer["hasError"] == ("error" in answer) == ("errorDetail" in answer), answer
    return status


def body(picture, session="soak", **more):
    return json.dumps({"sessionId": session, "faceImageBase": base64.b64encode(picture).decode(), **more}).encode()


def kinds(service, portrait):
    good = body(portrait)
    detailed = body(portrait, returnDetails=True, returnFaceImage=True)
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\1\0\0\0\1\0\0\x08\2\0\0\0" + b"\0" * 100
    link = json.dumps({"sessionId": "s", "faceImageBase": "http://169.254.169.254/latest"}).encode()

    def slow():
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
            stream.sendall(f"POST {DETECT} HTTP/1.1\r\nHost: x\r\nAuthorization: {LOGIN}\r\n".encode())
            for _ in range(3):
                time.sleep(1)
                stream.sendall(b"X")
        return "gone"

    def vanish():
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
            head = f"POST {DETECT} HTTP/1.1\r\nHost: x\r\nAuthorization: {LOGIN}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(good)}\r\n\r\n"
            stream.sendall(head.encode() + good[: random.randrange(len(good))])
        return "gone"

    def garbage():
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
            stream.sendall(random.randbytes(2000))
        return "gone"

    return {
        "good": (40, lambda: envelope(*service.detect(good))),
        "detailed": (10, lambda: envelope(*service.detect(detailed))),
        "cut": (10, lambda: envelope(*service.detect(body(portrait[: random.randrange(len(portrait))])))),
        "damaged": (10, lambda: envelope(*service.detect(body(bytes(b ^ (random.random() < 0.001) for b in portrait))))),
        "bomb": (5, lambda: envelope(*service.detect(body(huge)))),
        "json": (5, lambda: envelope(*service.detect(good[: random.randrange(1, 60)]))),
        "link": (5, lambda: envelope(*service.detect(link))),
        "login": (2, lambda: envelope(*service.detect(good, "Basic " + base64.b64encode(b"x:y").decode()))),
        "large": (2, lambda: envelope(*service.detect(b" " * (17 << 20)))),
        "slow": (2, slow),
        "vanish": (5, vanish),
        "garbage": (4, garbage),
    }


def mixed(options, service, portrait):
    choices = kinds(service, portrait)
    names, weights = list(choices), [weight for weight, _ in choices.values()]
    seen, faults, samples = collections.Counter(), [], []
    begin = time.monotonic()
    end = begin + options.minutes * 60
    lock = threading.Lock()

    def caller(number):
        pace = random.Random(number)
        while time.monotonic() < end and not faults:
            name = pace.choices(names, weights)[0]
            try:
                outcome = choices[name][1]()
            except (ConnectionError, http.client.HTTPException, AssertionError, ValueError, TimeoutError) as error:
                # A caller that vanishes sees what it likes; everyone else must get an envelope.
                outcome = "gone" if name in ("slow", "vanish", "garbage") else faults.append(f"{name}: {error!r}")
            with lock:
                seen[name, outcome] += 1
            time.sleep(pace.expovariate(options.rate / options.callers))

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(options.callers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        samples.append((round(time.monotonic() - begin), *service.sample()))
        time.sleep(10 if options.minutes >= 5 else 1)
    write(options, samples)
    for (name, outcome), count in sorted(seen.items(), key=str):
        print(f"{name:10} {outcome!s:5} {count:7}")
    tail = samples[len(samples) // 2 :]
    print("requests", sum(seen.values()), "faults", faults)
    for column, name in enumerate(("memory MB", "descriptors", "threads"), 1):
        values = [sample[column] for sample in samples]
        late = [sample[column] for sample in tail]
        print(f"{name:12} first {values[0]}, middle {late[0]}, last {values[-1]}, least {min(values)}, most {max(values)}")
    return not faults


def overload(options, service, portrait):
    request = body(portrait)

    def rush(callers, seconds):
        times, statuses, wrong = [], collections.Counter(), []
        end = time.monotonic() + seconds

        def caller():
            while time.monotonic() < end:
                begin = time.monotonic()
                try:
                    status = envelope(*service.detect(request))
                except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                    wrong.append(repr(error))
                    continue
                statuses[status] += 1
                if status == 200:
                    times.append(time.monotonic() - begin)
                else:
                    time.sleep(0.2)

        threads = [threading.Thread(target=caller) for _ in range(callers)]
        for thread in threads:
            thread.start()
        samples = []
        while any(thread.is_alive() for thread in threads):
            samples.append((round(seconds - (end - time.monotonic())), *service.sample()))
            time.sleep(1)
        times.sort()
        median = times[len(times) // 2] * 1000
        print(f"{callers} callers, {seconds:.0f} s: {dict(statuses)}, accepted median {median:.0f} ms, "
              f"p99 {times[int(len(times) * 0.99)] * 1000:.0f} ms, {len(times) / seconds:.1f}/s, no envelope: {len(wrong)}, "
              f"memory {samples[0][1]} to {samples[-1][1]} MB")
        return median, wrong, samples

    cores = os.cpu_count() or 1
    rush(cores, 5)
    calm, wrong, _ = rush(cores, max(20.0, options.minutes * 12))
    strained, more, samples = rush(4 * cores, options.minutes * 60)
    write(options, samples)
    print(f"median under four times the callers: {strained / calm:.2f} times that at capacity")
    return not wrong and not more


def crash(options, service, portrait):
    request = body(portrait)
    threads = []
    for _ in range(4):
        def caller():
            try:
                while True:
                    service.detect(request)
            except (OSError, http.client.HTTPException):
                pass
        threads.append(threading.Thread(target=caller))
        threads[-1].start()
    time.sleep(3)
    service.process.kill()
    service.process.wait()
    for thread in threads:
        thread.join()
    again = Service(options.facegate, options.port)
    status = envelope(*again.detect(request))
    print(f"ready {again.ready_after:.2f} s after the start that followed kill -9; first answer {status}")
    code = again.stop()
    print(f"exit code on SIGTERM {code}")
    return again.ready_after < 2 and status == 200 and code == 0


def write(options, samples):
    rows = ["seconds,memory_mb,descriptors,threads", *(",".join(map(str, sample)) for sample in samples)]
    options.out.write_text("\n".join(rows) + "\n")
    try:
        import matplotlib.pyplot as plot
    except ImportError:
        return
    figure, axes = plot.subplots(3, 1, sharex=True, figsize=(8, 7))
    for axis, column, name in zip(axes, (1, 2, 3), ("memory (MB)", "descriptors", "threads")):
        axis.plot([sample[0] / 60 for sample in samples], [sample[column] for sample in samples])
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(options.out.with_suffix(".png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("mixed", "overload", "crash"))
    parser.add_argument("--facegate", default="target/release/facegate")
    parser.add_argument("--port", type=int, default=8399)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate", type=float, default=4, help="requests a second of all callers together")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--picture", type=pathlib.Path, help="instead of the demonstration's portrait")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("soak.csv"))
    options = parser.parse_args()
    random.seed(1)
    if options.picture is None:
        command = [options.facegate, "models", "path"]
        folder = pathlib.Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
        options.picture = folder / "pictures" / "demo-portrait.jpg"
    portrait = options.picture.read_bytes()
    service = Service(options.facegate, options.port)
    print(f"ready after {service.ready_after:.2f} s")
    passed = {"mixed": mixed, "overload": overload, "crash": crash}[options.mode](options, service, portrait)
    if service.process.poll() is None and service.stop() != 0:
        passed = False
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
