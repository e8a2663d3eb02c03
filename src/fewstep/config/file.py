"""The config of a run as a file, ``config.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fewstep.config.ranges import check_sizes
from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.files import read_json_object


def config_json(config: Config) -> str:
    """One field a line."""
    return json.dumps(asdict(config), indent=2) + "\n"


def read_config(path: Path) -> Config:
    """The config of a run.

    Raises:
        InputError: The file is missing or damaged, or holds a key or a value that this version
            does not know.
    """
    try:
        values = read_json_object(path, "restore it or train in a new run directory")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{path.parent} has no {path.name}; expected a run directory made by fewstep train"
        ) from error
    except OSError as error:
        raise InputError(
            f"cannot read {path} ({error.strerror or error}); see that it is a file and may be read"
        ) from error
    known = {field.name for field in fields(Config)}
    problem = _difference("unknown", set(values) - known) or _difference(
        "missing", known - set(values)
    )
    if problem:
        raise InputError(
            f"{path} has {problem}; it is of another version of fewstep: use a new run directory"
        )
    for name, expected in get_type_hints(Config).items():
        _check_type(path, name, values[name], expected)
    try:
        config = Config(**values)
        check_sizes(values)
    except InputError as error:
        raise InputError(f"{path} holds a setting that cannot be: {error}") from error
    return config


NOT_OF_TRAINING = (
    *("steps", "patience", "device", "checkpoint_every"),
    *("workers", "memory", "execution", "compile"),
    *("test_k_shot", "test_q_query", "test_inner_steps", "test_tasks"),
)
"""What a run is trained until and by, and what it is tested on."""


def training_digest(config: Config) -> str:
    """A digest of all settings that decide what an outer step does."""
    decisive = {n: v for n, v in asdict(config).items() if n not in NOT_OF_TRAINING}
    # A number that was written without a fraction is the same number.
    same = {n: int(v) if isinstance(v, float) and v % 1 == 0 else v for n, v in decisive.items()}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


def _difference(kind: str, keys: set[str]) -> str:
    return f"{kind} key {', '.join(sorted(keys))}" if keys else ""


def _check_type(path: Path, name: str, value: Any, expected: Any) -> None:
    choices = get_args(expected) or (expected,)
    types = tuple(choice for choice in choices if isinstance(choice, type))
    # JSON has one kind of number, so a float may have been written without a fraction.
    accepted = (*types, int) if float in types else types
    if value not in choices and type(value) not in accepted:
        wanted = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
        raise InputError(f"{path} has {name} = {value!r}; expected {wanted}")
