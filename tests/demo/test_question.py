"""Every wrong question is refused in one line, before anything is computed."""

import io
import json

import pytest
from PIL import Image

from fewstep.demo import question as module
from fewstep.demo.question import question_of
from fewstep.errors import InputError
from tests.demo.pictures import drawn, question, text


def _wide():
    file = io.BytesIO()
    Image.new("L", (1025, 8)).save(file, "PNG")
    return text(file.getvalue())


def _with(**changes):
    return question() | changes


WRONG = {
    "the request is no JSON": b"{",
    "another object": {"support": []},
    "support and query alone": _with(more=1),
    "support is no list of lists": _with(support=["a"]),
    "1 classes are given": _with(support=[["a"]]),
    "21 classes are given": _with(support=[["a"]] * 21),
    "a class has no picture": _with(support=[["a"], []]),
    "102 pictures are given": _with(support=[["a"] * 51] * 2),
    "a picture is no text": _with(query=3),
    "not in base64": _with(query="é"),
    "no picture of a known format": _with(query=text(b"hello")),
    "expected PNG or JPEG": _with(query=text(drawn(0, kind="GIF"))),
    "1025 x 8 pixels": _with(query=_wide()),
    "1,048,577 bytes": _with(query=text(bytes(2**20 + 1))),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_questions_are_refused(line):
    given = WRONG[line]
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    with pytest.raises(InputError, match=line) as refused:
        question_of(body)
    assert "\n" not in str(refused.value)


def test_a_question_is_read_as_it_was_meant():
    given = question(3)
    given["support"][1].append(text(drawn(1, seed=5, kind="JPEG")))
    found = question_of(json.dumps(given).encode())
    assert found.labels == (0, 1, 1, 2)
    assert found.support[2] == drawn(1, seed=5, kind="JPEG")
    assert found.query == drawn(3, seed=1)


def test_deep_json_is_refused():
    with pytest.raises(InputError, match="no JSON"):
        question_of(b"[" * 10**6)


def test_what_may_be_sent_holds_what_may_be_asked(monkeypatch):
    """A page's own pictures, of at most 1000 pixels a side, are far below the limits."""
    assert module.LARGEST_BODY > module.MOST_PICTURES * 512 * 256
