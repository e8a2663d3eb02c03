"""Whatever is not markup is escaped, in text and in attributes."""

import pytest

from fewstep.report.page.html import Html, element, escaped, joined, table
from tests.report.page.parsed import parsed

HOSTILE = ["<script>alert(1)</script>", '" onload="x', "'><img src=x>", "a&amp;b", "\0\x1b[2J"]


@pytest.mark.parametrize("text", [*HOSTILE, "\udc80", "\u202ecod.exe", "名字 ünï ✓"])
def test_text_comes_back_as_it_was(text):
    one = element("p", text, title=text)
    one.encode()
    (back,) = parsed(one).every()
    odd = "\0\x1b\udc80\u202e"
    expected = "".join("\N{REPLACEMENT CHARACTER}" if c in odd else c for c in text)
    assert back.text == back.attributes["title"] == expected
    assert back.every() == []


def test_markup_is_not_escaped_again():
    assert element("p", element("b", "a<b")) == "<p><b>a&lt;b</b></p>"
    assert joined("<", None, Html("<br>")) == "&lt;<br>"
    assert escaped(escaped("&")) == "&amp;"


def test_a_table_has_names_of_rows_and_columns():
    cell = element("td", "1", class_="own")
    (found,) = parsed(table("what", ["a", element("th", "b", scope="col")], [["<", cell]])).every(
        "table"
    )
    assert [c.attributes["scope"] for c in found.every("th")] == ["col", "col", "row"]
    assert [c.text for c in found.every("th", "td")] == ["a", "b", "<", "1"]
    assert len(found.every("td")) == 1
