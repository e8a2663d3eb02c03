"""One adaptation to rows of a table: read, adapted, judged and saved."""

import numpy as np
import torch

from fewstep.cli.places import Places, check_out
from fewstep.cli.user_warnings import told_warnings
from fewstep.config.algorithms import ALGORITHMS
from fewstep.data.tables.own_rows import (
    OwnRows,
    check_one_task,
    given_twice,
    read_query,
    read_support,
    target_warnings,
)
from fewstep.errors import InputError
from fewstep.files import write_whole
from fewstep.predictors.adapted_dir import PICTURE, teaching_of
from fewstep.predictors.table_verdict import (
    TableVerdict,
    Targets,
    verdict_left_out,
    verdict_of,
)
from fewstep.predictors.targets import taught_targets, truths
from fewstep.predictors.teaching import Teaching
from fewstep.report.predicted_rows import predicted_rows
from fewstep.report.rows_adaptation import RowsAdaptation
from fewstep.training.adaptable_rows import RowsBase, rows_base_of_adapted, rows_base_of_run
from fewstep.training.comparison_file import read_comparison
from fewstep.training.run_dir import RunDir
from fewstep.training.split_file import split_of_task
from fewstep.whole_numbers import counted

MOST_LEFT_OUT = 30
"""Support rows that are left out in turn: each is an adaptation of its own."""


def adapt_to_rows(
    places: Places, steps: int | None = None, *, add: bool = False, device: str = "cpu"
) -> RowsAdaptation:
    """Adapt a run, or with ``add`` an adapted model, and save the result if there is a place."""
    check_out(places, add=add)
    base = rows_base_of_adapted(places.run) if add else rows_base_of_run(places.run, device)
    how, column = base.preparation, base.config.task
    support = read_support(places.support, how, column)
    query = None if places.query is None else read_query(places.query, how, column)
    notes = [*support.notes, *(query.notes if query else ())]
    if query is not None:
        check_one_task(support, query, column)
        notes += filter(None, [given_twice(support, query, how), *target_warnings(query, how)])
    if not add:
        notes += _of_the_run(places, support.task, column)
    algorithm = base.config.algorithm
    if steps is not None and ALGORITHMS[algorithm].closed_form:
        notes.append(f"--steps {steps} changes nothing: {algorithm} solves in closed form")
    y = truths(support.frame, how)
    with told_warnings() as told:
        adapted = base.teach(support.table, y, steps)
        found = None if query is None else predicted_rows(adapted, query)
    adapted.about["task"] = support.task or base.task
    known = teaching_of(adapted.teaching)
    assert known is not None
    taught = taught_targets(known.support_y, how)
    if add and (again := _taught_again(known, len(y))):
        rows = counted(again, "row was", "rows were")
        notes.append(
            f"{rows} taught before; each weighs as often as it is given, and where it is left out "
            "its copies stay: such errors are too small"
        )
    verdict = None
    if query is not None and query.known is not None and found is not None:
        asked = query.only(query.known)
        with told_warnings():
            before = np.asarray(base.teach(support.table, y, 0).predict(asked))
        predicted, half = found.predicted[query.known], getattr(adapted, "half_width", None)
        verdict = verdict_of(taught, truths(asked.frame, how), predicted, before, half)
    elif len(taught) > 1 and not how.window:
        verdict = _left_out(base, support, y, taught, steps)
    kept = None if add else read_comparison(places.run, len(taught))
    done = RowsAdaptation(
        base.config,
        adapted,
        taught,
        found,
        verdict,
        [*notes, *told],
        is_more=add,
        compared=kept.line(places.run) if kept else "",
    )
    if places.out is not None:
        # It takes Matplotlib, which is a second to load.
        from fewstep.report.rows_sheet import rows_sheet

        picture = rows_sheet(done)
        adapted.save(places.out)
        write_whole(places.out / PICTURE, lambda part: part.write_bytes(picture))
    return done


def _taught_again(known: Teaching, new: int) -> int:
    """How many of the last rows are among those before them, in inputs and target."""
    rows = [row.numpy().tobytes() for row in known.support_x.flatten(1)]
    y, earlier = known.support_y.double(), len(rows) - new
    taught: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows[:earlier]):
        taught.setdefault(row, []).append(number)
    # What was taught before has been in the unit of the target and back.
    return sum(
        any(torch.allclose(y[number], y[other], rtol=1e-5) for other in taught.get(row, ()))
        for number, row in enumerate(rows[earlier:], earlier)
    )


def _of_the_run(places: Places, task: str | None, column: str | None) -> list[str]:
    """A note where the run knows the task already: from its rows it was trained, or chosen."""
    # In a folder of tables it is the file that has the task's name.
    name = places.support.name.split(".")[0] if column is None else task
    split = None if name is None else split_of_task(RunDir(places.run), name)
    if split not in ("train", "val"):
        return []
    of = "training" if split == "train" else "validation"
    return [f"{name} was a {of} task of this run: these figures are too good"]


def _left_out(
    base: RowsBase, support: OwnRows, y: Targets, taught: Targets, steps: int | None
) -> TableVerdict | None:
    """The errors for support rows that are left out in turn; None where a loss diverges."""
    places = np.unique(np.linspace(0, len(y) - 1, min(len(y), MOST_LEFT_OUT)).astype(int)).tolist()
    alone = [np.arange(len(y)) == place for place in places]
    if len(y) < 2:
        return None
    try:
        with told_warnings():
            before = base.teach(support.table, y, 0).predict(support.table)
            found = [
                base.teach(support.only(~one), y[~one], steps).predict(support.only(one))[0]
                for one in alone
            ]
    except InputError:
        return None
    earlier = len(taught) - len(y)
    at = [earlier + place for place in places]
    return verdict_left_out(
        taught, at, np.array(found, taught.dtype), np.asarray(before, taught.dtype)[places]
    )
