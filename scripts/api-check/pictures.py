"""Loaded by schemathesis: what fits the formats `byte` and `uri` of `faceImageBase` is a picture, or a link to one.

The document's pattern of `sessionId` leaves open what lies beyond U+FFFF, which not all readers of patterns understand; so do the
requests here.
"""

import base64
import os
import pathlib

import schemathesis
from hypothesis import strategies

FOLDER = pathlib.Path(os.environ["FACEGATE_PICTURE"]).parent
# Small ones: a face with a mask, several faces, and one that is too small.
NAMES = ["mask_green.jpg", "t1.jpg", "Tom_Hanks_54745.png"]
PICTURES = [(FOLDER / name).read_bytes() for name in NAMES]
LINKS = [f"http://127.0.0.1:{os.environ['FACEGATE_LINKS_PORTS']}/{name}" for name in NAMES]


def spellings(picture):
    standard = base64.b64encode(picture).decode()
    yield standard
    yield standard.rstrip("=")
    yield base64.urlsafe_b64encode(picture).decode()
    yield base64.encodebytes(picture).decode()


BASE64 = [text for picture in PICTURES for text in spellings(picture)]
URIS = [f"data:image/{kind};base64,{text}" for text, kind in zip(BASE64, ("png", "jpeg", "x-anything") * len(BASE64))]

schemathesis.openapi.format("byte", strategies.sampled_from(BASE64))
schemathesis.openapi.format("uri", strategies.sampled_from([*URIS, *LINKS]))


@schemathesis.hook
def filter_body(context, body):
    name = body.get("sessionId") if isinstance(body, dict) else None
    return not isinstance(name, str) or all(ord(character) <= 0xFFFF for character in name)
