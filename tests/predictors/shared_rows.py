"""Small learners of a table, and rows to adapt them to."""

import torch
from torch import nn

import fewstep
from fewstep.data.columns.preparation import TablePreparation
from tests.own_rows import INPUTS, rows_of_task, rows_of_tasks

SCORES = TablePreparation.fit(rows_of_tasks(), "score", INPUTS)
PASSED = TablePreparation.fit(rows_of_tasks(), "passed", INPUTS)
NEW = rows_of_task("new", 26)
SUPPORT, QUERY = NEW[:6], NEW[6:]


def network(how=SCORES):
    torch.manual_seed(0)
    outputs = len(how.classes) or 1
    return nn.Sequential(nn.Linear(len(how.feature_names), 8), nn.Tanh(), nn.Linear(8, outputs))


def of_table(how=SCORES):
    """A learner that knows how the rows are prepared, and how far its predictions are off."""
    loss = "mse" if how.kind == "regression" else "cross_entropy"
    learner = fewstep.MAML(network(how), inner_lr=0.1, inner_steps=5, loss=loss)
    learner.preparation = how
    if how.kind == "regression":
        learner.half_widths = {5: 4.0, 10: 3.0}
    return learner
