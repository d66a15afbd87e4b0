"""The calls: one request, tried again after Retry-After while the service is busy."""

from __future__ import annotations

import asyncio
import base64
import os
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from ._types import Answer, ServiceError

Picture = bytes | str | os.PathLike[str]
"""Bytes of a picture, a path to one, or an http(s) link that the service is to fetch."""

_PATH = "/api/v1/face/detect"
_BUSY = frozenset({429, 503})
_LONGEST_WAIT = 60.0


def _body(picture: Picture, session_id: str | None, face_image: bool, details: bool) -> dict[str, Any]:
    if isinstance(picture, str) and picture.startswith(("http://", "https://")):
        sent = picture
    else:
        content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        sent = base64.b64encode(content).decode("ascii")
    return {
        "sessionId": session_id or str(uuid.uuid4()),
        "faceImageBase": sent,
        "returnFaceImage": face_image,
        "returnDetails": details,
    }


def _read(response: httpx.Response) -> Answer:
    try:
        envelope = response.json()
    except ValueError:
        envelope = None
    envelope = envelope if isinstance(envelope, dict) else {}
    # What stands between may answer 200 with something of its own.
    if response.status_code == 200 and isinstance(envelope.get("hasError"), bool):
        return Answer.from_json(envelope)
    detail = envelope.get("errorDetail")
    detail = detail if isinstance(detail, dict) else {}
    message = detail.get("message", "the answer is none of facegate's: is this address right?")
    raise ServiceError(response.status_code, detail.get("code", "answer_unknown"), message)


def _wait(response: httpx.Response, attempt: int) -> float:
    """Seconds until the next try: what the service asks for, else twice as long each time."""
    try:
        asked = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        asked = 0.5 * 2**attempt
    return min(max(asked, 0.0), _LONGEST_WAIT)


class Client:
    """A connection to a service. `attempts` counts the first try; `timeout` is in seconds for one try."""

    def __init__(self, url: str, *, user: str, password: str, attempts: int = 4, timeout: float = 60.0,
                 transport: httpx.BaseTransport | None = None) -> None:
        self._attempts = max(attempts, 1)
        self._http = httpx.Client(base_url=url, auth=(user, password), timeout=timeout, transport=transport)

    def detect(self, picture: Picture, *, session_id: str | None = None, face_image: bool = False,
               details: bool = False) -> Answer:
        """Checks one picture. Raises `ServiceError` when the call does not work, `httpx.HTTPError` without a connection."""
        body = _body(picture, session_id, face_image, details)
        for attempt in range(self._attempts):
            response = self._http.post(_PATH, json=body)
            if response.status_code not in _BUSY or attempt == self._attempts - 1:
                break
            time.sleep(_wait(response, attempt))
        return _read(response)

    def is_ready(self) -> bool:
        """Whether the networks are loaded and the service takes requests."""
        return self._http.get("/readyz").status_code == 200

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(self, url: str, *, user: str, password: str, attempts: int = 4, timeout: float = 60.0,
                 transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._attempts = max(attempts, 1)
        self._http = httpx.AsyncClient(base_url=url, auth=(user, password), timeout=timeout, transport=transport)

    async def detect(self, picture: Picture, *, session_id: str | None = None, face_image: bool = False,
                     details: bool = False) -> Answer:
        """Checks one picture. Raises `ServiceError` when the call does not work, `httpx.HTTPError` without a connection."""
        body = await asyncio.to_thread(_body, picture, session_id, face_image, details)
        for attempt in range(self._attempts):
            response = await self._http.post(_PATH, json=body)
            if response.status_code not in _BUSY or attempt == self._attempts - 1:
                break
            await asyncio.sleep(_wait(response, attempt))
        return _read(response)

    async def is_ready(self) -> bool:
        """Whether the networks are loaded and the service takes requests."""
        return (await self._http.get("/readyz")).status_code == 200

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.aclose()
