"""The terminal as every command writes to it."""

import io
import sys

import pytest
from rich.console import Console

from fewstep.cli.console import plain_console
from fewstep.cli.progress import counting
from fewstep.report.columns import in_columns


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_console_aligns_what_is_spelled_out(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    console = plain_console()
    assert console.render_str("±…").cell_len == {"ascii": 5, "latin-1": 4, "utf-8": 2}[encoding]


def test_control_characters_of_a_name_are_spelled_out(capsys):
    console = plain_console()
    console.print("owl\x1b[31m\n\x07\x9b.png", soft_wrap=True)
    assert capsys.readouterr().out == "owl\\x1b[31m\\n\\x07\\x9b.png\n"
    lines = in_columns(["file", "label"], [["a\x1b[2J.png", "owl"], ["b.png", "tit"]], 80)
    console.print([*lines][1], soft_wrap=True)
    assert capsys.readouterr().out == "a\\x1b[2J.png  owl\n"


def test_a_bar_takes_the_name_of_a_run_as_it_is():
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with counting(console, "a[bold]b\x1b[2Jc", 2) as advance:
        advance(2)
    assert "a[bold]b\\x1b[2Jc" in written.getvalue()
