"""The targets of a support set: labels as the places of their classes, and real numbers."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewstep.data.columns.kinds import is_number
from fewstep.data.columns.preparation import TablePreparation
from fewstep.errors import InputError
from fewstep.predictors.classifier import Label
from fewstep.predictors.table_form import of_the_user


def numbered(labels: Any, examples: int) -> tuple[tuple[Label, ...], list[int]]:
    """The classes, sorted, and the place of each label among them.

    Raises:
        InputError: There is not one label an example, or they are of one class or of two kinds.
    """
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(values) != examples:
        raise InputError(
            f"there are {examples} examples and {len(values)} labels; expected one label an example"
        )
    plain = [_plain_label(value) for value in values]
    if len({type(value) for value in plain}) > 1:
        raise InputError("labels are strings and numbers; expected all strings or all numbers")
    classes = tuple(sorted(set(plain)))
    if len(classes) < 2:
        raise InputError(
            f"all {examples} labels are {classes[0]!r}, one class; expected two classes or more"
        )
    place = {label: number for number, label in enumerate(classes)}
    return classes, [place[value] for value in plain]


def _plain_label(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    if not isinstance(value, str | int):
        raise InputError(f"a label is {value!r}; expected a string or a whole number")
    return value


def no_texts(y: Any, x: Any) -> Any:
    """The targets themselves, which are no name of a column and no other texts.

    Raises:
        InputError: They are.
    """
    if isinstance(y, str):
        named = y in getattr(x, "columns", ())
        cure = f"give the column itself, as in x[{y!r}]" if named else "give one number an example"
        raise InputError(f"y is {y!r}; expected the targets; {cure}")
    # An array of numbers, which may be long, is not looked through.
    values: Any = y if isinstance(y, list | tuple) else ()
    if not isinstance(y, list | tuple | Tensor) and (array := np.asarray(y)).dtype.kind in "OUS":
        values = array.ravel()
    for value in values:
        if isinstance(value, str) and not is_number(value):
            raise InputError(f"y has {value!r}; expected numbers")
    return y


def real_targets(y: Any, examples: int) -> Tensor:
    """The targets of a regression, float64.

    Raises:
        InputError: There is not one an example, or they are no finite numbers.
    """
    given = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
    try:
        targets = torch.as_tensor(np.array(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(
            "the targets are no numbers; expected [examples] or [examples, outputs]"
        ) from error
    if targets.dim() not in (1, 2) or len(targets) != examples:
        raise InputError(
            f"there are {examples} examples and targets of {list(targets.shape)}; expected one "
            "target an example"
        )
    if not bool(targets.isfinite().all()):
        raise InputError("a target is NaN or infinity; leave that example out")
    return targets


def table_targets(y: Any, rows: int, preparation: TablePreparation) -> Tensor:
    """The targets of a table's rows as its network knows them: standardised, or class numbers.

    Raises:
        InputError: There is not one a row, one is missing, or of another kind.
    """
    frame = _frame_of(y, rows, preparation)
    missing = frame[preparation.target].isna().to_numpy()
    if missing.any():
        raise InputError(
            f"the target of row {int(missing.argmax())} is missing; leave that row out"
        )
    return torch.from_numpy(preparation.targets(frame))


def warn_of_targets(x: Any, y: Any, rows: int, preparation: TablePreparation) -> None:
    """Warn the user of targets that are far from those of training, by the names of their rows."""
    frame = _frame_of(y, rows, preparation)
    named = getattr(x, "frame", x)
    if hasattr(named, "iloc"):
        frame.index = named.index
    for text in preparation.target_warnings(frame):
        warnings.warn(text, stacklevel=of_the_user())


def _frame_of(y: Any, rows: int, preparation: TablePreparation) -> Any:
    """The targets as the column that they are in a table."""
    import pandas as pd

    values = np.asarray(y.detach().cpu() if isinstance(y, Tensor) else y)
    if values.shape[1:] == (1,):
        values = values[:, 0]
    if values.shape != (rows,):
        raise InputError(
            f"there are {rows} rows and targets of {list(values.shape)}; expected one target a row"
        )
    # Numbers among texts stay numbers.
    given = values if values.dtype != object else list(values)
    return pd.DataFrame({preparation.target: given})


def truths(frame: Any, preparation: TablePreparation) -> npt.NDArray[Any]:
    """The targets of rows as people know them, ``[rows]``: in their unit, or labels.

    Raises:
        InputError: One is of another kind, or of no class of the training rows.
    """
    return taught_targets(torch.from_numpy(preparation.targets(frame)), preparation)


def taught_targets(support_y: Tensor, preparation: TablePreparation) -> npt.NDArray[Any]:
    """The targets that `Teaching` keeps, as people know them."""
    if preparation.kind == "regression":
        in_unit: npt.NDArray[Any] = preparation.unscaled(support_y.double().cpu().numpy())
        return in_unit.reshape(len(support_y))
    return np.array([preparation.classes[number] for number in support_y.tolist()], object)
