"""Runs every example client against the service that the environment names (scripts/with-service does), and compares the
answers and the error codes in the documents with the service's own. A language that is not on this machine is skipped loudly.

    scripts/with-service python3 docs/examples/check.py
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

EXAMPLES = Path(__file__).parent
TOP = EXAMPLES.parents[1]
CLIENTS = {
    "curl.sh": ["sh"],
    "client.py": [sys.executable],
    "client.mjs": ["node"],
    "Client.java": ["java"],
    "client.go": ["go", "run"],
}
BUSY = b'{"hasError":true,"error":"INTERNAL_ERROR","errorDetail":{"code":"queue_full","message":"try again"}}'
# What a shell, a configuration file or a header could take for something else.
ODD = 'a b"c\\d$e:f'
PORTRAIT, GROUP = os.environ["FACEGATE_PICTURE"], os.environ["FACEGATE_GROUP_PICTURE"]


def ask(picture: str) -> bytes:
    """The service's answer, asked for without any of the clients."""
    login = f"{os.environ['FACEGATE_USER']}:{os.environ['FACEGATE_PASSWORD']}".encode()
    body = {"sessionId": "check", "faceImageBase": base64.b64encode(Path(picture).read_bytes()).decode()}
    headers = {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(login).decode()}
    url = os.environ["FACEGATE_URL"] + "/api/v1/face/detect"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as response:
        return response.read()


class BusyOnce(BaseHTTPRequestHandler):
    """A service that is busy at the first request and answers the second."""

    answer = b""
    requests = 0
    login = ""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).requests += 1
        type(self).login = self.headers["Authorization"]
        busy = type(self).requests == 1
        body = BUSY if busy else self.answer
        self.send_response(503 if busy else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if busy:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(client: str, picture: str, **environment: str) -> tuple[int, str]:
    command = [*CLIENTS[client], str(EXAMPLES / client), picture]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def check(client: str, answer: bytes) -> None:
    """An accepted picture, a rejected one, a wrong password, a busy service."""
    # The curl example prints the envelope and leaves the judgement to its caller.
    refused = 0 if client == "curl.sh" else 1
    rectangle = json.loads(answer)["face"]["rectangle"]

    code, out = run(client, PORTRAIT)
    assert code == 0 and all(str(value) in out for value in rectangle.values()), (client, code, out)
    code, out = run(client, GROUP)
    assert code == refused and "TOO_MANY_FACES" in out, (client, code, out)
    code, out = run(client, PORTRAIT, FACEGATE_PASSWORD=f"wrong for {client}", FACEGATE_USER=client)
    assert code == refused and "INTERNAL_ERROR" in out, (client, code, out)

    busy = type("Busy", (BusyOnce,), {"answer": answer, "requests": 0})
    with HTTPServer(("127.0.0.1", 0), busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        code, out = run(client, PORTRAIT, FACEGATE_URL=url, FACEGATE_USER="ann", FACEGATE_PASSWORD=ODD)
        server.shutdown()
    assert code == 0 and busy.requests == 2 and "queue_full" not in out, (client, code, busy.requests, out)
    assert busy.login == "Basic " + base64.b64encode(f"ann:{ODD}".encode()).decode(), (client, busy.login)


def check_printed(answer: bytes) -> None:
    """The documents print the demonstration's answer. Processors differ in the last digits."""
    real = json.loads(answer)["face"]
    for page in ("README.md", "docs/quick-start.md", "docs/api.md"):
        found = re.search(r'^\{\s*"sessionId".*?"face":.*?^```$', (TOP / page).read_text(), re.S | re.M)
        printed = json.loads(found.group().removesuffix("```"))["face"]
        assert printed["age"] == real["age"], (page, printed, real)
        assert abs(printed["gender"] - real["gender"]) <= 100, (page, printed, real)
        assert abs(printed["passiveLivenessScore"] - real["passiveLivenessScore"]) <= 0.005, (page, printed, real)
        for side, value in real["rectangle"].items():
            assert abs(printed["rectangle"][side] - value) <= 1, (page, printed, real)


def check_codes() -> None:
    """The API guide explains exactly the reasons that the service's OpenAPI document has examples of."""
    with urllib.request.urlopen(os.environ["FACEGATE_URL"] + "/openapi.json") as response:
        served = set(re.findall(r'"errorDetail": \{"code": "(\w+)"', json.dumps(json.load(response))))
    tables = (TOP / "docs/api.md").read_text().split("\n## Errors ", 1)[1].split("\n## Other paths", 1)[0]
    rows = [line.split(" | ")[1] for line in tables.splitlines() if line.startswith("| ")]
    explained = {code for cell in rows for code in re.findall(r"`([a-z]\w+)`", cell)}
    assert served == explained, served ^ explained


answer = ask(PORTRAIT)
check_printed(answer)
check_codes()
for client, command in CLIENTS.items():
    if shutil.which(command[0]):
        check(client, answer)
        print(f"{client}: runs")
    else:
        print(f"SKIPPED {client}: there is no {command[0]} on this machine")
