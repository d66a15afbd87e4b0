#!/usr/bin/env python3
"""Sends facegate links whose names a hostile name server answers, and checks that nothing private is reached.

    scripts/hostile-dns.py --facegate target/release/facegate

Needs Python 3 and root on Linux: it runs itself again with a resolv.conf of its own (`unshare --mount`), which names a
server on a loopback address that this script also is. A web server on loopback counts who reaches it.
"""

import argparse
import base64
import http.client
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

NAME_SERVER = "127.53.53.53"
A, CNAME, AAAA = 1, 5, 28

# What each name is answered with: a list of addresses, or a way to misbehave. Rounds of answers are separated by "then".
NAMES = {
    "loopback.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "private.test": ["10.0.0.1", "192.168.0.1", "172.16.0.1"],
    "unspecified.test": ["0.0.0.0"],
    "shared.test": ["100.64.0.1"],
    "loopback6.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "translated.test": ["64:ff9b::7f00:1", "2002:7f00:1::1"],
    "local6.test": ["fe80::1", "fd00::1"],
    "changing.test": ["169.254.169.254", "then", "127.0.0.1", "then", "::1"],
    "alias.test": "alias",
    "circle.test": "circle",
    "many.test": ["127.0.0.1"] * 25,
    "nowhere.test": "no such name",
    "failing.test": "failure",
    "nonsense.test": "nonsense",
    "silent.test": "silence",
}


def encoded(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(name, kind, data):
    return encoded(name) + struct.pack(">HHIH", kind, 1, 0, len(data)) + data


class NameServer(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAME_SERVER, 53))
        self.asked = {}

    def run(self):
        while True:
            query, caller = self.socket.recvfrom(4096)
            answer = self.answer(query)
            if answer is not None:
                self.socket.sendto(answer, caller)

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, (kind,) = ".".join(labels), struct.unpack(">H", query[at + 1 : at + 3])
        question = query[12 : at + 5]
        round_ = self.asked[name, kind] = self.asked.get((name, kind), -1) + 1
        plan = NAMES.get(name, "no such name")
        if plan == "silence":
            return None
        if plan == "nonsense":
            return query[:2] + b"\x81\x80\xff\xff\xff\xff\xff\xff\xff\xff" + b"\xc0" * 100
        records, code = [], 3 if plan == "no such name" else 2 if plan == "failure" else 0
        if plan == "alias":
            records.append(record(name, CNAME, encoded("loopback.test")))
            name, plan = "loopback.test", ["127.0.0.1"]
        elif plan == "circle":
            records.append(record(name, CNAME, encoded(name)))
        if isinstance(plan, list):
            rounds = [part.split() for part in " ".join(plan).split("then")]
            for address in rounds[round_ % len(rounds)]:
                if ":" in address and kind == AAAA:
                    records.append(record(name, AAAA, socket.inet_pton(socket.AF_INET6, address)))
                elif ":" not in address and kind == A:
                    records.append(record(name, A, socket.inet_aton(address)))
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return head + question + b"".join(records)


class WebServer(threading.Thread):
    """Says on loopback what must not be read, and counts."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port, self.reached = self.socket.getsockname()[1], 0

    def run(self):
        while True:
            stream, _ = self.socket.accept()
            self.reached += 1
            stream.recv(4096)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
            stream.close()


class Service:
    def __init__(self, facegate, port, *flags):
        environment = {**os.environ, "FACEGATE_USER": "dns", "FACEGATE_PASSWORD": "dns"}
        command = [facegate, "serve", "--listen", f"127.0.0.1:{port}", "--set", "log.level=error", *flags]
        self.port = port
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        while "curl" not in (line := self.process.stdout.readline()):
            if not line:
                sys.exit("facegate did not start")

    def link(self, link):
        headers = {"Authorization": "Basic " + base64.b64encode(b"dns:dns").decode(), "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/api/v1/face/detect", json.dumps({"sessionId": "s", "faceImageBase": link}), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["errorDetail"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facegate", default="target/release/facegate")
    parser.add_argument("--port", type=int, default=8397)
    options = parser.parse_args()
    if "FACEGATE_HOSTILE_DNS" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            own = pathlib.Path(folder) / "resolv.conf"
            own.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:2\n")
            own.chmod(0o644)
            script = 'mount --bind "$0" "$(realpath /etc/resolv.conf)" && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", script, str(own), sys.executable, *sys.argv]
            sys.exit(subprocess.run(command, env={**os.environ, "FACEGATE_HOSTILE_DNS": "1"}).returncode)
    del os.environ["FACEGATE_HOSTILE_DNS"]
    names, web = NameServer(), WebServer()
    names.start()
    web.start()
    flags = ["--set", f"links.ports={web.port}"]
    # First that the arrangement works: where private addresses are allowed, the name leads to the server.
    service = Service(options.facegate, options.port, *flags, "--set", "links.allow_private=true")
    status, detail = service.link(f"http://loopback.test:{web.port}/")
    service.stop()
    assert (status, detail["code"], web.reached) == (422, "image_format_unknown", 1), (status, detail, web.reached)
    service = Service(options.facegate, options.port, *flags)
    seen, count = {}, 0
    for name, plan in NAMES.items():
        for _ in range(1 if plan == "silence" else 3):
            count += 1
            begin = time.monotonic()
            status, detail = service.link(f"http://{name}:{web.port}/")
            taken = time.monotonic() - begin
            assert status == 422 and detail["code"] in ("link_unreachable", "link_timeout"), (name, status, detail)
            assert taken < 4, (name, taken)
            seen.setdefault(json.dumps(detail), set()).add(name)
    service.stop()
    assert web.reached == 1, f"{web.reached - 1} links reached loopback"
    for detail, whose in seen.items():
        print(json.loads(detail)["code"], len(whose), *sorted(whose))
    print(f"{count} links under {len(NAMES)} names, {sum(names.asked.values()) + len(names.asked)} queries, "
          "nothing private was reached")


if __name__ == "__main__":
    main()
