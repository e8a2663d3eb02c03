"""Turns flags into a dataclass, and a mistake in them into one line."""

import contextlib
import io
import os
import re
from dataclasses import is_dataclass
from itertools import dropwhile, pairwise, takewhile
from pathlib import Path
from typing import Annotated, TypeVar, cast, get_type_hints

import tyro
from tyro.conf import arg

from fewstep.config.file import no_data_folder
from fewstep.config.limits import Count, Limit, OptionalCount, Range, check_numbers, rules
from fewstep.data.tables.paths import is_table
from fewstep.errors import InputError
from fewstep.files import check_may_replace, check_writable

Options = TypeVar("Options")
Tasks = Annotated[Count, Limit(10**7)]
InnerSteps = Annotated[OptionalCount, Limit(10_000)]
NARROWEST = 40
_NO_NUMBER = re.compile(
    r"Error parsing --([\w-]+): (?:(invalid literal for int)|could not convert string to float)"
    r"[^:]*: ('.*?')"
)
DataDir = Annotated[str | None, arg(metavar="PATH", help_behavior_hint="")]


def parse(
    kind: type[Options], command: str, arguments: list[str], default: Options | None = None
) -> Options:
    """The options of one command; the fields of ``kind``, a documented dataclass, are its flags."""
    check_none_is_empty(arguments)
    complaint = io.StringIO()
    # In a few columns the frames of a help text are never done.
    columns = os.environ.get("COLUMNS", "")
    if {"-h", "--help"} & set(arguments) and columns.isdecimal() and int(columns) < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    try:
        with contextlib.redirect_stderr(complaint):
            options = tyro.cli(
                kind,
                prog=f"fewstep {command}",
                args=arguments,
                default=tyro.MISSING_NONPROP if default is None else default,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        told = _no_number(kind, complaint.getvalue()) or _one_line(complaint.getvalue())
        raise InputError(f"{told} (fewstep {command} --help)") from stop
    check_numbers(options, least=0)
    return options


def check_none_is_empty(arguments: list[str]) -> None:
    """See that no word is empty, as by a variable of a shell that is not set.

    An empty path would be that of the folder that one is in.
    """
    for before, word in pairwise(["", *arguments]):
        flag, is_of_value, value = word.partition("=")
        if word and not (flag.startswith("--") and is_of_value and not value):
            continue
        flag = flag or (before if before.startswith("--") else "")
        told = f"the value of {flag} is empty" if flag else "an argument is empty"
        raise InputError(f"{told}; give one, or leave {'both' if flag else 'it'} out")


def _no_number(kind: type, frame: str) -> str:
    """The line for a number that is none, as others of that setting are refused."""
    found = _NO_NUMBER.search(re.sub(r"[\s│|]+", " ", frame))
    if not found:
        return ""
    flag, whole, value = found.groups()
    name, what = flag.replace("-", "_"), "a whole number" if whole else "a number"
    groups = (kind, *(hint for hint in get_type_hints(kind).values() if is_dataclass(hint)))
    ranges = [
        f", {rule.expected}"
        for group in groups
        for rule in rules(cast(type, group)).get(name, ())
        if isinstance(rule, Range)
    ]
    return f"{name} is {value}; expected {what}{''.join(ranges[:1])}"


def _one_line(frame: str) -> str:
    """The gist of tyro's framed message, without the long explanation of the option."""
    title, *framed = frame.splitlines()
    if "Required options" in title:
        missing = _missing(framed)
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    rows = [row.strip("│╭╮╰╯|+ ") for row in framed]
    text = " ".join("\0" if set(row) <= {"─", "-"} else row for row in rows if row)
    parts = [part.strip(" .") for part in text.split("\0")]
    kept = [part for part in parts if part and not part.startswith(("For full", "Argument help"))]
    line = re.sub(r"\s+", " ", "; ".join(kept))
    # What nothing is given for is no choice.
    line = line.replace(", 'None')", ")")
    # The flags that are meant, without their descriptions.
    line = re.sub(r"Perhaps you meant: (--[\w-]+).*", r"did you mean \1?", line)
    similar = r"Arguments similar to (\S+): (--[\w-]+).*?(?=; Arguments similar|$)"
    return re.sub(similar, r"for \1, did you mean \2?", line)


def _missing(rows: list[str]) -> list[str]:
    """The argument that is missing: indented by four, with its description further to the right."""
    first, *others = dropwhile(lambda row: "Missing from" not in row, rows)
    margin = first.index("Missing from")
    inside = [row[margin:].rstrip("│| ") for row in others]
    listed = takewhile(lambda row: not row or row[0] == " ", inside)
    return [row.strip() for row in listed if re.match(r" {4}\S", row)]


def data_folder(option: str | None) -> str | None:
    """The whole path of ``--data-dir``, or of the variable ``FEWSTEP_DATA``, or None.

    It may be that of a table, whose run looks for it there. Whether the variable's is there counts
    for data that need it alone, and is seen there.
    """
    named = option or os.environ.get("FEWSTEP_DATA")
    if option and not (Path(option).is_dir() or (Path(option).is_file() and is_table(option))):
        raise no_data_folder(option)
    return os.path.abspath(named) if named else None


def check_picture(path: Path) -> None:
    """See that a picture may be written, as far as can be told before."""
    if path.suffix.lower() != ".png":
        check_may_replace(path)
        raise InputError(f"picture {path} is no PNG file by its name; expected one that ends .png")
    check_writable(path)
