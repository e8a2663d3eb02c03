"""Tells paths of tables from those of pictures, by their names alone."""

from pathlib import Path

from fewstep.data.tables.reading import SUFFIXES

_OF_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def is_table(path: str | Path) -> bool:
    """Whether a path is that of a table: of a file by its name, or a folder with such files.

    A folder with pictures in its folders is one of pictures, whatever tables lie beside them.

    >>> is_table("exams.csv"), is_table("photos")
    (True, False)
    """
    place = Path(path)
    try:
        if not place.is_dir():
            return _has_suffix(place, SUFFIXES)
        inside = sorted(place.iterdir())
        if not any(_has_suffix(file, SUFFIXES) for file in inside):
            return False
        folders = [entry for entry in inside if entry.is_dir()]
        return not any(_has_suffix(file, _OF_PICTURES) for of in folders for file in of.iterdir())
    except OSError:
        return False


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes) and not path.name.startswith(".")
