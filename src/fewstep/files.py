"""Files that are written whole, so that a reader never sees half of one, and JSON read back."""

import contextlib
import errno
import json
import math
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fewstep.errors import InputError, first_line
from fewstep.runtime.locks import NoLocksError, hold


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one move.

    The folder has to be there: one that was removed must not come back with this file alone. Where
    writing fails, `InputError` is raised and what stood at ``path`` stays.
    """
    write_together({path: write})


def write_together(writes: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write several files, all or none: as `write_whole`, and none moves before all are written."""
    with contextlib.ExitStack() as stack:
        parts = {path: stack.enter_context(_part(path, write)) for path, write in writes.items()}
        for path, (temporary, target) in parts.items():
            try:
                temporary.replace(target)
            except OSError as error:
                raise cannot_write(path, error) from error


@contextlib.contextmanager
def _part(path: Path, write: Callable[[Path], object]) -> Iterator[tuple[Path, Path]]:
    """A temporary file that is written, and the place that it is for; it does not stay."""
    target = check_may_replace(path)
    # Not by tempfile, which keeps its files from all other users.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with contextlib.ExitStack() as stack:
            try:
                remove_parts_of_the_dead(target.parent, f".{target.name}.")
                # A lock tells others that the writer is alive. Windows moves no file that is open.
                if sys.platform != "win32":
                    with contextlib.suppress(NoLocksError):
                        stack.enter_context(hold(temporary))
                write(temporary)
                with temporary.open("rb+") as written:
                    os.fsync(written.fileno())
            except OSError as error:
                raise cannot_write(target, error) from error
            yield temporary, target
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_out(path: Path, content: bytes) -> None:
    """Write a file that the user named; its folder is made where it is missing.

    Raises:
        InputError: It cannot be written.
    """
    write_all_out({path: content})


def write_all_out(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together, all or none, as `write_out`."""
    for path in contents:
        make_folder(path.parent)
    write_together({path: _bytes(content) for path, content in contents.items()})


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda part: part.write_bytes(content)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def remove_parts_of_the_dead(folder: Path, start: str) -> None:
    """Remove the temporary files whose writers were killed, by how their names start."""
    with contextlib.suppress(OSError):
        for part in list(folder.iterdir()):
            if part.name.startswith(start) and part.suffix == ".part":
                with hold(part) as lock:
                    if lock is not None:
                        part.unlink()


def check_may_replace(path: Path) -> Path:
    """See that a path is free or a regular file, and follow symbolic links to the place itself.

    To put a file in the place of a device, say, would take the device from the whole machine.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return target
    except OSError as error:
        raise cannot_write(path, error) from error
    if not stat.S_ISREG(mode):
        what = "it is a folder" if stat.S_ISDIR(mode) else "it is no regular file"
        raise InputError(f"cannot write {path} ({what}); give the name of a file")
    return target


def check_writable(path: Path) -> None:
    """See that a file may be written, as far as can be told before."""
    target = check_may_replace(path)
    folder = next(above for above in target.parents if above.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise InputError(
            f"cannot write {path} (nothing can be made in {folder}); choose a folder that you may "
            "write to"
        )


def cannot_write(path: Path, error: OSError) -> InputError:
    """The one line for a place that does not take what is written to it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"no disk space left for {path}; free some or choose another folder")
    reason = error.strerror or str(error)
    return InputError(f"cannot write {path} ({reason}); choose a folder that you may write to")


def cannot_read(path: Path, error: OSError) -> InputError:
    """The one line for a file or folder that cannot be read."""
    reason = error.strerror or str(error)
    return InputError(f"cannot read {path} ({reason}); see that it is there and may be read")


def read_json_object(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object that a file holds; ``remedy`` says what to do where it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    # Bytes that are no UTF-8 are a ValueError, too. JSON may be nested deeper than Python recurses.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({first_line(error)}); {remedy}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object; {remedy}")
    return value


def rounded(value: Any) -> Any:
    """The same JSON value to six digits, without the noise of float32; not finite becomes None.

    >>> rounded({"accuracy": 0.624000072479248, "ci95": [float("nan"), 1.5]})
    {'accuracy': 0.624, 'ci95': [None, 1.5]}
    """
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _no_number(text: str) -> None:
    # Python reads NaN and Infinity, which JSON does not have.
    raise ValueError(f"{text} is no number")
