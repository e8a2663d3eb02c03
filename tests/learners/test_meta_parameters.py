"""Step sizes and batch norm of each step: they are learned, and nothing leaks."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from fewstep.learners.schedules import importances
from tests.factory import cnn, make_pictures, make_tasks, mlp

STEPS = 2


network = partial(cnn, nn.Tanh(), dtype=torch.float64)


some_tasks = partial(make_pictures, shots=2, dtype=torch.float64)


def by_hand(model, tasks, rates):
    """Losses and models of each task after 0, 1, ... steps; ``rates(name, step)`` is alpha."""
    rows = []
    for number in range(len(tasks)):
        adapted, row = copy.deepcopy(model), []
        for step in range(STEPS + 1):
            loss = F.cross_entropy(adapted(tasks.query_x[number]), tasks.query_y[number])
            row.append((loss.item(), copy.deepcopy(adapted)))
            loss = F.cross_entropy(adapted(tasks.support_x[number]), tasks.support_y[number])
            gradients = torch.autograd.grad(loss, list(adapted.parameters()))
            named = list(zip(adapted.named_parameters(), gradients, strict=True))
            if step < STEPS:
                with torch.no_grad():
                    for (name, parameter), gradient in named:
                        parameter -= rates(name, step) * gradient
        rows.append(row)
    return rows


def test_each_step_takes_the_step_size_of_its_number():
    model = network()
    learner = MAML(model, 0.1, STEPS, step_sizes="per-step")
    named = dict(learner.named_parameters())
    assert named["inner_lr.0.weight"].tolist() == [0.1, 0.1]
    with torch.no_grad():
        named["inner_lr.0.weight"].copy_(torch.tensor([0.5, 0.0]))
        named["inner_lr.4.bias"].copy_(torch.tensor([0.0, 0.7]))
    rows = by_hand(model, some_tasks(), lambda name, step: float(named[f"inner_lr.{name}"][step]))
    expected = torch.tensor([[loss for loss, _ in row] for row in rows], dtype=torch.float64)
    for execution in ("loop", "vectorised"):
        learner._planner.execution = execution
        torch.testing.assert_close(learner.evaluate(some_tasks(), STEPS).losses, expected)


def test_each_element_takes_its_own_step_size():
    model = network()
    learner = MAML(model, 0.1, STEPS, step_sizes="per-element")
    named = dict(learner.named_parameters())
    with torch.no_grad():
        named["inner_lr.4.weight"].copy_(torch.linspace(0, 1, 3 * 64).view(3, 64))
    rows = by_hand(model, some_tasks(), lambda name, _: named[f"inner_lr.{name}"].detach())
    expected = torch.tensor([[loss for loss, _ in row] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(learner.evaluate(some_tasks(), STEPS).losses, expected)


@pytest.mark.parametrize("memory", ["fast", "flat"])
@pytest.mark.parametrize("outer_step", [0, 3, 10])
def test_the_loss_is_the_weighted_one_of_all_steps(memory, outer_step):
    model = network()
    learner = MAML(model, 0.2, STEPS, memory=memory, multi_step_loss=10)
    rows = by_hand(model, some_tasks(), lambda *_: 0.2)
    weights = importances(STEPS, outer_step, 10)
    expected = sum(w * loss for row in rows for w, (loss, _) in zip(weights, row, strict=True)) / 3
    loss, _ = learner.meta_gradient(some_tasks(), outer_step)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_each_step_has_its_own_scale_and_shift():
    model = network()
    learner = MAML(model, 0.2, STEPS, per_step_affine=True)
    named = dict(learner.named_parameters())
    assert "1.weight" not in named
    assert named["per_step.1.weight"].shape == (STEPS + 1, 4)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in ("per_step.1.weight", "per_step.1.bias"):
            rows = torch.randn(STEPS + 1, 4, generator=generator, dtype=torch.float64)
            named[name].copy_(rows)
    found = learner.evaluate(some_tasks(), STEPS).losses
    for number in range(3):
        adapted = copy.deepcopy(model)
        for step in range(STEPS + 1):
            with torch.no_grad():
                adapted[1].weight.copy_(named["per_step.1.weight"][step])
                adapted[1].bias.copy_(named["per_step.1.bias"][step])
            tasks = some_tasks()
            loss = F.cross_entropy(adapted(tasks.query_x[number]), tasks.query_y[number])
            assert found[number, step].item() == pytest.approx(loss.item(), rel=1e-9)
            loss = F.cross_entropy(adapted(tasks.support_x[number]), tasks.support_y[number])
            inner = [p for n, p in adapted.named_parameters() if not n.startswith("1.")]
            with torch.no_grad():
                for parameter, gradient in zip(
                    inner, torch.autograd.grad(loss, inner), strict=True
                ):
                    parameter -= 0.2 * gradient


def _after_one_update(tasks, **settings):
    learner = MAML(network(), 0.2, STEPS, per_step_statistics=True, **settings)
    learner.update_statistics(learner.differentiate(tasks, 0).statistics)
    return learner, dict(learner.named_parameters())


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("memory", ["fast", "flat"])
@pytest.mark.parametrize("multi_step_loss", [0, 10])
def test_statistics_are_those_of_the_query_sets_after_each_step(execution, memory, multi_step_loss):
    _, named = _after_one_update(
        some_tasks(), execution=execution, memory=memory, multi_step_loss=multi_step_loss
    )
    rows = by_hand(network(), some_tasks(), lambda *_: 0.2)
    for step in range(STEPS + 1):
        seen = [row[step][1][0](x) for row, x in zip(rows, some_tasks().query_x, strict=True)]
        mean = torch.stack([h.mean((0, 2, 3)) for h in seen]).mean(0).detach()
        var = torch.stack([h.var((0, 2, 3), unbiased=False) for h in seen]).mean(0).detach()
        torch.testing.assert_close(named["per_step.1.running_mean"][step].detach(), 0.1 * mean)
        torch.testing.assert_close(named["per_step.1.running_var"][step].detach(), 0.9 + 0.1 * var)


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_statistics_of_the_step_normalise_inductively(execution):
    learner, named = _after_one_update(some_tasks(), execution=execution)
    with torch.no_grad():
        for step in range(STEPS + 1):
            named["per_step.1.running_mean"][step] = 0.3 * step
            named["per_step.1.running_var"][step] = 1.0 + step
    tasks = some_tasks()
    found = learner.evaluate(tasks, STEPS, "inductive").losses
    rows = by_hand(network(), tasks, lambda *_: 0.2)
    for number, row in enumerate(rows):
        for step, (_, adapted) in enumerate(row):
            adapted[1].running_mean.fill_(0.3 * step)
            adapted[1].running_var.fill_(1.0 + step)
            prediction = adapted.eval()(tasks.query_x[number])
            loss = F.cross_entropy(prediction, tasks.query_y[number])
            assert found[number, step].item() == pytest.approx(loss.item(), rel=1e-9)
    transductive = MAML(network(), 0.2, STEPS).evaluate(tasks, STEPS).losses
    torch.testing.assert_close(learner.evaluate(tasks, STEPS, "transductive").losses, transductive)
    alone = learner.evaluate(tasks[1:2], STEPS, "inductive").losses
    torch.testing.assert_close(alone, found[1:2])


def test_statistics_of_bfloat16_are_kept_in_float32():
    x, y = some_tasks().support_x.float(), some_tasks().support_y
    settings = {"per_step_statistics": True, "step_sizes": "per-step", "multi_step_loss": 9}
    kept = {}
    for precision in ("float32", "bf16"):
        learner = MAML(network().float(), 0.2, STEPS, precision=precision, **settings)
        learner.update_statistics(learner.differentiate(TaskBatch(x, y, x, y)).statistics)
        kept[precision] = dict(learner.named_parameters())["per_step.1.running_var"].detach()
    torch.testing.assert_close(kept["bf16"], kept["float32"], rtol=1e-2, atol=1e-2)
    assert not torch.equal(kept["bf16"], kept["float32"])


def test_a_learner_that_only_judges_finds_its_plan():
    learners = [
        MAML(network(), 0.2, STEPS, per_step_statistics=True, execution=execution)
        for execution in ("auto", "chunked", "loop")
    ]
    found, chunked, loop = (each.evaluate(some_tasks(), STEPS, "inductive") for each in learners)
    torch.testing.assert_close(found, loop)
    torch.testing.assert_close(chunked, loop)


def test_an_adapted_module_uses_the_statistics_of_its_step():
    learner, named = _after_one_update(some_tasks(), norm="inductive", per_step_affine=True)
    with torch.no_grad():
        named["per_step.1.weight"][STEPS] = 2.5
    tasks = some_tasks()
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0])
    loss = F.cross_entropy(adapted(tasks.query_x[0]), tasks.query_y[0])
    assert loss.item() == pytest.approx(learner.evaluate(tasks, STEPS).losses[0, -1].item())
    one = adapted(tasks.query_x[0][:1])
    torch.testing.assert_close(one, adapted(tasks.query_x[0])[:1])


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_neither_judging_nor_a_gradient_changes_a_statistic(norm):
    learner, named = _after_one_update(some_tasks(), norm=norm)
    before = {name: value.detach().clone() for name, value in named.items()}
    learner.evaluate(some_tasks(seed=1), STEPS)
    first = learner.differentiate(some_tasks(seed=1))
    learner.adapt(some_tasks().support_x[0], some_tasks().support_y[0])
    second = learner.differentiate(some_tasks(seed=1))
    assert all(torch.equal(before[name], value) for name, value in named.items())
    torch.testing.assert_close(first.statistics, second.statistics, rtol=0, atol=0)
    assert not any("running" in name for name in first.gradient)


def test_a_task_does_not_feel_those_beside_it():
    learner = MAML(
        network(), 0.2, STEPS, per_step_statistics=True, per_step_affine=True, multi_step_loss=9,
        step_sizes="per-step", inner_optimizer="adam",
    )  # fmt: skip
    tasks = some_tasks(3)
    together = learner.differentiate(tasks, 1)
    alone = [learner.differentiate(tasks[n : n + 1], 1) for n in range(3)]
    for n, one in enumerate(alone):
        torch.testing.assert_close(together.query.losses[n], one.query.losses[0])
    for name, value in together.gradient.items():
        mean = torch.stack([one.gradient[name] for one in alone]).mean(0)
        torch.testing.assert_close(value, mean)


@pytest.mark.parametrize(
    "settings",
    [{"step_sizes": "per-step"}, {"per_step_affine": True}, {"per_step_statistics": True}],
)
def test_more_steps_than_were_learned(settings):
    learner, tasks = MAML(network(), 0.2, STEPS, **settings), some_tasks()
    with pytest.raises(InputError, match=r"steps is 3, but .* each of 2 inner steps; use at most"):
        learner.evaluate(tasks, 3)
    with pytest.raises(InputError, match="steps is 3, but"):
        learner.adapt(tasks.support_x[0], tasks.support_y[0], 3)


@pytest.mark.parametrize("setting", ["per_step_affine", "per_step_statistics"])
def test_without_batch_norm(setting):
    with pytest.raises(InputError, match="need a model with batch norm in training mode"):
        MAML(nn.Linear(4, 2), **{setting: True})


def test_more_inner_steps_than_step_sizes():
    learner = MAML(mlp(), 0.1, 2, step_sizes="per-step")
    learner.inner_steps = 3
    with pytest.raises(InputError, match="inner_steps is 3, and step sizes were made for 2"):
        learner.meta_gradient(make_tasks())
