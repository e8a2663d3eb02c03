"""The cells of a table as they are written."""

import gzip

import pandas as pd
import pytest

from fewstep.data.tables.reading import read_table
from fewstep.data.tables.written_cells import written_cells

ODD = {
    "commas": "id,name\n007,a\n008,b\n",
    "semicolons": "id;name\n007;a\n008;b\n",
    "excel": "sep=;\nid;name\n007;a\n008;b\n",
    "quotes": 'id,name\r\n007,"a, ""b"""\r\n008,"c\nd"\r\n',
    "empty lines": "\n\nid,name\n007,a\n\n,\n008,b\n\n",
    "empty cells": "id,name\n007,\n008,NA\n",
    "byte order mark": "\ufeffid,name\n007,a\n008,b\n",
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_they_fit_the_rows_that_are_read(content, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode())
    rows = len(read_table(path).frame)
    header, cells = written_cells(path, rows)
    assert header == ["id", "name"]
    assert [row[0] for row in cells] == ["007", "008"]
    assert written_cells(content.encode(), rows) == (header, cells)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(content.encode()))
    assert written_cells(tmp_path / "rows.csv.gz", rows) == (header, cells)


def test_other_files_have_none(tmp_path):
    frame = pd.DataFrame({"id": [1, 2]})
    frame.to_parquet(tmp_path / "rows.parquet")
    assert written_cells(tmp_path / "rows.parquet", 2) is None
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert written_cells(tmp_path / "rows.csv", 3) is None
    assert written_cells(tmp_path / "missing.csv", 2) is None
    assert written_cells(b"\x1f\x8b no", 2) is None
