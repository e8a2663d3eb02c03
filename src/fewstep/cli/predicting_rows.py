"""Rows of a table from a file or standard input, predicted all together."""

import io
import sys
from pathlib import Path

from fewstep.cli.user_warnings import told_warnings
from fewstep.data.own_rows import OwnRows, check_same_task, read_query, read_stream
from fewstep.data.table_preparation import TablePreparation
from fewstep.errors import InputError
from fewstep.predictors.further import Adapted
from fewstep.predictors.loading import load_adapted
from fewstep.report.predicted_rows import predicted_rows
from fewstep.report.row_predictions import Rows


def predict_rows(
    folder: Path, given: tuple[str, ...], top: int, threshold: str | None
) -> tuple[Adapted, OwnRows, Rows, list[str]]:
    """The model, the rows, the predictions, and what a user should know of them.

    Raises:
        InputError: They cannot be read, or do not fit; then none is predicted.
    """
