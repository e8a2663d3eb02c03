"""The average of several initialisations of a learner: the mean of their logits in each task."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

from fewstep.choices import Norm
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import borrowed, evaluate_tasks
from fewstep.evaluation.task_sets import TaskSet
from fewstep.functional.swapped import Params
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Evaluation, Learner, Predictions


def evaluate_average(
    learner: Learner,
    initialisations: Iterable[Params],
    tasks: TaskSet,
    n: int,
    steps: int,
    norm: Norm,
    advance: Callable[[int], None] = lambda _: None,
    n_way: int | None = None,
) -> Evaluation:
    """Evaluate the mean of the logits after the last inner step, on the first ``n`` tasks.

    Each initialisation adapts to a task by itself, of ``n_way`` classes where it is given. All
    query sets have the same size. The learner has its own parameters again afterwards. ``advance``
    is told how many tasks were done, for each initialisation anew.

    Returns:
        Losses and accuracies are ``[tasks, 1]``, of the last inner step alone.

    Raises:
        InputError: The learner does not classify.
    """
    parameters, logits, labels = dict(learner.named_parameters()), [], torch.empty(0)
    for values in initialisations:
        with borrowed(parameters, values):
            fitting, _ = for_ways(learner, n_way)
            found = evaluate_tasks(fitting, tasks, n, steps, norm, advance).predictions
        if found is None:
            raise InputError("there are no logits to average; expected a learner that classifies")
        logits.append(found.logits)
        labels = found.labels
    mean = torch.stack(logits).mean(0)
    losses = F.cross_entropy(mean, labels, reduction="none")
    right = (mean.argmax(1) == labels).to(losses.dtype)
    of_tasks = [values.reshape(n, -1).mean(1, keepdim=True) for values in (losses, right)]
    return Evaluation(of_tasks[0], {"accuracy": of_tasks[1]}, Predictions(mean, labels))
