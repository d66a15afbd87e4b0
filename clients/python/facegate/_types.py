"""What the service answers, as frozen dataclasses; their fields are those of docs/api.md in Python's spelling."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rectangle:
    """Whole pixels of the picture as a person sees it; `right` and `bottom` are exclusive ends."""

    top: int
    left: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height


@dataclass(frozen=True)
class Face:
    """The one usable face."""

    age: int
    """Whole years."""
    gender: int
    """-10000 (certainly male) to 10000 (certainly female)."""
    passive_liveness_score: float
    """0 to 1, higher is more alive; 0.5 is the operating threshold."""
    rectangle: Rectangle
    image: bytes | None
    """JPEG of exactly `rectangle`, when it was asked for."""

    @property
    def is_live(self) -> bool:
        """Whether the score reaches the service's operating threshold. Set your own by docs/thresholds.md."""
        return self.passive_liveness_score >= 0.5


@dataclass(frozen=True)
class ErrorDetail:
    """A stable reason in snake_case and a sentence for a developer."""

    code: str
    message: str


@dataclass(frozen=True)
class Answer:
    """An answered call: either `face`, or `error` and `error_detail`."""

    session_id: str | None
    face: Face | None
    error: str | None
    """One of the eight FACE words when the picture cannot be used."""
    error_detail: ErrorDetail | None
    details: Mapping[str, Any] | None
    """Every measured value as the service sends it, when it was asked for."""
    raw: Mapping[str, Any]
    """The whole answer as it came."""

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Answer:
        """Reads an envelope of the service."""
        found, detail = answer.get("face"), answer.get("errorDetail")
        return cls(
            session_id=answer.get("sessionId"),
            face=_face(found, found.get("faceImageBase") or answer.get("faceImageBase")) if found else None,
            error=answer.get("error"),
            error_detail=ErrorDetail(detail["code"], detail["message"]) if detail else None,
            details=answer.get("details"),
            raw=answer,
        )


def _face(found: Mapping[str, Any], image: str | None) -> Face:
    box = found["rectangle"]
    return Face(
        age=found["age"],
        gender=found["gender"],
        passive_liveness_score=found["passiveLivenessScore"],
        rectangle=Rectangle(*(box[side] for side in ("top", "left", "width", "height"))),
        image=base64.b64decode(image) if image else None,
    )


class ServiceError(Exception):
    """The call did not work: `status` is the HTTP status, `code` the stable reason, `message` says what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
