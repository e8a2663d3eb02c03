"""Tells paths of tables from those of pictures, by their names alone."""

from collections.abc import Iterator
from pathlib import Path

from fewstep.data.tables.reading import SUFFIXES as SUFFIXES
from fewstep.data.tables.reading import WORKBOOKS, ZIP

_OF_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def is_table(path: str | Path) -> bool:
    """Whether a path is that of a table: of a file by its name, or a folder with such files.

    A folder with pictures in its folders is one of pictures, whatever tables lie beside them.

    >>> is_table("exams.csv"), is_table("photos")
    (True, False)
    """
    place = Path(path)
    if not place.is_dir():
        return _has_suffix(place, SUFFIXES)
    return has_tables(place) and not has_pictures(place)


def has_tables(folder: Path) -> bool:
    """Whether a folder holds tables."""
    return any(_has_suffix(file, SUFFIXES) for file in _inside(folder))


def has_pictures(folder: Path) -> bool:
    """Whether folders in a folder hold pictures. Those of runs are no pictures to learn from."""
    return any(
        is_picture(file)
        for of in _inside(folder)
        if not (of / "config.json").exists()
        for file in _inside(of)
    )


def is_picture(path: Path) -> bool:
    """Whether a path is that of a picture by its name."""
    return _has_suffix(path, _OF_PICTURES)


def is_workbook(path: Path) -> bool:
    """Whether a file is a workbook or an archive, by its name or its first bytes."""
    if path.suffix.lower() in WORKBOOKS:
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(ZIP)) == ZIP
    except OSError:
        return False


def _inside(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir()) if folder.is_dir() else ()
    except OSError:
        return


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes) and not path.name.startswith(".")
