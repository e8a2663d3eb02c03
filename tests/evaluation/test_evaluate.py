"""Mean and interval are over tasks, and parameters that are lent come back."""

import math

import numpy
import pandas
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

import fewstep
from fewstep import InputError
from fewstep.data import Table
from fewstep.data.sinusoid import SinusoidSampler
from fewstep.evaluation.evaluate import borrowed, evaluate_tasks, interval, means
from fewstep.learners.base import Evaluation
from tests.tables import lines


class Counted:
    """Stands for sampler and learner: the score of task i after s steps is i + s."""

    def named_parameters(self):
        return iter(())

    def batch(self, indices):
        return torch.tensor([[float(i)] for i in indices])

    def evaluate(self, tasks, steps, norm):
        scores = tasks + torch.arange(steps + 1.0)
        return Evaluation(2 * scores, {"score": scores})


def test_every_task_counts_once():
    counted, done = Counted(), []
    result = means(evaluate_tasks(counted, counted, 45, 2, "transductive", done.append))
    assert result.score.mean == result.metrics["score"].mean == [22.0, 23.0, 24.0]
    assert result.loss.mean == [44.0, 46.0, 48.0]
    assert sum(done) == result.tasks == 45


def test_the_interval_is_that_of_student_over_tasks():
    scores = torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=torch.float64)
    assert interval(scores).item() == pytest.approx(3.1824 * math.sqrt(1 / 3) / 2, rel=2e-3)
    assert interval(scores[:1]).isnan().all()


@pytest.mark.parametrize("tasks", [2, 3, 6, 30])
def test_the_interval_holds_as_often_as_it_says(tasks):
    torch.manual_seed(0)
    scores = torch.randn(tasks, 20_000, dtype=torch.float64)
    inside = scores.mean(0).abs() <= interval(scores)
    assert inside.double().mean() == pytest.approx(0.95, abs=0.006)


def test_borrowed_parameters_come_back_even_after_an_error():
    layer = nn.Linear(2, 1)
    own = {name: p.detach().clone() for name, p in layer.named_parameters()}
    other = {name: torch.full_like(p, 7.0) for name, p in own.items()}
    with pytest.raises(RuntimeError), borrowed(dict(layer.named_parameters()), other):
        assert (layer.weight == 7).all()
        raise RuntimeError
    assert all(torch.equal(p, own[name]) for name, p in layer.named_parameters())


TASKS = SinusoidSampler(5, 5, split="test")


def learner(**settings):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    return fewstep.MAML(model, inner_lr=0.05, inner_steps=2, loss="mse", **settings)


