#!/usr/bin/env python3
"""Runs schemathesis against a running service: requests made from its OpenAPI document, right and wrong ones, each answer
compared with the document.

    FACEGATE_LINKS_ALLOW_PRIVATE=true FACEGATE_LINKS_PORTS=8397 \\
        scripts/with-service scripts/api-check/run.py [ARGUMENTS OF schemathesis run…]

Makes an environment with the pinned version in target/api-check on the first run. The port is that of a server with the
picture that links lead to, which this script starts.
"""

import functools
import http.server
import os
import pathlib
import subprocess
import sys
import threading
import venv

HERE = pathlib.Path(__file__).resolve().parent
PLACE = HERE.parent.parent / "target/api-check"


def schemathesis():
    """The program, installed when it is missing or of another version."""
    wanted, installed = HERE / "requirements.txt", PLACE / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        venv.create(PLACE, with_pip=True, clear=True)
        pip = [PLACE / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted]
        subprocess.run([HERE.parent / "retry", *pip], check=True)
        installed.write_text(wanted.read_text())
    return PLACE / "bin/schemathesis"


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    program = schemathesis()
    pictures = pathlib.Path(os.environ["FACEGATE_PICTURE"]).parent
    port = int(os.environ["FACEGATE_LINKS_PORTS"])
    links = http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Silent, directory=pictures))
    threading.Thread(target=links.serve_forever, daemon=True).start()
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [program, "--config-file", HERE / "schemathesis.toml", "--no-color", "run", "--checks", "all", *sys.argv[1:]]
    command += ["--auth", f"{os.environ['FACEGATE_USER']}:{os.environ['FACEGATE_PASSWORD']}"]
    command += [os.environ["FACEGATE_URL"] + "/openapi.json"]
    # Its cache of examples goes where nothing else is disturbed.
    sys.exit(subprocess.run(command, env=environment, cwd=PLACE).returncode)


if __name__ == "__main__":
    main()
