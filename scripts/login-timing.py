#!/usr/bin/env python3
"""Measures whether the time of an answer tells an unknown user from a wrong password. Needs Python 3 only.

    scripts/login-timing.py --facegate target/release/facegate --rounds 400

Starts the program itself with a user of its own. Each attempt comes from a loopback address of its own, so that none waits
for another's failure; the kinds take turns in random order. Prints the median and the middle half of each kind, and how
often a random relabelling of the same times gives medians as far apart (a permutation test). Linux, where all of
127.0.0.0/8 is loopback.
"""

import argparse
import base64
import http.client
import os
import random
import statistics
import subprocess
import sys
import time

NAME, PASSWORD = "known", "the right passphrase"


def attempt(port, address, name, password):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(address, 0))
    connection.connect()
    login = base64.b64encode(f"{name}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    begin = time.perf_counter()
    connection.request("POST", "/api/v1/face/detect", b"{}", headers)
    answer = connection.getresponse()
    text = answer.read()
    taken = time.perf_counter() - begin
    connection.close()
    return answer.status, text, taken * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="target/release/facegate")
    parser.add_argument("--port", type=int, default=8398)
    parser.add_argument("--rounds", type=int, default=400)
    options = parser.parse_args()
    random.seed(1)
    environment = {**os.environ, "FACEGATE_USER": NAME, "FACEGATE_PASSWORD": PASSWORD}
    command = [options.facegate, "serve", "--listen", f"127.0.0.1:{options.port}", "--set", "log.level=error"]
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        for line in service.stdout:
            if "curl" in line:
                break
        # The user has been let in before, as in a running service: then there is something to be recognised.
        assert attempt(options.port, "127.1.0.1", NAME, PASSWORD)[0] == 400
        kinds = {"wrong password": lambda: (NAME, random.randbytes(10).hex()),
                 "unknown user": lambda: (random.randbytes(2).hex() + "n", random.randbytes(10).hex())}
        times, texts = {kind: [] for kind in kinds}, set()
        for number in range(options.rounds):
            address = f"127.2.{number // 250}.{number % 250 + 1}"
            for kind in random.sample(list(kinds), len(kinds)):
                status, text, taken = attempt(options.port, address, *kinds[kind]())
                assert status == 401, (status, text)
                texts.add(text)
                times[kind].append(taken)
    finally:
        service.terminate()
        service.wait()
    for kind, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{kind:15} n {len(values)}, median {middle:.3f} ms, middle half {low:.3f} to {high:.3f} ms")
    first, second = times.values()
    apart = abs(statistics.median(first) - statistics.median(second))
    pool, more, draws = first + second, 0, 2000
    for _ in range(draws):
        random.shuffle(pool)
        more += abs(statistics.median(pool[: len(first)]) - statistics.median(pool[len(first) :])) >= apart
    print(f"medians {apart * 1000:.0f} us apart; as far apart by chance in {more / draws:.0%} of relabellings; "
          f"different answers: {len(texts)}")
    sys.exit(0 if len(texts) == 1 and more / draws > 0.01 else 1)


if __name__ == "__main__":
    main()
