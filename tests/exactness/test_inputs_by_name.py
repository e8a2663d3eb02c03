"""Models that take their inputs by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, ProtoMAML, Reptile, TaskBatch
from tests.factory import make_tasks
from tests.shares import meta_gradient


class Masked(nn.Module):
    """Token ids with their mask, as transformers take them."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 5), nn.Linear(5, 3)

    def forward(self, input_ids, attention_mask):
        seen = attention_mask.unsqueeze(-1) * self.table(input_ids)
        return self.head(seen.sum(1) / attention_mask.sum(1, keepdim=True))


@pytest.mark.parametrize("kind", [MAML, ProtoMAML, Reptile])
@pytest.mark.parametrize("settings", [{"execution": "loop"}, {"execution": "vectorised"}])
def test_inputs_by_name(kind, settings):
    torch.manual_seed(0)
    x = {"attention_mask": torch.ones(3, 6, 7), "input_ids": torch.randint(9, (3, 6, 7))}
    x["attention_mask"][..., 5:] = 0
    y = make_tasks().support_y
    y[:, :3] = torch.arange(3)
    tasks, model = TaskBatch(x, y, x, y), Masked()
    learner = kind(model, 0.4, 2, **settings)
    if kind is not Reptile:
        loss = learner.meta_gradient(tasks)[0]
        torch.testing.assert_close(loss, learner.evaluate(tasks, 2).losses[:, -1].mean())
    first = {name: value[0] for name, value in x.items()}
    adapted = learner.adapt(first, y[0], 2)
    expected = learner.evaluate(tasks[0:1], 2).losses[0, -1]
    torch.testing.assert_close(F.cross_entropy(adapted(**first), y[0]), expected)
    loss = meta_gradient(learner, tasks)[0]
    torch.testing.assert_close(loss, learner.meta_gradient(tasks)[0])


def test_inputs_by_name_compiled():
    torch.manual_seed(0)
    x = {"attention_mask": torch.ones(3, 6, 7), "input_ids": torch.randint(9, (3, 6, 7))}
    y = make_tasks().support_y
    tasks, model = TaskBatch(x, y, x, y), Masked()
    found = MAML(model, 0.4, compile=True).meta_gradient(tasks)
    torch.testing.assert_close(found, MAML(model, 0.4).meta_gradient(tasks))
