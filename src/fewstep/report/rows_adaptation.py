"""The outcome of an adaptation to rows of a table, as text and as JSON values."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fewstep.config.algorithms import steps_in_words
from fewstep.config.schema import Config
from fewstep.data.columns.preparation import TablePreparation
from fewstep.evaluation.numbers import shown
from fewstep.files import rounded
from fewstep.predictors.adapted_dir import PICTURE
from fewstep.predictors.further import Adapted
from fewstep.predictors.half_widths import held_in_words, held_of
from fewstep.predictors.table_verdict import NAMES, THIS, TableVerdict
from fewstep.report.adapted_from import protocol_as_json
from fewstep.report.columns import in_columns
from fewstep.report.row_predictions import Rows, row_lines
from fewstep.whole_numbers import counted


@dataclass(frozen=True, eq=False)
class RowsAdaptation:
    """An adaptation and what it came to.

    Attributes:
        config: Of the run that was adapted.
        adapted: The model.
        taught: ``[support rows]``, their targets.
        predictions: For the query rows; None where there are none.
        verdict: The error beside the rivals'; None where it is not known.
        notes: What a user should know of the rows.
        is_more: Whether an adapted model was taught more.
        compared: A sentence on what ``fewstep compare`` found of the run; "" where it did not.
    """

    config: Config
    adapted: Adapted
    taught: npt.NDArray[Any]
    predictions: Rows | None
    verdict: TableVerdict | None
    notes: list[str]
    is_more: bool = False
    compared: str = ""

    @property
    def preparation(self) -> TablePreparation:
        """How a row becomes an example."""
        how = self.adapted.preparation
        assert isinstance(how, TablePreparation)
        return how

    @property
    def half_width(self) -> float | None:
        """Of the interval of a prediction; None where it is not known, or of classes."""
        return getattr(self.adapted, "half_width", None)

    @property
    def held(self) -> float | None:
        """Share of the rows of test tasks that such an interval held; None if it is not known."""
        return held_of(self.adapted.about) if self.half_width is not None else None


def as_lines(done: RowsAdaptation, run: Path, out: Path | None, width: int) -> Iterator[str]:
    """All that is told of an adaptation, for a terminal of this width."""
    yield learned(done)
    if told := interval_line(done):
        yield told
    if note := done.adapted.about["protocol"]["note"]:
        yield f"{run}: {note}"
    if done.predictions is not None:
        yield ""
        yield from row_lines(done.predictions, width)
    yield ""
    if done.verdict is None:
        yield (
            f"no {'error' if done.preparation.kind == 'regression' else 'accuracy'}: give --query "
            f"rows with their {done.preparation.target}"
        )
    else:
        yield from verdict_lines(done.verdict, width)
        if done.compared:
            yield done.compared
        elif not done.is_more:
            yield f"fewstep compare {run} measures it beside more rivals, on many tasks"
    yield ""
    yield protocol_line(done, run)
    if out is not None:
        yield f"saved: {out} (fewstep predict {out} FILE.csv), picture: {out / PICTURE}"


def learned(done: RowsAdaptation) -> str:
    """The sentence that says what was learned, and from how many rows."""
    how, task = done.preparation, done.adapted.about.get("task")
    rows = counted(len(done.taught), "row")
    of = f" of {done.config.task} {task}" if task else ""
    return f"learned {how.target} from {rows}{of}, by {', '.join(how.inputs)}"


def interval_line(done: RowsAdaptation) -> str:
    """Half the width of every prediction's interval, and of how many rows it was measured."""
    if done.half_width is None:
        return ""
    taught = len(done.taught)
    fewer = [int(n) for n in done.adapted.about["half_widths"] if int(n) <= taught]
    rows = counted(max(fewer), "row")
    nearest = "" if max(fewer) == taught else ", the nearest number that is not larger"
    half = shown("rmse", done.half_width)
    held = held_in_words(done.held)
    return f"a 95% interval{held} is ± {half}, as measured on validation tasks with {rows}{nearest}"


def verdict_lines(verdict: TableVerdict, width: int) -> Iterator[str]:
    """The error, a table of the rivals, and a sentence that says who does best."""
    yield error_line(verdict)
    yield ""
    cells = [[NAMES[name], shown(verdict.score, v)] for name, v in verdict.values.items()]
    yield from in_columns(["on the same rows", verdict.score], cells, width)
    yield winner_sentence(verdict)


def error_line(verdict: TableVerdict) -> str:
    """The error, of how many rows, and how many of them lie in their interval."""
    rows = "1 row" if verdict.rows == 1 else f"{verdict.rows:,} rows"
    value = shown(verdict.score, verdict.values[THIS])
    if verdict.left_out:
        return f"{verdict.score} {value} of {verdict.rows} support rows, each left out in turn"
    covered = "" if verdict.covered is None else f", {verdict.covered:,} inside their 95% interval"
    return f"{verdict.score} {value} of {rows} with a target{covered}"


def winner_sentence(verdict: TableVerdict) -> str:
    """Who does best, and whether so few rows settle that."""
    name, values = verdict.best_rival, verdict.values
    if values[name] == values[THIS]:
        return f"of these three, {NAMES[name]} does as well here"
    rival_is_better = (values[name] < values[THIS]) == (verdict.score == "rmse")
    # A longer comparison may have found others.
    who = f"of these three, {NAMES[name] if rival_is_better else 'this model'} does best here"
    rows = counted(verdict.rows, "row is", "rows are")
    return who + ("" if verdict.is_settled else f", but {rows} too few to be sure")


def protocol_line(done: RowsAdaptation, run: Path) -> str:
    """The line that belongs under every number."""
    steps = done.adapted.about["protocol"]["inner_steps"]
    return (
        f"{len(done.taught)} support {'row' if len(done.taught) == 1 else 'rows'}; "
        f"{steps_in_words(done.config.algorithm, steps)}; one model, {run}, "
        f"{done.config.algorithm}, seed {done.config.seed}"
    )


def as_json(done: RowsAdaptation, run: Path, out: Path | None) -> dict[str, Any]:
    """The same as JSON values: ``rmse`` or ``accuracy`` is of query rows that have a target."""
    verdict, protocol, how = done.verdict, done.adapted.about["protocol"], done.preparation
    score = "rmse" if how.kind == "regression" else "accuracy"
    values = dict(verdict.values) if verdict else {}
    value, of_support = values.pop(THIS, None), verdict is not None and verdict.left_out
    told = {
        score: None if of_support else value,
        "leave_one_out": value if of_support else None,
        "examples": verdict.rows if verdict else None,
        "rivals": values if verdict else None,
        "settled": verdict.is_settled if verdict else None,
        "covered": verdict.covered if verdict else None,
        "half_width": done.half_width,
        "held": done.held,
        "target": how.target,
        "inputs": list(how.inputs),
        "task": done.adapted.about.get("task"),
        **protocol_as_json(done.config, protocol, run, out),
        "notes": done.notes,
    }
    found = done.predictions
    # These are rounded by the deviation of the target.
    predictions = [] if found is None else [found.told(row) for row in range(len(found))]
    return {"predictions": predictions, **rounded(told)}
