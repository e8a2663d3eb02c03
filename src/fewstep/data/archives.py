"""Picture files of an archive or of a folder, read in place: nothing is ever unpacked."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from fewstep.errors import InputError

LARGEST = 2**20
"""Bytes of the largest file that is read: far more than any drawing takes."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How entries may be compressed; another method may ask for memory of its own."""


@dataclass(frozen=True)
class Pictures:
    """The picture files of an archive or a folder."""

    source: Path
    names: list[str]
    """Path of each inside ``source``, the name of the folder itself in front."""
    fingerprint: list[str]
    """One line a file; another content gives other lines."""
    read: Callable[[list[str]], Iterator[tuple[str, bytes]]]
    """Goes through the files of the given names: (name, bytes), in that order."""


def zip_pictures(path: Path) -> Pictures:
    """The pictures of a zip archive.

    Raises:
        InputError: It is damaged, names a file outside its own folder or a file twice, or an entry
            is too large or compressed in an unusual way.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if _wanted(entry.filename)]
    except (OSError, NotImplementedError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    names: dict[str, int] = {}
    for entry in entries:
        name, place = entry.filename, PurePosixPath(entry.filename)
        if place.is_absolute() or ".." in place.parts:
            raise InputError(f"{path} holds {name!r}, which is outside its folder; do not use it")
        # No more than this is ever unpacked of an entry, whatever is behind it.
        _check_size(path, name, entry.file_size)
        if entry.compress_type not in _METHODS:
            raise InputError(
                f"{path} holds {name!r}, compressed by method {entry.compress_type}; expected a "
                "zip archive with deflate: get it again"
            )
        if name in names:
            raise InputError(f"{path} holds {name!r} twice; get the archive again")
        names[name] = entry.CRC
    fingerprint = [f"{name} {crc}" for name, crc in names.items()]
    return Pictures(path, list(names), fingerprint, partial(_read_zip, path))


def _read_zip(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                yield name, archive.read(name)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged(path, error) from error


def folder_pictures(folder: Path) -> Pictures:
    """The pictures of an unpacked archive, none of which may be too large."""
    names, fingerprint = [], []
    for file in sorted(file for file in folder.rglob("*") if file.is_file() and _wanted(str(file))):
        name, state = file.relative_to(folder.parent).as_posix(), file.stat()
        _check_size(folder, name, state.st_size)
        names.append(name)
        fingerprint.append(f"{name} {state.st_size} {state.st_mtime_ns}")
    return Pictures(folder, names, fingerprint, partial(_read_folder, folder))


def _read_folder(folder: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        try:
            content = (folder.parent / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"cannot read {folder.parent / name} ({error.strerror or error}); see that the "
                "file may be read"
            ) from error
        yield name, content


def _check_size(source: Path, name: str, size: int) -> None:
    if size > LARGEST:
        raise InputError(
            f"{source} holds {name!r} of {size:,} bytes, too large for a drawing; get it again"
        )


def _wanted(name: str) -> bool:
    """Not a folder, and not what an operating system leaves lying about."""
    return not (name.endswith(("/", ".DS_Store")) or "__MACOSX" in name)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is no whole zip archive ({error}); get it again")
