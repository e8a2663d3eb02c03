"""Reads a table: a file, a folder of files, or a DataFrame."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.data.table_columns import load_pandas
from fewstep.errors import InputError

FILE = "file"  # the column that tells of which file of a folder a row is
SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet")


@dataclass(frozen=True)
class TableFrame:
    """A table that was read.

    Attributes:
        frame: A pandas DataFrame, a row an example. Its index is the number of the row as a person
            counts in the file, where the header is row 1.
        notes: Lines on how it was read, for people.
        name: Of the file or the folder, or ``"table"``.
    """

    frame: Any
    notes: tuple[str, ...]
    name: str


def read_table(source: Any) -> TableFrame:
    """Read a table from a CSV, TSV or Parquet file, a folder of such, or a DataFrame.

    Raises:
        InputError: It cannot be read.
    """
    pd = load_pandas()
    if isinstance(source, pd.DataFrame):
        return TableFrame(source.reset_index(drop=True), (), "table")
    path = Path(source)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.name.lower().endswith(SUFFIXES))
        frames = [read_table(p).frame.assign(**{FILE: p.name.split(".")[0]}) for p in files]
        return TableFrame(pd.concat(frames, ignore_index=True), (), path.name)
    if not path.is_file():
        raise InputError(f"{path} is no file; expected a table, as CSV or Parquet")
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        frame = pd.read_csv(path, sep="\t" if ".tsv" in path.suffixes else ",")
    return TableFrame(frame, (), path.name)
