"""Tables from files, folders and DataFrames; files that cannot be read are told in one line."""

import datetime
import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fewstep import InputError
from fewstep.data.columns.naming import row_name
from fewstep.data.tables.reading import FILE, read_table

TEXT = "site,a,b\nx,1.5,2\ny,-3,4\n"


def write(folder, name, content=TEXT):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def message(source):
    with pytest.raises(InputError) as caught:
        read_table(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "gz", "misnamed gz", "parquet", "pandas", "dict"])
def test_the_same_table_from_each_source(tmp_path, kind):
    frame = pd.DataFrame({"site": ["x", "y"], "a": [1.5, -3], "b": [2, 4]})
    if kind == "parquet":
        frame.to_parquet(tmp_path / "t.parquet")
    source = {
        "csv": lambda: str(write(tmp_path, "t.csv")),
        "gz": lambda: write(tmp_path, "t.csv.gz", gzip.compress(TEXT.encode())),
        "misnamed gz": lambda: write(tmp_path, "t.csv", gzip.compress(TEXT.encode())),
        "parquet": lambda: tmp_path / "t.parquet",
        "pandas": lambda: frame,
        "dict": lambda: {name: frame[name].tolist() for name in frame},
    }[kind]()
    table = read_table(source)
    pd.testing.assert_frame_equal(table.frame.reset_index(drop=True), frame)
    assert table.notes == ()


def test_what_was_found_out_is_told(tmp_path):
    write(tmp_path, "t.csv", "a;b\n1,5;ü\n".encode("cp1252"))
    notes = read_table(tmp_path / "t.csv").notes
    assert len(notes) == 3
    assert all(note.startswith("t.csv: ") for note in notes)


@pytest.mark.parametrize("lazy", [False, True])
def test_polars(lazy):
    pl = pytest.importorskip("polars")
    day = datetime.date(2024, 1, 1)
    columns = {"a": [1, None], "t": ["x", None], "ok": [True, None], "day": [day, None]}
    source = pl.DataFrame(columns)
    frame = read_table(source.lazy() if lazy else source).frame
    assert frame.iloc[0].tolist() == [1, "x", True, pd.Timestamp(day)]
    assert frame.iloc[1].isna().all()


def test_rows_of_parquet_count_from_one(tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    frame = read_table(tmp_path / "t.parquet").frame
    assert [row_name(frame, place) for place in (0, 1)] == ["row 1", "row 2"]


def test_a_folder_needs_its_name_for_the_files(tmp_path):
    write(tmp_path, "t.csv", "file,a\nx,1\n")
    assert "'file'" in message(tmp_path)


def test_an_index_with_a_name_is_a_column():
    frame = pd.DataFrame({"site": ["x", "y"], "a": [1, 2]})
    before = frame.copy()
    assert read_table(frame.set_index("site")).frame.columns.tolist() == ["site", "a"]
    assert read_table(frame[::-1]).frame.index.tolist() == [0, 1]
    pd.testing.assert_frame_equal(frame, before)


def test_a_folder_has_a_file_a_task(tmp_path):
    write(tmp_path, "b.csv", "b,a,site\n7,8,z\n9,10,z\n")
    write(tmp_path, "a.tsv", TEXT.replace(",", "\t"))
    write(tmp_path, "empty.csv", "site,a,b\n")
    write(tmp_path, "readme.md", "no table")
    table = read_table(tmp_path)
    assert table.frame[FILE].tolist() == ["a", "a", "b", "b"]
    assert table.frame.a.tolist() == [1.5, -3, 8, 10]
    assert [row_name(table.frame, place) for place in (1, 2)] == ["row 3 of a", "row 2 of b"]
    assert row_name(table.frame[table.frame.a > 9], 0) == "row 3 of b"
    assert table.frame.index.is_unique
    assert any("empty.csv" in note for note in table.notes)


@pytest.mark.parametrize("second", ["site,a\nx,1\n", "site,a,b,c\nx,1,2,3\n", "site,a,B\nx,1,2\n"])
def test_files_of_other_columns_are_named(tmp_path, second):
    write(tmp_path, "first.csv")
    write(tmp_path, "second.csv", second)
    told = message(tmp_path)
    assert "second.csv" in told
    assert "'c'" in told or "'b'" in told


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("t.csv", b"", "empty"),
        ("t.xlsx", b"PK\x03\x04 and more", "CSV"),
        ("t.csv", b"PK\x03\x04 and more", "CSV"),
        ("t.csv.gz", gzip.compress(TEXT.encode() * 100)[:40], "unpacked"),
        ("t.parquet", b"PAR1 and nothing more", "Parquet"),
        ("t.csv", bytes(range(128, 192)) + b"\0", "no text"),
    ],
    ids=["empty", "xlsx", "zip", "cut off", "parquet", "bytes"],
)
def test_what_is_no_table_is_named(tmp_path, name, content, word):
    told = message(write(tmp_path, name, content))
    assert name in told
    assert word in told


def test_no_file_and_no_tables(tmp_path):
    assert "missing.csv" in message(tmp_path / "missing.csv")
    assert "cannot be read" in message("zero\0byte.csv")
    assert "no tables" in message(tmp_path)
    assert "list" in message([1, 2])
    assert "no rows" in message(pd.DataFrame({"a": []}))
    assert "2 columns 'a'" in message(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert "dict" in message({"a": [1, 2], "b": [1]})


@pytest.mark.parametrize("method", ["read_bytes", "stat", "is_dir", "iterdir"])
def test_a_locked_file_or_folder_is_named(tmp_path, monkeypatch, method):
    def denied(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path if method == "iterdir" else write(tmp_path, "t.csv")
    monkeypatch.setattr(Path, method, denied)
    told = message(path)
    assert str(path) in told
    assert "Permission denied" in told


@pytest.mark.parametrize("added", ["z,1,1\n", ""])
def test_a_file_that_changes_is_named(tmp_path, monkeypatch, added):
    """Longer, or of the same length."""
    path = write(tmp_path, "t.csv")
    read = Path.read_bytes

    def read_and_change(self):
        content = read(self)
        self.write_text(content.decode() + added)
        os.utime(self, ns=(1, 1))
        return content

    monkeypatch.setattr(Path, "read_bytes", read_and_change)
    assert "changed" in message(path)


def test_values_are_those_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=500), "b": rng.integers(0, 9, 500)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = read_table(tmp_path / "t.csv").frame
    np.testing.assert_allclose(read.a.to_numpy(), frame.a.to_numpy(), rtol=1e-12)
    assert read.b.tolist() == frame.b.tolist()
