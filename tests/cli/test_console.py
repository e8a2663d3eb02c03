"""The terminal as every command writes to it."""

import io
import sys

import pytest

from fewstep.cli.console import plain_console


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_console_aligns_what_is_spelled_out(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    console = plain_console()
    assert console.render_str("±…").cell_len == {"ascii": 5, "latin-1": 4, "utf-8": 2}[encoding]
