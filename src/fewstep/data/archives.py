"""Picture files of an archive or of a folder, read in place: nothing is ever unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fewstep.errors import InputError

LARGEST = 2**20
"""Bytes of the largest file that is read: far more than any drawing takes."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How entries may be compressed; another method may ask for memory of its own."""


@dataclass(frozen=True)
class Pictures:
    """Named picture files.

    Attributes:
        source: The archive or folder, for messages.
        names: Path of each inside ``source``, the name of the folder itself in front.
        fingerprint: One line a file; another content gives other lines.
        read: Goes through the files of the given names: (name, bytes), in that order.
    """

    source: Path
    names: list[str]
    fingerprint: list[str]
    read: Callable[[list[str]], Iterator[tuple[str, bytes]]]


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
    for entry in entries:
        place = PurePosixPath(entry.filename)
        if place.is_absolute() or ".." in place.parts:
            raise InputError(
                f"{path} holds {entry.filename!r}, which is outside its folder; do not use it"
            )
        # No more than this is ever unpacked of an entry, whatever is behind it.
        _check_size(path, entry.filename, entry.file_size)
        if entry.compress_type not in _METHODS:
            raise InputError(
                f"{path} holds {entry.filename!r}, compressed by method {entry.compress_type}; "
                "expected a zip archive with deflate: get it again"
            )
    fingerprint = [f"{entry.filename} {entry.CRC}" for entry in entries]
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} holds {twice!r} twice; get the archive again")
    return Pictures(path, names, fingerprint, lambda wanted: _read_zip(path, wanted))


def _read_zip(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                yield name, archive.read(name)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged(path, error) from error


def folder_pictures(folder: Path) -> Pictures:
    """The pictures of an unpacked archive.

    Raises:
        InputError: A file is too large.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and _wanted(str(file)))
    names = [file.relative_to(folder.parent).as_posix() for file in files]
    states = [file.stat() for file in files]
    for name, state in zip(names, states, strict=True):
        _check_size(folder, name, state.st_size)
    fingerprint = [
        f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in zip(names, states, strict=True)
    ]
    return Pictures(folder, names, fingerprint, lambda wanted: _read_folder(folder, wanted))


def _read_folder(folder: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        try:
            content = (folder.parent / name).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"cannot read {folder.parent / name} ({reason}); see that the file may be read"
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
