"""Lists the pictures of a folder: which folders are classes, and which files are left out, and why.

Nothing is opened here. A class is a folder that directly holds files, named by its path.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from fewstep.choices import Split
from fewstep.errors import InputError

PARTS: dict[str, Split] = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
LARGEST = 2**28  # bytes of the largest file that is read: more than any photograph takes
DEEPEST = 100  # folders in one another
_LEFT_LYING = ("Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "Icon\r")


UNUSABLE = "a class without a picture that can be used"


class File(NamedTuple):
    """A file that is read: its path inside the folder, and what tells whether it changed."""

    path: str
    size: int
    mtime: int  # in nanoseconds


class Problem(NamedTuple):
    """A file or folder inside a folder that is not as it should be."""

    path: str
    reason: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def by_folder(problems: Sequence[Problem]) -> list[str]:
    """A line a problem; in front one for each class of which nothing is used for one reason.

    >>> bad = [Problem("owl/1.jpg", "empty"), Problem("owl/2.jpg", "empty")]
    >>> by_folder([*bad, Problem("owl", UNUSABLE), Problem("tit/1.jpg", "empty")])
    ['owl: a class without a picture that can be used (2 files: empty)', 'tit/1.jpg: empty']
    """
    inside: dict[str, list[str]] = {}
    for problem in problems:
        # Of a folder that is a copy, each file is that of another.
        reason = re.sub(r"^(the same bytes as .+/)[^/]+$", r"\1...", problem.reason)
        inside.setdefault(os.path.dirname(problem.path), []).append(reason)
    lines, told = [], set()
    for name in (problem.path for problem in problems if problem.reason == UNUSABLE):
        # Before the name of a class may stand train/ and the like.
        for folder in (f for f in inside if f in {name, *(f"{part}/{name}" for part in PARTS)}):
            if len(inside[folder]) > 1 and len({*inside[folder]}) == 1:
                lines.append(
                    f"{name}: {UNUSABLE} ({len(inside[folder])} files: {inside[folder][0]})"
                )
                told |= {name, folder}
    rest = [
        p
        for p in problems
        if os.path.dirname(p.path) not in told and not (p.path in told and p.reason == UNUSABLE)
    ]
    return [*lines, *map(str, rest)]


@dataclass(frozen=True)
class Listing:
    """The files of a folder by class, in order, and what is left out.

    ``parts`` has the classes of ``train/``, ``val/`` and ``test/`` where the folder is split so.
    """

    folder: Path
    classes: dict[str, list[File]]
    problems: list[Problem]
    parts: dict[Split, list[str]] | None = None


def spelled_alike(name: str) -> str:
    """The name of a class by its composed characters: systems spell an accent in two ways.

    >>> spelled_alike("e\u0301") == "\u00e9"
    True
    """
    return normalize("NFC", name)


def list_folder(folder: str | Path) -> Listing:
    """The picture files of a folder by class.

    Links to folders are not followed, and links to files only inside the folder. What operating
    systems leave lying about is passed over.

    Raises:
        InputError: It is no folder, cannot be read, or holds no folder with a file.
    """
    root = check_is_folder(folder)
    problems: list[Problem] = []
    found = dict(sorted(walk(os.path.realpath(root), "", problems)))
    own = found.pop("", [])
    problems += [Problem(file.path, "stands in no folder of a class") for file in own]
    if not found:
        told = f" ({problems[0]})" if problems else ""
        raise InputError(
            f"{folder} holds no folder with pictures{told}; expected a folder a class, as in "
            f"{root / 'owl' / '1.jpg'}"
        )
    classes, parts = _by_part(found, problems)
    return Listing(root, classes, sorted(problems), parts)


def check_is_folder(folder: str | Path) -> Path:
    """The folder, if it is one."""
    root = Path(folder)
    if not root.is_dir():
        what = "is a file" if root.exists() else "is not there"
        raise InputError(f"{folder} {what}; expected a folder with a folder of pictures a class")
    return root


def walk(root: str, inside: str, problems: list[Problem]) -> Iterator[tuple[str, list[File]]]:
    """Each folder that holds files, by its path inside the root."""
    if inside.count("/") >= DEEPEST:
        problems.append(Problem(inside, f"too deep: in more than {DEEPEST} folders"))
        return
    try:
        with os.scandir(os.path.join(root, inside)) as entries:
            shown = sorted((e for e in entries if not _hidden(e.name)), key=lambda e: e.name)
    except OSError as error:
        problems.append(Problem(inside or ".", f"cannot be read ({error.strerror or error})"))
        return
    files, folders = [], 0
    for entry in shown:
        path = f"{inside}/{entry.name}" if inside else entry.name
        if _is_folder(entry):
            folders += 1
            if entry.is_symlink():
                problems.append(Problem(path, "a link to a folder, which is not followed"))
            else:
                yield from walk(root, path, problems)
        elif file := _file(entry, root, path, problems):
            files.append(file)
    if files:
        yield inside, files
    elif inside and not folders:
        problems.append(Problem(inside, "a folder without pictures"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself, say: no file either, which is told there.
        return False


def _file(entry: os.DirEntry[str], root: str, path: str, problems: list[Problem]) -> File | None:
    try:
        if entry.is_symlink():
            target = os.path.realpath(entry.path, strict=True)
            if os.path.commonpath([root, target]) != root:
                problems.append(Problem(path, "a link out of the folder, which is not followed"))
                return None
        if not entry.is_file():
            problems.append(Problem(path, "no regular file"))
            return None
        state = entry.stat()
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        problems.append(Problem(path, f"cannot be read ({told})"))
        return None
    if not state.st_size:
        problems.append(Problem(path, "empty"))
    elif state.st_size > LARGEST:
        problems.append(Problem(path, f"too large: {state.st_size:,} bytes"))
    elif not os.access(entry.path, os.R_OK):
        problems.append(Problem(path, "cannot be read (Permission denied)"))
    else:
        return File(path, state.st_size, state.st_mtime_ns)
    return None


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _LEFT_LYING


def _by_part(
    found: dict[str, list[File]], problems: list[Problem]
) -> tuple[dict[str, list[File]], dict[Split, list[str]] | None]:
    """Classes without ``train/``, ``val/`` or ``test/`` before their names, and those of each.

    Where the same class stands in two parts, they are those of ordinary classification: its
    pictures are put together, and nothing is split by class yet, which is told.
    """
    tops = {name.split("/")[0] for name in found}
    if not ("train" in map(PARTS.get, tops) and len(tops & PARTS.keys()) > 1):
        return found, None
    classes: dict[str, list[File]] = {}
    parts: dict[Split, list[str]] = {"train": [], "val": [], "test": []}
    for name, files in found.items():
        top, _, rest = name.partition("/")
        if top not in PARTS or not rest:
            told = "stands beside the parts of the split" if rest or top not in PARTS else ""
            problems += [Problem(f.path, told or "stands in no folder of a class") for f in files]
            continue
        rest = spelled_alike(rest)
        parts[PARTS[top]].append(rest)
        classes.setdefault(rest, []).extend(files)
    classes = dict(sorted(classes.items()))
    times = Counter(name for names in parts.values() for name in names)
    twice, many = times.most_common(1)[0] if times else ("", 0)
    if many > 1:
        where = " and in ".join(part for part, names in parts.items() if twice in names)
        told = f"in {where}; so all parts are put together, and split anew by class"
        problems.append(Problem(twice, told, left_out=False))
        return classes, None
    return classes, {part: sorted(names) for part, names in parts.items()}
