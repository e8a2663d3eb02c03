"""The rivals of a table by name, with settings chosen on validation tasks of so many rows."""

from collections.abc import Callable, Mapping

from fewstep.config.registry import Kind
from fewstep.evaluation.rivals.constant import majority, task_mean
from fewstep.evaluation.rivals.logistic import best_logistic
from fewstep.evaluation.rivals.mixed import fit_mixed
from fewstep.evaluation.rivals.ridge import best_ridge
from fewstep.evaluation.rivals.rows import Episode, Rival, Rows

Choice = Callable[[list[Episode]], tuple[str, Rival]]
"""Of validation tasks with some number of rows: what was chosen, in words, and the rival."""

MEAN, MAJORITY, RIDGE, LOGISTIC = "task's mean", "majority", "ridge", "logistic"
MIXED, POOLED, TUNED = "mixed effects", "pooled network", "fine-tuned"
DESCRIBED = {
    POOLED: "the same network trained on the rows of all training tasks, not adapted",
    TUNED: "the pooled network, trained on by gradient steps on the task's rows",
    MIXED: "a line common to all tasks, and an intercept and slopes of each task's own (BLUP)",
    RIDGE: "a ridge regression of the task's rows alone",
    LOGISTIC: "a logistic regression of the task's rows alone",
    MEAN: "the mean of the task's rows",
    MAJORITY: "the most frequent class of the task's rows",
}


def rivals_of(kind: Kind, training: Rows, numeric: int) -> Mapping[str, Choice]:
    """The rivals that are no networks.

    Args:
        kind: What is predicted.
        training: The rows of all training tasks.
        numeric: How many of their features, the first ones, are numbers.
    """
    if kind == "classification":
        constant = majority(training.y)
        return {LOGISTIC: _with_penalty(best_logistic), MAJORITY: lambda _: ("", constant)}
    mixed = fit_mixed(training, numeric)
    count = len(mixed.slopes)
    slopes = f"one intercept and {count} {'slope' if count == 1 else 'slopes'} for each task"
    return {
        MIXED: lambda _: (slopes, mixed.predict),
        RIDGE: _with_penalty(best_ridge),
        MEAN: lambda _: ("", task_mean),
    }


def _with_penalty(choose: Callable[[list[Episode]], tuple[float, Rival]]) -> Choice:
    def choice(validation: list[Episode]) -> tuple[str, Rival]:
        penalty, rival = choose(validation)
        return f"penalty {penalty:g}", rival

    return choice
