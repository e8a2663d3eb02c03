"""Questions of a page, read from JSON and checked before anything is computed."""

import base64
import binascii
import io
import json
from dataclasses import dataclass
from typing import Any

from PIL import Image

from fewstep.data.preparation import UNREADABLE, quiet_pillow, reason
from fewstep.errors import InputError

MOST_CLASSES = 20
MOST_PICTURES = 100  # to learn from
LARGEST_SIDE = 1024  # pixels
LARGEST_PICTURE = 2**20  # bytes
LARGEST_BODY = 16 * 2**20  # bytes of all that is sent at once, in base64
_FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True)
class Question:
    """Pictures to learn from with their classes 0, 1, ..., and one that is asked for."""

    support: tuple[bytes, ...]
    labels: tuple[int, ...]
    query: bytes


def question_of(body: bytes) -> Question:
    """The question in a body of ``{"support": [[picture, ...], ...], "query": picture}``.

    ``support`` has a list for each class; a picture is a file in base64.

    Raises:
        InputError: It is none, or too much.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("the request is no JSON; expected support and query") from error
    if not isinstance(given, dict) or given.keys() != {"support", "query"}:
        raise InputError("the request is another object; expected support and query alone")
    classes = given["support"]
    if not isinstance(classes, list) or not all(isinstance(one, list) for one in classes):
        raise InputError("support is no list of lists; expected the pictures of each class")
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise InputError(f"{len(classes)} classes are given; expected 2 to {MOST_CLASSES}")
    if not all(classes):
        raise InputError("a class has no picture; expected one or more of each")
    total = sum(map(len, classes))
    if total > MOST_PICTURES:
        raise InputError(f"{total} pictures are given; expected {MOST_PICTURES} at most")
    pairs = [(_picture(one), label) for label, own in enumerate(classes) for one in own]
    support, labels = zip(*pairs, strict=True)
    return Question(support, labels, _picture(given["query"]))


def _picture(text: Any) -> bytes:
    """The bytes of one picture, whose head was looked at and no more."""
    if not isinstance(text, str):
        raise InputError("a picture is no text; expected the file in base64")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("a picture is not in base64; expected the file in base64") from error
    if len(content) > LARGEST_PICTURE:
        raise InputError(
            f"a picture has {len(content):,} bytes; expected {LARGEST_PICTURE:,} at most"
        )
    try:
        with quiet_pillow(), Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            width, height = opened.size
    except UNREADABLE as error:
        raise InputError(
            f"a picture cannot be read ({reason(error)}); expected {' or '.join(_FORMATS)}"
        ) from error
    if max(width, height) > LARGEST_SIDE:
        raise InputError(
            f"a picture is {width} x {height} pixels; expected {LARGEST_SIDE} a side at most"
        )
    return content
