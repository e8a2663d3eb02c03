"""Rows of text are complete on a terminal of any width."""

import pytest

from fewstep.report.columns import in_columns

ROWS = [["photos/owl.png", "owl", "93.1%", ""], ["写真/鳥鳥鳥.png", "crow", "5.0%", "wrong"]]
HEADING = ["file", "label", "probability", ""]


def test_columns_are_aligned():
    lines = list(in_columns(HEADING, ROWS, 80))
    assert lines[0] == "file             label  probability"
    assert lines[1] == "photos/owl.png   owl    93.1%"
    # A Chinese character takes two columns.
    assert lines[2] == "写真/鳥鳥鳥.png  crow   5.0%         wrong"


@pytest.mark.parametrize("width", [1, 20, 40])
def test_nothing_is_lost_where_it_is_narrow(width):
    lines = list(in_columns(HEADING, ROWS, width))
    assert lines == ["photos/owl.png", "  owl 93.1%", "写真/鳥鳥鳥.png", "  crow 5.0% wrong"]