@pytest.mark.parametrize("form", ["source", "function", "batches", "tasks", "loader", "generator"])
def test_each_form_of_tasks_shows_the_same(form):
    batch = TASKS.batch(range(25))
    singles = [batch.task(n) for n in range(25)]
    given = {
        "source": TASKS,
        "function": lambda number: batch[5 * number : 5 * number + 5],
        "batches": [batch[:3], batch[3:]],
        "tasks": singles,
        "loader": DataLoader(singles, batch_size=4),
        "generator": (batch[n : n + 1] for n in range(25)),
    }[form]
    found = fewstep.evaluate(learner(), given, n=25)
    expected = fewstep.evaluate(learner(), batch)
    assert found.tasks == expected.tasks == 25
    for one, other in zip(found.score, expected.score, strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    assert len(found.loss.mean) == 3


def test_a_source_has_600_tasks_unless_told_otherwise():
    assert fewstep.evaluate(learner(), TASKS, steps=1).tasks == 600
    assert fewstep.evaluate(learner(), TASKS.batch(range(25)), n=7).tasks == 7


def test_the_interval_is_that_over_tasks():
    batch = TASKS.batch(range(25))
    losses = learner().evaluate(batch, 3).losses
    result = fewstep.evaluate(learner(), batch, 3)
    assert result.loss.mean == pytest.approx(losses.mean(0).tolist(), rel=1e-5)
    half = 2.0639 * losses.std(0) / 5
    assert result.loss.ci95 == pytest.approx(half.tolist(), rel=1e-4)


def test_it_prints_as_a_table_with_its_protocol():
    metrics = {"accuracy": lambda prediction, y: 0.5, "mae": F.l1_loss}
    of = learner(metrics=metrics)
    of.model.append(nn.BatchNorm1d(1))
    told = str(fewstep.evaluate(of, TASKS, 1, "inductive", n=25))
    head, first, second, last = told.splitlines()
    assert head.split("  ")[0] == "inner steps"
    assert [name for name in ("accuracy", "mae", "loss") if name in head] == [*metrics, "loss"]
    assert first.split()[:3] == ["0", "50.0%", "±"]
    assert second.split()[0] == "1"
    assert last == "mean ± 95% interval over 25 tasks; inductive batch norm"


def test_nothing_is_changed():
    of = learner()
    before = [p.clone() for p in of.parameters()]
    state = torch.get_rng_state()
    fewstep.evaluate(of, TASKS.batch(range(4)), steps=2)
    assert all(torch.equal(p, q) for p, q in zip(of.parameters(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_of_one_task_count_as_one():
    """Their mean is one value of the interval, wherever tasks have names."""

    class Named:
        batch = staticmethod(TASKS.batch)

        def names_of(self, indices):
            return ["ab"[i % 5 > 0] for i in indices]

    drawn = learner().evaluate(TASKS.batch(range(40)), 2).scores
    found = fewstep.evaluate(learner(), Named(), steps=2, n=40)
    first = torch.arange(40) % 5 == 0
    means = torch.stack([drawn[first].mean(0), drawn[~first].mean(0)])
    assert found.tasks == 2
    assert found.score.mean == pytest.approx(means.mean(0).tolist(), rel=1e-5)
    half = 12.7062 * means.std(0) / 2**0.5
    assert found.score.ci95 == pytest.approx(half.tolist(), rel=1e-4)


def test_errors_are_shown_in_the_unit_of_the_target_alone():
    of = fewstep.MAML(nn.Linear(3, 1), loss="mse", metrics={"rmse": lambda p, y: (p - y).std()})
    x, y = torch.rand(4, 5, 3), torch.rand(4, 5, 1)
    found = fewstep.evaluate(of, fewstep.TaskBatch(x, y, x, y), steps=1)
    assert "rmse" in repr(found)
    assert "loss" not in repr(found)
    assert "loss" in found.columns


@pytest.fixture(scope="module")
def sites():
    """Tasks of a table whose target has a deviation of about 20."""
    return Table(lines(), task="site", target="level").tasks(k_shot=5, q_query=9)


def of_numbers(kind=fewstep.MAML, **settings):
    torch.manual_seed(0)
    return kind(nn.Linear(1, 1), inner_lr=0.1, inner_steps=1, **{"loss": "mse", **settings})


@pytest.mark.parametrize(
    "make",
    [
        of_numbers,
        lambda: of_numbers(loss=nn.HuberLoss()),
        lambda: of_numbers(fewstep.Reptile),
        lambda: fewstep.FineTune(nn.Linear(1, 1), None, 0.1, 1, loss="mse"),
    ],
    ids=["maml", "huber", "reptile", "finetune"],
)
def test_a_source_tells_the_metrics_in_its_unit(make, sites):
    of = make()
    before = repr(of), sorted(vars(of))
    found = fewstep.evaluate(of, sites, n=4)
    assert [*found.metrics] == ["rmse"]
    assert "loss" not in repr(found)
    assert 10 < found.score.mean[0] < 40
    # What it is given alone, it tells by itself: nothing stays.
    assert "rmse" not in fewstep.evaluate(of, sites.batch(range(4))).metrics
    assert (repr(of), sorted(vars(of))) == before


@pytest.mark.parametrize("q_query", [1, 2, 20])
def test_the_rmse_of_a_task_hardly_depends_on_the_query_rows(q_query):
    """Of one query row each the mean of roots would be the mean absolute error, 0.8 of it."""
    noise = numpy.random.default_rng(0).normal(size=30 * 40)
    rows = {"site": numpy.repeat(numpy.arange(30), 40), "x": noise[::-1], "y": noise}
    table = Table(pandas.DataFrame(rows), task="site", target="y")
    learner, tasks = of_numbers(), table.tasks(k_shot=2, q_query=q_query)
    for parameter in learner.parameters():
        nn.init.zeros_(parameter)
    found = fewstep.evaluate(learner, tasks, 0, n=30 * 40)
    assert found.score.mean[0] == pytest.approx(noise.std(), rel=0.1)


def test_metrics_and_losses_of_ones_own_come_first(sites):
    given = of_numbers(metrics={"mae": F.l1_loss})
    assert [*fewstep.evaluate(given, sites, n=2).metrics] == ["mae"]
    # What such a loss takes for a prediction, no metric of the source can know.
    torch.manual_seed(0)
    spread = fewstep.MAML(
        nn.Linear(1, 2), loss=lambda p, y: F.gaussian_nll_loss(p[:, :1], y, p[:, 1:].exp())
    )
    assert [*fewstep.evaluate(spread, sites, n=2, steps=1).metrics] == ["loss"]


def test_a_metric_that_is_the_loss_is_shown_once():
    x, y = torch.rand(4, 5, 3), torch.rand(4, 5, 1)
    found = fewstep.evaluate(
        fewstep.MAML(nn.Linear(3, 1), loss="mse"), fewstep.TaskBatch(x, y, x, y)
    )
    assert repr(found).split()[:3] == ["inner", "steps", "mse"]
    assert "loss" not in repr(found)
    assert found.columns.keys() == {"mse", "loss"}


def test_it_tells_of_batch_norm_where_there_is_one():
    x, y = torch.rand(4, 5, 3), torch.rand(4, 5, 2)
    for layers, told in ((), ""), ((nn.BatchNorm1d(3),), "; transductive batch norm"):
        model = nn.Sequential(*layers, nn.Linear(3, 2))
        found = fewstep.evaluate(fewstep.MAML(model, loss="mse"), fewstep.TaskBatch(x, y, x, y))
        assert repr(found).endswith(f"over 4 tasks{told}")


def test_many_processes_show_the_same():
    batch = TASKS.batch(range(6))
    found = fewstep.evaluate(learner(), batch, workers=2)
    expected = fewstep.evaluate(learner(), batch)
    assert found.norm == expected.norm == "transductive"
    assert found.score.mean == pytest.approx(expected.score.mean, rel=1e-5)


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ([], "tasks is empty; expected at least one task"),
        (7, "the tasks are of type int; expected a TaskBatch, a source with"),
        (torch.zeros(2, 3), "the tasks are of type Tensor; expected a TaskBatch"),
        ([torch.zeros(2, 3)], "task 0 is a Tensor; expected the four of"),
        ([(1, 2, 3)], "task 0 is a tuple of 3; expected the four of"),
        (lambda: 1, "tasks is a function that cannot be called with a number alone"),
        ("tasks", "the tasks are of type str; expected a TaskBatch"),
    ],
    ids=["none", "number", "tensor", "tensors", "three", "function", "text"],
)
def test_what_is_no_tasks(tasks, told):
    with pytest.raises(InputError, match=told):
        fewstep.evaluate(learner(), tasks)


@pytest.mark.parametrize(
    ("n", "told"),
    [
        ("a", "n is 'a', a str; expected a whole number"),
        (1.5, "n is 1.5, a float; expected a whole number"),
        (0, "n is 0; expected 1 or more"),
        (-3, "n is -3; expected 1 or more"),
    ],
)
def test_a_number_of_tasks_that_is_none(n, told):
    with pytest.raises(InputError, match=told):
        fewstep.evaluate(learner(), TASKS, n=n)


def test_a_network_is_no_learner():
    with pytest.raises(InputError, match="learner is a Linear; expected a learner, as in"):
        fewstep.evaluate(nn.Linear(1, 1), TASKS)
