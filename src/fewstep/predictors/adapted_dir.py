"""The folder of an adapted model: its tensors, its form as JSON, and a card that explains both."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from fewstep.config.file import check_not_several
from fewstep.data.any_preparation import is_of_table
from fewstep.errors import InputError, first_line
from fewstep.files import cannot_read, cannot_write, read_json_object
from fewstep.predictors.card import card
from fewstep.predictors.teaching import Source, Teaching
from fewstep.predictors.whole_folder import check_may_be_written, write_folder

FORMAT = 1
ABOUT = "adapted.json"
MODEL = "model.safetensors"
STATISTICS = "statistics.safetensors"  # of batch norm that has no place for them in a state dict
START = "start.safetensors"
SUPPORT = "support.safetensors"
CARD = "README.md"
PICTURE = "adapted.png"  # of the support set and of predictions, which fewstep adapt draws
NAMES = (ABOUT, MODEL, STATISTICS, START, SUPPORT, CARD, PICTURE)
_AGAIN = "restore it, or adapt and save again"


def write(folder: Path, module: nn.Module, told: Mapping[str, Any], teaching: Source) -> None:
    """Write an adapted model, whole or not at all.

    Args:
        folder: Missing, empty, or of an earlier adapted model, which is replaced.
        module: The adapted network.
        told: What is known of it as JSON values.
        teaching: What it was adapted from.

    Raises:
        InputError: It cannot be written, or holds something else, or is no plain tensors.
    """
    files = {MODEL: _as_bytes(module.state_dict())}
    apart = _apart(module)
    if apart:
        files[STATISTICS] = _as_bytes(apart)
    known = teaching_of(teaching)
    if known is not None:
        files[START] = _as_bytes(known.start)
        files[SUPPORT] = _as_bytes(known.support())
    whole = {
        "format": FORMAT,
        **told,
        "batch_statistics": by_batch(module),
        "versions": versions(),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    # A class may have a name that is no text.
    files[CARD] = card(whole, module).encode(errors="replace")
    files[ABOUT] = (json.dumps(whole, indent=2, allow_nan=False) + "\n").encode()

    def fill(part: Path) -> None:
        for name, content in files.items():
            (part / name).write_bytes(content)

    write_folder(folder, fill, NAMES, ABOUT)


def check_place(folder: Path) -> None:
    """See that a folder is missing, empty or of an earlier adapted model."""
    try:
        check_may_be_written(folder, Path(os.path.realpath(folder)), NAMES, ABOUT)
    except OSError as error:
        raise cannot_write(folder, error) from error


def is_adapted(folder: Path) -> bool:
    """Whether a folder is that of an adapted model; `InputError` where it cannot be read."""
    try:
        return (folder / ABOUT).is_file()
    except OSError as error:
        raise cannot_read(folder, error) from error


def takes_tables(folder: Path) -> bool:
    """Whether a folder is that of an adapted model of rows of a table."""
    return is_adapted(folder) and is_of_table(read_about(folder).get("preparation"))


def read_about(folder: Path) -> dict[str, Any]:
    """All that is known of an adapted model.

    Raises:
        InputError: There is none, or it is damaged or of another version.
    """
    path = folder / ABOUT
    try:
        told = read_json_object(path, _AGAIN)
    except (FileNotFoundError, NotADirectoryError) as error:
        check_not_several(folder)
        raise InputError(
            f"{folder} has no {ABOUT}; expected the folder of an adapted model, as fewstep adapt "
            "--out or .save makes it"
        ) from error
    except OSError as error:
        raise cannot_read(path, error) from error
    version = told.get("format")
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        cure = "use a newer fewstep" if newer else _AGAIN
        raise InputError(f"{path} has format {version!r}, expected {FORMAT}; {cure}")
    return told


def read_tensors(folder: Path, name: str, told: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of one of the files; `InputError` where it is missing or damaged."""
    path = folder / name
    sums = told.get("sha256")
    try:
        content = path.read_bytes()
        # Not a fault of the file alone: the two may come from different models.
        if not isinstance(sums, dict) or hashlib.sha256(content).hexdigest() != sums.get(name):
            raise InputError(f"{path} is damaged, or not of the {ABOUT} beside it; {_AGAIN}")
        return safetensors.torch.load(content)
    except FileNotFoundError as error:
        raise InputError(f"{folder} has no {name}; {_AGAIN}") from error
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}); {_AGAIN}") from error
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({first_line(error)}); {_AGAIN}") from error


def teaching_of(source: Source) -> Teaching | None:
    """The start and the support set of a model, read where a folder keeps them."""
    if not isinstance(source, Path):
        return source
    told = read_about(source)
    if START not in told.get("sha256", ()):
        return None
    start, support = (read_tensors(source, name, told) for name in (START, SUPPORT))
    x = support["x"]
    examples = x.float() / 255 if x.dtype == torch.uint8 else x
    return Teaching(start, examples, support["y"])


def by_batch(module: nn.Module) -> list[str]:
    """The names of the norms that use the statistics of each batch."""
    named = module.named_modules()
    return [name for name, part in named if isinstance(part, _NormBase) and part.training]


def _apart(module: nn.Module) -> dict[str, Tensor]:
    """The buffers that a state dict leaves out."""
    kept = set(module.state_dict())
    return {name: value for name, value in module.named_buffers() if name not in kept}


def _as_bytes(tensors: Mapping[str, Any]) -> bytes:
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise InputError(
                f"the state of the model has {name!r}, a {type(value).__name__}; a saved model "
                "holds tensors alone: leave it out of the state dict"
            )
    # Copies: tensors that share their memory are refused.
    ready = {n: v.detach().cpu().contiguous().clone() for n, v in tensors.items()}
    try:
        return safetensors.torch.save(ready)
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"the model cannot be saved ({first_line(error)})") from error


def versions() -> dict[str, str]:
    """The versions that a model is made with."""
    return {
        # The package itself imports what stands above this module.
        "fewstep": resolve_name("fewstep:__version__"),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def complete(about: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of a model, with a place for all that a reader looks for."""
    usual = {"learner": "a learner", "algorithm": None, "inner_steps": 0, "inner_lr": None}
    protocol = {**usual, "norm": "inductive", "shots": [], "note": "", **about.get("protocol", {})}
    absent = {"example_shape": None, "config": None, "training_classes": None, "outputs": 1}
    return {**absent, **about, "protocol": protocol}
