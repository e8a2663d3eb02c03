"""Rows of a table from a file or standard input, predicted all together."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.cli.predicting import threshold_of
from fewstep.cli.user_warnings import told_warnings
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.own_rows import read_query, target_warnings
from fewstep.data.tables.written_cells import written_cells
from fewstep.errors import InputError
from fewstep.files import rounded
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.half_widths import held_in_words, held_of
from fewstep.predictors.loading import load_adapted
from fewstep.predictors.table_verdict import THIS, TableVerdict
from fewstep.predictors.targets import truths
from fewstep.report.predicted_rows import predicted_rows
from fewstep.report.row_predictions import Rows, as_csv, row_lines
from fewstep.report.rows_adaptation import error_line


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """The rows of a file and what is predicted for them.

    Attributes:
        source: The file, or what stood on standard input.
        frame: Its rows.
        found: The predictions.
        verdict: The error where the target is known; None where it is not.
        notes: What a user should know of them.
        held: Share of the rows of test tasks that such intervals held; None where it is not known.
    """

    source: Path | bytes
    frame: Any
    found: Rows
    verdict: TableVerdict | None
    notes: list[str]
    held: float | None = None

    def as_csv(self) -> bytes:
        """The columns of the file, and behind them the predictions, as a CSV file."""
        cells = written_cells(self.source, len(self.frame))
        if cells is None:
            header = list(map(str, self.frame.columns))
            cells = header, self.frame.astype(object).where(self.frame.notna(), "").values.tolist()
        return as_csv(*cells, self.found)

    def lines(self, width: int) -> Iterator[str]:
        """All of it as text."""
        yield from row_lines(self.found, width)
        if self.held is not None:
            yield f"95% interval{held_in_words(self.held)}"
        if self.verdict is not None:
            yield error_line(self.verdict)

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        verdict = self.verdict
        score = "accuracy" if hasattr(self.found, "labels") else "rmse"
        return {
            "predictions": [self.found.told(row) for row in range(len(self.found))],
            score: rounded(verdict.values[THIS]) if verdict else None,
            "examples": verdict.rows if verdict else None,
            "covered": verdict.covered if verdict else None,
            "held": self.held,
            "notes": self.notes,
        }


def predict_rows(
    folder: Path, given: tuple[str, ...], top: int, threshold: str | None
) -> PredictedRows:
    """Predict the rows of a file, or of standard input.

    Raises:
        InputError: They cannot be read, or one of them does not fit: none is predicted then.
    """
    if len(given) != 1:
        raise InputError(
            f"{len(given)} files are given; the model takes rows of one table: give one CSV or "
            "Parquet file, or - for CSV on standard input"
        )
    adapted = load_adapted(folder)
    how = adapted.preparation
    assert isinstance(how, TablePreparation)
    if isinstance(adapted, AdaptedClassifier):
        least = threshold_of(threshold, adapted, folder)
    elif threshold is not None or top > 1:
        raise InputError(
            f"{folder} predicts numbers; --top and --threshold are for classes: leave them out"
        )
    else:
        least = 0.0
    column = (adapted.about.get("config") or {}).get("task")
    source = sys.stdin.buffer.read() if given[0] == "-" else Path(given[0])
    query = read_query(source, how, column)
    notes, learned = [*query.notes, *target_warnings(query, how)], adapted.about.get("task")
    if learned and query.task and query.task != learned:
        notes.append(f"the rows are of {column} {query.task}, and the model learned {learned}")
    with told_warnings() as told:
        found = predicted_rows(adapted, query, top, least)
    verdict = None
    if query.known is not None:
        truth = truths(query.only(query.known).frame, how)
        half = getattr(adapted, "half_width", None)
        verdict = TableVerdict.of(truth, {THIS: found.predicted[query.known]}, half)
    held = held_of(adapted.about) if getattr(adapted, "half_width", None) is not None else None
    return PredictedRows(source, query.frame, found, verdict, [*notes, *told], held)
