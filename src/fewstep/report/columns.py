"""Rows of text in columns, each row complete on a terminal of any width."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from fewstep.errors import on_one_line


def in_columns(heading: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of text: a row a line where every row fits, else its cells below the first one.

    >>> for line in in_columns(["file", "label"], [["a.png", "owl"]], width=80):
    ...     print(line)
    file   label
    a.png  owl
    >>> list(in_columns(["file", "label"], [["a.png", "owl"]], width=8))
    ['a.png', '  owl']
    """
    # As the console spells them.
    rows = [[on_one_line(cell) for cell in row] for row in rows]
    table = [heading, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= width:
        yield from _padded([*zip(*table, strict=True)])
        return
    for first, *others in rows:
        yield first
        yield f"  {' '.join(filter(None, others))}"


def in_parts(heading: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of text: as many columns as fit beside the first one, then the others below.

    >>> table = [["mean", "3.2", "3.1"], ["ridge", "2.9", "2.2"]]
    >>> for line in in_parts(["rows", "1", "2"], table, width=10):
    ...     print(line)
    rows   1
    mean   3.2
    ridge  2.9
    rows   2
    mean   3.1
    ridge  2.2
    """
    first, *columns = zip(heading, *rows, strict=True)
    left = max(map(cell_len, first))
    part, used = [first], left
    for column in columns:
        needed = 2 + max(map(cell_len, column))
        if used + needed > width and len(part) > 1:
            yield from _padded(part)
            part, used = [first], left
        part.append(column)
        used += needed
    yield from _padded(part)


def _padded(columns: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(cell_len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        padded = (c + " " * (w - cell_len(c)) for c, w in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
