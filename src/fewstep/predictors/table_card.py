"""The part of an adapted model's card that tells of the table whose rows it takes."""

from collections.abc import Mapping
from typing import Any

from fewstep.data.columns.preparation import TablePreparation
from fewstep.predictors.half_widths import held_in_words, held_of

MOST_NAMED = 40  # features


def columns_told(told: Mapping[str, Any]) -> list[str]:
    """The columns, and how sure the predictions are, as Markdown."""
    how = TablePreparation.from_json(told["preparation"])
    lines = ["## Its table", "", *(f"- {_escaped(line)}" for line in how.describe())]
    if told.get("half_width") is not None:
        lines += [
            f"- 95% interval{held_in_words(held_of(told))}: the prediction and "
            f"{told['half_width']:.6g} to either side, as the errors on validation tasks tell"
        ]
    if how.window:
        lines += [
            f"- give the {how.window - 1} rows before the first one that counts, too: they are in "
            "its window"
        ]
    if told.get("task"):
        lines += [f"- adapted to: {_escaped(told['task'])}"]
    return [*lines, ""]


def called(told: Mapping[str, Any]) -> list[str]:
    """Calls of it, as lines of Python."""
    how = TablePreparation.from_json(told["preparation"])
    row = ", ".join(f"{name!r}: ..." for name in how.inputs)
    lines = [
        'adapted.predict("new.csv")  # or Parquet, or a DataFrame: columns by name',
        f"adapted.predict({{{row}}})",
    ]
    if how.kind == "classification":
        return [*lines, 'adapted.predict_proba("new.csv")  # [rows, classes]']
    if told.get("half_width") is not None:
        lines += ['adapted.predict_interval("new.csv")  # [rows, 2]']
    return lines


def scaling(told: Mapping[str, Any]) -> str:
    """The features, and the unit of the output, for who calls the network alone."""
    how = TablePreparation.from_json(told["preparation"])
    names = how.feature_names
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    features = ", ".join(f"`{_escaped(name)}`" for name in names[:MOST_NAMED])
    unit = ""
    if how.kind == "regression":
        unit = (
            f" The prediction in the unit of {_escaped(how.target)} is {how.target_scale:.8g} "
            f"times the output plus {how.target_mean:.8g}."
        )
    shape = f"{how.window}, {len(names)}" if how.window else str(len(names))
    return (
        f"`x` is float32 [rows, {shape}], the features {features}{more}, standardised and "
        f"coded as `preparation` in `adapted.json` tells.{unit}"
    )


def _escaped(name: object) -> str:
    return str(name).replace("|", "\\|").replace("\n", " ").replace("`", "'")
