"""The failing code fails in the ways it names, and without them it is MAML."""

import json
from dataclasses import replace
from itertools import starmap

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.overfitting import __main__ as command
from benchmarks.overfitting.failing import Failing, InnerOptimiser, Setup
from benchmarks.overfitting.report import rise, smooth
from benchmarks.overfitting.runs import VARIANTS, Budget
from fewstep import MAML, TaskBatch
from fewstep.data.images import ImageClasses
from tests.factory import make_tasks


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


@pytest.mark.parametrize(("assigned", "order"), [(True, "first"), (False, "exact")])
def test_assigned_weights_give_the_first_order_gradient(assigned, order):
    start = model()
    failing = Failing(start, Setup(assigned=assigned, inner="SGD"), 0.5, 0.1)
    loss, gradient = failing.meta_gradient(make_tasks(ways=2, shape=(3,)))
    right_loss, right = MAML(model(), 0.5, 1, order=order).meta_gradient(
        make_tasks(ways=2, shape=(3,))
    )
    assert loss == pytest.approx(right_loss.item())
    for name, value in right.items():
        assert torch.allclose(gradient[name], value, rtol=1e-10, atol=1e-14), name
    assert all(
        torch.equal(a, b) for a, b in zip(start.parameters(), model().parameters(), strict=True)
    )


def test_the_inner_adam_is_that_of_torch():
    params = {"w": torch.tensor([1.0, -2.0], dtype=torch.float64)}
    reference = nn.Parameter(params["w"].clone())
    adam, inner = torch.optim.Adam([reference], lr=0.1), InnerOptimiser("Adam a batch", 0.1)
    for gradient in torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 0.5]], dtype=torch.float64):
        reference.grad = gradient
        adam.step()
        inner.start_task()
        params = inner.step(params, {"w": gradient})
        assert torch.allclose(params["w"], reference, rtol=1e-7)


def _joined(one, other):
    names = ("support_x", "support_y", "query_x", "query_y")
    return TaskBatch(*(torch.cat([getattr(one, n), getattr(other, n)]) for n in names))


@pytest.mark.parametrize(
    ("inner", "in_batch", "in_run"),
    [
        ("Adam a run", True, True),
        ("Adam a batch", True, False),
        ("Adam a task", False, False),
        ("SGD", False, False),
    ],
)
def test_a_shared_state_leaks_from_task_to_task(inner, in_batch, in_run):
    def last_loss(before, together):
        failing = Failing(model(), Setup(inner=inner), 0.5, 0.1)
        last = make_tasks(ways=2, shape=(3,))[:1]
        if together:
            return 2 * failing.meta_gradient(_joined(before, last))[0] - alone(failing, before)
        failing.meta_gradient(before)
        return failing.meta_gradient(last)[0]

    def alone(failing, task):
        return Failing(model(), failing.setup, 0.5, 0.1).meta_gradient(task)[0]

    for together, leaks in ((True, in_batch), (False, in_run)):
        losses = [last_loss(make_tasks(ways=2, shape=(3,))[n : n + 1], together) for n in (1, 2)]
        assert (losses[0] != pytest.approx(losses[1], rel=1e-9)) == leaks


@pytest.mark.parametrize(("outer", "remembers"), [("new Adam", False), ("Adam", True)])
def test_a_new_outer_adam_only_takes_the_sign(outer, remembers):
    trained = model()
    failing = Failing(trained, Setup(inner="SGD", outer=outer), 0.5, 0.01)
    failing.outer_step(make_tasks(ways=2, shape=(3,)))
    before = [p.detach().clone() for p in trained.parameters()]
    failing.outer_step(make_tasks(ways=2, shape=(3,))[:1])
    moves = torch.cat(
        [(p - b).flatten() for p, b in zip(trained.parameters(), before, strict=True)]
    )
    assert torch.allclose(moves.abs(), torch.tensor(0.01).double(), rtol=1e-3) != remembers


def test_validation_changes_nothing():
    failing = Failing(model(), Setup(), 0.1, 0.1)
    failing.meta_gradient(make_tasks(ways=2, shape=(3,)))
    before = failing.inner.steps, dict(failing.inner.moments)
    first, second = (failing.validate(make_tasks(ways=2, shape=(3,)), 3, 2) for _ in range(2))
    assert first == second
    assert len(first[0]) == len(first[1]) == 4
    assert (failing.inner.steps, failing.inner.moments) == before


def test_each_variant_undoes_one_cause():
    changed = {
        name: len(vars(variant.setup).items() - vars(Setup()).items())
        for name, variant in VARIANTS.items()
        if variant.setup
    }
    assert changed.pop("failure") == 0
    assert set(changed.values()) == {1}


def test_the_rise_is_from_the_minimum_of_the_running_mean():
    curve = np.array([4.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    assert smooth(curve)[0] == pytest.approx(2.4)
    assert rise(curve) == pytest.approx(0.5)
    assert rise(-np.arange(11.0) + 20) == 0.0


def noise(_):
    """Stands for Omniglot: classes of noise."""
    pictures = np.random.default_rng(0).integers(0, 255, (24, 1, 28, 28), dtype=np.uint8)
    classes = ImageClasses(pictures.repeat(10, 0), tuple(map(str, range(12))), np.full(12, 20))
    return {"train": classes, "val": classes}


def test_the_command_records_draws_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.overfitting.runs.load_omniglot", noise)
    budget = Budget(steps=2, tasks=1, val_every=1, val_tasks=1)
    one_seed = {n: replace(VARIANTS[n], seeds=1) for n in ("failure", "cure")}
    monkeypatch.setattr(command, "VARIANTS", one_seed)
    runs, docs = tmp_path / "runs", tmp_path / "docs"
    command.main(["failure"], runs, docs, budget, starmap)
    first = (runs / "failure-0.json").read_text()
    command.main([], runs, docs, budget, starmap)
    assert (runs / "failure-0.json").read_text() == first
    told = json.loads((docs / "overfitting.json").read_text())
    assert [row["step"] for row in told["cure"][0]["curve"]] == [1, 2]
    assert (docs / "images" / "overfitting.png").read_bytes().startswith(b"\x89PNG")
    assert "1 inner step in validation" in capsys.readouterr().out


def test_spawned_processes_find_what_they_are_to_do():
    assert not command.record.__module__.endswith("__main__")
    assert list(command.side_by_side(pow, [(2, 3), (3, 2)])) == [8, 9]


def test_a_variant_of_another_name(tmp_path):
    with pytest.raises(SystemExit, match="unknown variant 'cures'; expected one of failure"):
        command.main(["cures"], tmp_path, tmp_path)
