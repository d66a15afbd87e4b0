"""Checks a picture with facegate. Python 3.9 or later, standard library only.

    FACEGATE_USER=ann FACEGATE_PASSWORD=… python3 client.py portrait.jpg
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("FACEGATE_URL", "http://127.0.0.1:8080") + "/api/v1/face/detect"
LOGIN = f"{os.environ['FACEGATE_USER']}:{os.environ['FACEGATE_PASSWORD']}"


def check(picture: bytes, attempts: int = 4) -> dict:
    """The service's answer. Waits and tries again when it is busy."""
    body = {"sessionId": str(uuid.uuid4()), "faceImageBase": base64.b64encode(picture).decode()}
    request = urllib.request.Request(URL, json.dumps(body).encode(), {
        "Content-Type": "application/json",
        "Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode(),
    })
    for attempt in range(attempts):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503) or attempt == attempts - 1:
                # Our mistake, or theirs: the body says which, in errorDetail.
                return json.load(error)
            time.sleep(float(error.headers.get("Retry-After", 1)))
    raise AssertionError("the loop returns")


answer = check(open(sys.argv[1], "rb").read())
if answer["hasError"]:
    # The word is for the end user (docs/api.md), the detail for the log.
    print(answer["error"], "-", answer["errorDetail"]["message"])
    sys.exit(1)
face = answer["face"]
alive = face["passiveLivenessScore"] >= 0.5
print(f"{'live' if alive else 'NOT live'}, about {face['age']} years, at {face['rectangle']}")
