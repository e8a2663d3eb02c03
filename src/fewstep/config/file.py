"""The config of a run as a file, ``config.json``."""

import hashlib
import json
import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fewstep.config.limits import FREE, check_numbers, rules
from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.files import cannot_read, read_json_object

LARGEST = 2**20  # the least limit: far larger sizes overflow, with errors of other libraries
_RENAMED = {"ema_decay": "averaging", "first_order_share": "first_order"}
"""The names that settings had in earlier versions."""
_FIRST = (  # the settings of the first version that decide what an outer step does
    "recipe data algorithm model context filters downsample model_norm n_way k_shot q_query "
    "rotations inner_lr inner_steps inner_optimizer adapting step_sizes order first_order_share "
    "multi_step_loss per_step_affine per_step_statistics proximal cg_steps new_head norm precision "
    "meta_batch outer_lr final_outer_lr ema_decay val_every val_tasks seed"
)
# No outer step needs them.
_OF_VALIDATION = ("test_n_way", "test_k_shot", "test_q_query", "test_inner_steps")


def read_config(path: Path, *, resume: bool = False) -> Config:
    """The config of a run, later settings at defaults; to resume, none of the training may lack."""
    try:
        values = read_json_object(path, "restore it or train in a new run directory")
    except (FileNotFoundError, NotADirectoryError) as error:
        check_not_several(path.parent)
        raise InputError(
            f"{path.parent} has no {path.name}; expected a run directory of fewstep train or fit"
        ) from error
    except OSError as error:
        raise cannot_read(path, error) from error
    if "made_by" in values:
        raise InputError(
            f"{path.parent} was made by {values['made_by']}, with a network of your own: use it in "
            f'Python, as in fewstep.evaluate(fewstep.load("{path.parent}", model).learner, tasks)'
        )
    return config_of(values, path, resume=resume)


def check_not_several(folder: Path) -> None:
    """See that a folder is not one of the runs of several seeds, of which one has to be named."""
    runs = sorted(of.parent for of in folder.glob("seed*/config.json"))
    if runs:
        others = f" or {runs[-1]}" if len(runs) > 1 else ""
        raise InputError(f"{folder} holds runs of several seeds; name one, as in {runs[0]}{others}")


def config_of(values: dict[str, Any], path: Path, *, resume: bool = False) -> Config:
    """The config that JSON values of a file are, as `read_config` reads it."""
    for name, before in _RENAMED.items():
        if before in values:
            values.setdefault(name, values.pop(before))
    known = {field.name: field.default for field in fields(Config)}
    needed = decisive() if resume else [n for n, v in known.items() if v is MISSING]
    for kind, keys in (("unknown", {*values} - {*known}), ("missing", {*needed} - {*values})):
        if keys:
            raise InputError(
                f"{path} has {kind} key {', '.join(sorted(keys))}; it is of another version of "
                "fewstep: use that version, or a new run directory"
            )
    values = {**known, **values}
    for name, expected in get_type_hints(Config).items():
        _check_type(path, name, values[name], expected)
    try:
        config = Config(**values)
        check_numbers(config, least=LARGEST)
    except InputError as error:
        raise InputError(f"{path} holds a setting that cannot be: {error}") from error
    return config


def remembered_folder(run_dir: Path, given: str | None, config: Config) -> str | None:
    """The folder of the data, if there is one: what is given, or else that of the run."""
    if not config.data_set.has_folder:
        return None
    if given and not Path(given).is_dir():
        raise no_data_folder(given)
    if given or config.data_dir is None:
        return given
    if not Path(config.data_dir).is_dir():
        raise InputError(
            f"{run_dir} was trained with the data folder {config.data_dir}, which is not there any "
            "more; give its new place with --data-dir or the variable FEWSTEP_DATA"
        )
    return config.data_dir


def no_data_folder(named: str) -> InputError:
    """The one line for a data folder that is not there."""
    return InputError(
        f"the data folder {named} does not exist; give the folder that holds the data set "
        "(omniglot/ and the like) with --data-dir or the variable FEWSTEP_DATA"
    )


def remembered_pictures(run_dir: Path, given: str | None, config: Config) -> str | None:
    """The folder of pictures of a run that has one: what is given, or else the run's own."""
    if config.folder is None:
        return None
    if given:
        return os.path.abspath(given)
    if not Path(config.folder).is_dir():
        raise InputError(
            f"{run_dir} was trained on the folder {config.folder}, which is not there any more; "
            "give its new place with --data-dir"
        )
    return config.folder


def remembered_table(run_dir: Path, given: str | None, config: Config) -> str | None:
    """The table of a run that has one: what is given or stands in there, or else the run's own."""
    if config.table is None:
        return None
    if given:
        inside = Path(given, Path(config.table).name)
        return os.path.abspath(inside if inside.exists() else given)
    if not Path(config.table).exists():
        raise InputError(
            f"{run_dir} was trained on the table {config.table}, which is not there any more; give "
            "its new place with --data-dir"
        )
    return config.table


def decisive() -> list[str]:
    """The settings that may not differ when a run goes on."""
    return [name for name, of_setting in rules(Config).items() if FREE not in of_setting]


def training_digest(config: Config) -> str:
    """A digest of all settings that decide what an outer step does.

    A later setting counts where it is not at its default, so that an earlier digest still holds.
    """
    defaults = {field.name: field.default for field in fields(Config)}
    values = {n: getattr(config, n) for n in decisive() if n not in _OF_VALIDATION}
    told = {
        # A number that was written without a fraction is the same number.
        _RENAMED.get(n, n): int(v) if isinstance(v, float) and v % 1 == 0 else v
        for n, v in values.items()
        if n in _FIRST.split() or v != defaults[n]
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _check_type(path: Path, name: str, value: Any, expected: Any) -> None:
    choices = get_args(expected) or (expected,)
    types = tuple(choice for choice in choices if isinstance(choice, type))
    # JSON has one kind of number, so a float may have been written without a fraction.
    accepted = (*types, int) if float in types else types
    if value not in choices and type(value) not in accepted:
        wanted = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
        raise InputError(f"{path} has {name} = {value!r}; expected {wanted}")
