"""The bases that rows of a table are taught to: a run, or a model that was adapted before."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fewstep.config.schema import Config
from fewstep.data.columns.preparation import TablePreparation
from fewstep.errors import InputError
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.further import Adapted, with_more
from fewstep.training.adaptable import BY_ADDING, adapted_of, trained_of
from fewstep.training.runs import Trained


@dataclass(frozen=True)
class RowsBase:
    """An initialisation to adapt from.

    Attributes:
        config: Of the run.
        preparation: How a row becomes an example.
        teach: Adapts to rows and their targets, in so many inner steps; those of the run's test, or
            of the model until now, where these are None.
        task: The task that an adapted model has learned of already; None where it is not told.
    """

    config: Config
    preparation: TablePreparation
    teach: Callable[[Any, Any, int | None], Adapted]
    task: str | None = None


def rows_base_of_run(path: Path, device: str) -> RowsBase:
    """The initialisation of a run of a table.

    Raises:
        InputError: It is another run, or none.
    """
    run = trained_of(path, device, BY_ADDING)
    how = run.form.preparation
    if not isinstance(how, TablePreparation):
        raise InputError(f"{path} is a run on {run.config.data}; expected one of a table")
    return RowsBase(run.config, how, partial(_teach, run, how))


def rows_base_of_adapted(path: Path) -> RowsBase:
    """The initialisation and the support set of a model that was adapted to rows.

    Raises:
        InputError: It is another one, or none, or a network of the user's own.
    """
    adapted, learner = adapted_of(path)
    how = adapted.preparation
    if not isinstance(how, TablePreparation) or learner.config is None:
        raise InputError(f"{path} is an adapted model that takes no rows of a table")

    def teach(x: Any, y: Any, steps: int | None) -> Adapted:
        return with_more(adapted, x, y, steps=steps)

    return RowsBase(learner.config, how, teach, adapted.about.get("task"))


def _teach(run: Trained, how: TablePreparation, x: Any, y: Any, steps: int | None) -> Adapted:
    if how.kind == "regression":
        return adapt_regressor(run.learner, x, y, steps=steps, config=run.config)
    return adapt_classifier(
        run.learner, x, y, steps=steps, threshold=run.threshold, config=run.config
    )
