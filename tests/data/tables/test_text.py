"""Tables as text: how they are written is found out, and what is wrong is told in one line."""

import tracemalloc

import numpy as np
import pytest

from fewstep import InputError
from fewstep.data.tables.text import check_names, parse_text

ROWS = "name,a,b\nx,1.5,2\ny,-3,4\n"


def parse(text, name="t.csv", encoding="utf-8"):
    return parse_text(text.encode(encoding), name)[:2]


def message(text, name="t.csv"):
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InputError) as caught:
        parse_text(content, name)
    told = str(caught.value)
    assert "\n" not in told
    assert name in told
    return told


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_separator_is_found(separator, end):
    frame, notes = parse(ROWS.replace(",", separator).replace("\n", end))
    assert frame.columns.tolist() == ["name", "a", "b"]
    assert frame.a.tolist() == [1.5, -3]
    assert len(notes) == (separator != ",")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a;height, in m;b\n1;2,5;3\n4;5,5;6\n", ["a", "height, in m", "b"]),
        ('a,"b;c;d",e\n1,"x;y",2\n', ["a", "b;c;d", "e"]),
        ("a,b\n1,1|2|3\n2,1|2\n", ["a", "b"]),
        ("only\n1\n2\n", ["only"]),
        ("sep=;\na;b\n1;2\n", ["a", "b"]),
    ],
)
def test_separators_within_cells_are_no_separators(text, columns):
    assert parse(text)[0].columns.tolist() == columns


def test_spaces_behind_separators_do_not_count():
    frame = parse('a, b\n1, "x, y"\n')[0]
    assert frame.columns.tolist() == ["a", "b"]
    assert frame.b.tolist() == ["x, y"]


def test_a_name_of_two_lines_becomes_one():
    assert parse('"height\n(m)",b\n1,2\n')[0].columns.tolist() == ["height (m)", "b"]


def test_a_tsv_needs_no_note():
    assert parse(ROWS.replace(",", "\t"), "t.tsv")[1] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1,5;2\n-2,25;3\n", [1.5, -2.25]),
        ("a;b\n1.5;2\n-2.25;3\n", [1.5, -2.25]),
        ("a\tb\n1,5\t2\n-2,25\t3\n", [1.5, -2.25]),
        ("a;b\n1,125;2\n2,250;3\n", [1.125, 2.25]),
        ("a;b\n1,5;1.234\n-2,25;2.345\n", [1.5, -2.25]),
    ],
)
def test_decimal_commas(text, expected):
    assert parse(text)[0].a.tolist() == expected


def test_commas_between_thousands_are_no_decimal_commas():
    """1,250 beside tabs is most likely 1250, and certainly not 1.25: it stays a text."""
    assert parse("a\tb\n1,250\t2\n2,500\t3\n")[0].a.tolist() == ["1,250", "2,500"]


@pytest.mark.parametrize(
    ("encoding", "word", "noted"),
    [
        ("utf-8", "Grüße 温度", False),
        ("utf-8-sig", "Grüße 温度", False),
        ("utf-16", "Grüße 温度", True),
        ("gb18030", "北京市第一中学温度", True),
        ("cp1252", "Grüße", True),
        ("cp1252", "São João, ação, àéîõü", True),
        ("latin-1", "na\x81ve é", True),
    ],
)
def test_encodings(encoding, word, noted):
    frame, notes = parse(f'{word[:2]},b\n"{word}",2\n"{word}",3\n', encoding=encoding)
    assert frame.columns.tolist() == [word[:2], "b"]
    assert frame.iloc[1, 0] == word
    assert len(notes) == noted
    assert not noted or encoding.upper() in notes[0].upper()


@pytest.mark.parametrize("mark", ["", "NA", "NaN", "?", ".", "-", "null"])
def test_missing_values(mark):
    assert np.isnan(parse(f"a,b\n1,x\n{mark},y\n")[0].a[3])


def test_rows_are_numbered_as_in_the_file():
    assert parse(ROWS)[0].index.tolist() == [2, 3]
    assert parse("a,b\n1,2\n\n3,4\n,\n5,6\n\n")[0].index.tolist() == [2, 4, 6]
    assert parse('a,b\n"1\n2",2\n3,\n')[0].index.tolist() == [2, 3]
    assert parse("sep=,\na,b\n1,2\n")[0].index.tolist() == [3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", ["row 3", "2 cells", "3"]),
        ("a,b,c\n1,2,3\n\n4,5,6,7\n", ["row 4", "4 cells", "3"]),
        ("a,b\n1,2,3\n4,5,6\n", ["row 2", "3 cells"]),
        ('a,b\n1,"2\n3,4\n', []),
        ("", ["empty"]),
        (" \n\n", ["empty"]),
        ("a,b\n", ["no rows"]),
        ("a,b\n,\n,\n", ["no rows"]),
        ("a,b,a\n1,2,3\n", ["2 columns 'a'"]),
        ("1,2\n3,4\n", ["begins with numbers", "header"]),
        ("a b c\n1 2 3\n4 5 6\n", ["spaces", "a b c"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", ["no text"]),
        ("a,b\n1,2\n".encode("utf-16-le"), ["no text"]),
        (bytes(range(1, 256)) * 3, ["no text"]),
    ],
)
def test_what_is_no_table_is_told_in_one_line(text, words):
    told = message(text)
    for word in words:
        assert word in told


def test_reading_takes_little_memory():
    """A letter takes one byte and not four, so that tables of a gigabyte can be read."""
    content = ("a,b\n" + "0.123456789012345678,x\n" * 100_000).encode()
    parse_text(content, "warm.csv")
    tracemalloc.start()
    parse_text(content, "table.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(content)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a;b\n987;x\n1.234;y\n", True),
        ("a\tb\n987\tx\n1.234\ty\n", True),
        ("a,b\n987,x\n1.234,y\n", False),
        ("a;b\n98;x\n1.234;y\n", False),
        ("a;b\n987;x\n1.23;y\n", False),
        ("a;b\n1987;x\n1.234;y\n", False),
        ("a;b\n987;2,5\n1.234;3,5\n", False),
    ],
)
def test_points_that_may_stand_between_thousands_are_told(text, told):
    notes = parse(text)[1]
    assert any("'a' has 987 and 1.234, read with a decimal point" in note for note in notes) == told


def test_names_are_not_compared_in_pairs():
    compared = []

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(other)
            return str.__eq__(self, other)

    check_names([Name(f"c{n}") for n in range(200)], "t.csv")
    assert len(compared) < 200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "# by a logger\n# 2023\na,b,c\n1,2,3\n4,5,6\n7,8,9\n",
            "if the header is row 3, remove the",
        ),
        ("Export, 3\na,b,c\n1,2,3\n4,5,6\n", "if the header is row 2, remove the lines above it"),
        ("Export;;\na;b;c\n1;2;3\n", "begins with 'Export' and no names of columns; where the"),
        ("a,b,c\n1,2,3\n4,5,6\n1,2,3,4\n", "a cell is missing, or has a separator in it"),
    ],
)
def test_lines_above_the_header_are_told(text, told):
    assert told in message(text)


def test_names_may_be_missing_beside_others():
    assert parse(",hours\n0,50\n1,51\n")[0].columns.tolist() == ["Unnamed: 0", "hours"]
    assert parse("hours,\n50,\n51,\n")[0].hours.tolist() == [50, 51]
