"""A task of one number from one number, drawn before and after adaptation."""

import re

import pytest
import torch

from fewstep import MAML
from fewstep.data import SinusoidSampler, TaskSpec
from fewstep.report.page.task_curves import PLACES, curves_figure, is_a_curve, task_curves
from tests.report.page.parsed import parsed


@pytest.fixture(scope="module")
def drawn():
    torch.manual_seed(0)
    learner = MAML(torch.nn.Linear(1, 1), inner_lr=0.05, inner_steps=1, loss="mse")
    task = SinusoidSampler(5, 40).batch([3])
    return learner, task, task_curves(3, task, learner, 2, "inductive")


def test_curves_are_predictions_over_all_examples(drawn):
    learner, task, one = drawn
    assert one.curves.shape == (PLACES, 3)
    xs = torch.cat([task.support_x[0], task.query_x[0]])
    assert (one.curves[0, 0], one.curves[-1, 0]) == (xs.min(), xs.max())
    adapted = learner.adapt(task.support_x[0], task.support_y[0], 2)
    x = one.curves[:, :1]
    torch.testing.assert_close(one.curves[:, 1:], torch.cat([learner.model(x), adapted(x)], 1))
    torch.testing.assert_close(one.query[:, 3:], adapted(one.query[:, :1]))
    assert bool((one.query[1:, 0] >= one.query[:-1, 0]).all())
    # What was asked stays with its target.
    there = {tuple(pair) for pair in torch.cat([task.query_x, task.query_y], 2)[0].tolist()}
    assert {tuple(pair) for pair in one.query[:, :2].tolist()} == there


def test_the_figure_has_three_lines_and_the_support_points(drawn):
    root = parsed(curves_figure("Worst task 1", drawn[2], "mse", (4.0, 0.25), 0))
    paths = [e.attributes["class"].split() for e in root.every("svg")[0].every("path")]
    assert len([kinds for kinds in paths if kinds[0] == "line"]) == 3
    assert len([kinds for kinds in paths if kinds == ["marker", "d1", "s1"]]) == 5
    # In the legend they have no line either.
    assert [len(item.every("path")) for item in root.every("li")] == [2, 2, 2, 1]
    told = root.every("small")[0].text
    assert re.match(r"mse 4\.00 before adaptation and 0\.250 after 2 inner steps on 5 supp", told)
    rows = [[cell.text for cell in row.every("th", "td")] for row in root.every("tr")]
    assert [row[1] for row in rows[1:]] == ["learned from"] * 5 + ["asked"] * 20
    assert all(len(row) == 5 for row in rows)


def test_only_functions_of_one_number_are_curves():
    assert is_a_curve(TaskSpec.regression((1,)))
    for spec in (TaskSpec.regression((2,)), TaskSpec.regression((1,), 2)):
        assert not is_a_curve(spec)
    assert not is_a_curve(TaskSpec.classification((1,), 2))


def test_an_adaptation_that_diverges_is_drawn_and_told(drawn):
    _, task, _ = drawn
    wild = MAML(torch.nn.Linear(1, 1), inner_lr=1e6, inner_steps=1, loss="mse")
    one = task_curves(3, task, wild, 12, "inductive")
    assert not one.curves[:, 2].isfinite().any()
    root = parsed(curves_figure("Worst task 1", one, "mse", (4.0, float("nan")), 0))
    rows = [[cell.text for cell in row.every("th", "td")] for row in root.every("tr")]
    assert {row[4] for row in rows if row[1] == "asked"} == {"not finite"}


@pytest.mark.parametrize("support", [20, 24, 25, 60])
def test_many_support_points_leave_room_for_query_points(support, drawn):
    learner = drawn[0]
    one = task_curves(3, SinusoidSampler(support, 40).batch([3]), learner, 1, "inductive")
    root = parsed(curves_figure("Worst task 1", one, "mse", (4.0, 0.25), 0))
    which = [row.every("td")[0].text for row in root.every("tr")[1:]]
    assert which == ["learned from"] * 20 + ["asked"] * 5
