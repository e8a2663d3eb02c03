"""Rows of text in columns, each row complete on a terminal of any width."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len


def in_columns(heading: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lines of text: a row a line where every row fits, else its cells below the first one.

    >>> for line in in_columns(["file", "label"], [["a.png", "owl"]], width=80):
    ...     print(line)
    file   label
    a.png  owl
    >>> list(in_columns(["file", "label"], [["a.png", "owl"]], width=8))
    ['a.png', '  owl']
    """
    table = [heading, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= width:
        for row in table:
            padded = (c + " " * (w - cell_len(c)) for c, w in zip(row, widths, strict=True))
            yield "  ".join(padded).rstrip()
        return
    for first, *others in rows:
        yield first
        yield f"  {' '.join(filter(None, others))}"
