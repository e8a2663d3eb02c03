"""The cells of a table as its file has them, such as 007, which a DataFrame takes for 7."""

import gzip
from pathlib import Path

from fewstep.data.tables.reading import GZIP, PARQUET
from fewstep.data.tables.text import written_rows
from fewstep.errors import InputError


def written_cells(source: Path | bytes, rows: int) -> tuple[list[str], list[list[str]]] | None:
    """The header and the cells, as text.

    Args:
        source: The file, or its content.
        rows: How many there are, by the table that was read of it.

    Returns:
        None where the file is no text, or has another number of rows by now.
    """
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        if content.startswith(PARQUET):
            return None
        if content.startswith(GZIP):
            content = gzip.decompress(content)
        header, *cells = written_rows(content, "the table")
    except (OSError, EOFError, ValueError, InputError):
        return None
    return (header, cells) if len(cells) == rows else None
