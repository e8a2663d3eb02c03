"""The results of a run beside the table of results and the paper."""

from collections.abc import Sequence

from fewstep.published.files import NORMS, ResultFile
from fewstep.published.papers import PaperFigure
from fewstep.published.table import figure_of, percent
from fewstep.published.verdict import Verdict, held_against

_DEVIATIONS = 1.96  # of one seed among others: half of what 95% of the seeds lie within


def expected_of(table: Sequence[ResultFile], figure: PaperFigure | None) -> str:
    """The figure that decides, of the table or else the paper; one of both is there."""
    for average in (False, True):
        for norm in NORMS:
            theirs = figure_of(table, norm, average=average)
            if theirs is not None:
                return f"the table's {percent(theirs)}"
    assert figure is not None
    return f"the paper's {figure.shown}, of {'the average' if figure.is_average else 'one model'}"


def compared(
    own: Sequence[ResultFile], table: Sequence[ResultFile], figure: PaperFigure | None
) -> tuple[list[str], Verdict]:
    """Hold a result against the table and the paper, line by line, with the verdict that decides.

    Args:
        own: Of the run: each norm, of one model and of the average.
        table: Of the same row, perhaps of several seeds; or nothing.
        figure: The paper's; None where it has none. One of both is there.

    Returns:
        The verdict is that of one model, transductively, against the table; or else that against
        the paper, of one model or the average of checkpoints, as the paper has it.
    """
    lines, verdicts = [], []
    seeds = ", ".join(dict.fromkeys(str(one.seed) for one in table))
    for average in (False, True):
        for norm in NORMS:
            ours = figure_of(own, norm, average=average)
            theirs = figure_of(table, norm, average=average)
            if ours is None:
                continue
            of = "average of the best checkpoints" if average else "one model"
            told = f"{of}, {norm}: {percent(ours)}"
            if theirs is not None:
                verdict = held_against(ours, theirs)
                verdicts.append(verdict)
                told += f"; the table {percent(theirs)}, seed {seeds}: {verdict.told}"
            lines.append(told)
    if figure is not None:
        average = figure.is_average
        ours = figure_of(own, "transductive", average=average)
        if ours is not None:
            # Of one seed against the mean of several, whose ± is their standard deviation.
            wide = _DEVIATIONS if figure.meaning == "deviation" else 1.0
            verdict = held_against(ours, (figure.accuracy, wide * figure.half))
            verdicts.append(verdict)
            lines.append(f"the paper: {figure.shown} ({figure.note}): {verdict.told}")
    if not table:
        lines.append("this row of the table was not run yet: the paper's figure decides")
    lines.append(f"verdict: {verdicts[0].word}")
    return lines, verdicts[0]
