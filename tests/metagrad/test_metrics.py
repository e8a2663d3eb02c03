"""Metrics: which one is told, of which labels, and those of the user's own."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep import MAML, InputError, TaskBatch
from tests.factory import make_pictures, make_tasks, mlp
from tests.plain import deviation


def _metrics(model, loss, y, **settings):
    x = torch.randn(len(y), y.shape[1], 4, generator=torch.Generator().manual_seed(0))
    learner = MAML(model, 0.1, loss=loss, **settings)
    tasks = TaskBatch(x, y, x, y)
    learner.meta_gradient(tasks)
    return learner, tasks, learner.evaluate(tasks, 1)


class Tokens(nn.Module):
    """A prediction for each of some tokens."""

    def __init__(self, tokens, words):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.shape = nn.Linear(4, tokens * words), (tokens, words)

    def forward(self, x):
        return self.body(x).unflatten(1, self.shape)


def _of_tokens(o, y):
    return F.cross_entropy(o.flatten(0, 1), y.flatten())


def test_labels_of_tokens():
    y = torch.randint(5, (2, 7, 3))
    learner, tasks, found = _metrics(Tokens(3, 5), _of_tokens, y)
    adapted = learner.adapt(*tasks.task(0)[:2])
    right = (adapted(tasks.query_x[0]).argmax(-1) == y[0]).float().mean()
    torch.testing.assert_close(found.metrics["accuracy"][0, 1], right)


def test_shapes_that_say_two_things_say_nothing():
    y = torch.randint(3, (2, 7, 3))
    _, _, found = _metrics(Tokens(3, 3), _of_tokens, y)
    assert list(found.metrics) == ["loss"]
    torch.testing.assert_close(found.scores, found.losses)
    accuracy = {"accuracy": lambda o, y: (o.argmax(-1) == y).float().mean()}
    learner, tasks, found = _metrics(Tokens(3, 3), _of_tokens, y, metrics=accuracy)
    right = (learner.adapt(*tasks.task(1)[:2])(tasks.query_x[1]).argmax(-1) == y[1]).float().mean()
    torch.testing.assert_close(found.metrics["accuracy"][1, 1], right)


@pytest.mark.parametrize(
    ("model", "loss", "y", "name"),
    [
        (nn.Linear(4, 3), F.binary_cross_entropy_with_logits, torch.rand(2, 5, 3), "loss"),
        (nn.Linear(4, 1), F.binary_cross_entropy_with_logits, torch.rand(2, 5, 1), "loss"),
        (
            nn.Linear(4, 3),
            lambda p, y: F.binary_cross_entropy_with_logits(p, y.float()),
            torch.randint(2, (2, 5, 3)),
            "loss",
        ),
        (
            nn.Linear(4, 1),
            lambda p, y: F.binary_cross_entropy_with_logits(p[:, 0], y.float()),
            torch.randint(2, (2, 5)),
            "loss",
        ),
        (nn.Linear(4, 3), F.cross_entropy, F.one_hot(torch.arange(5) % 3, 3).float(), "loss"),
        (nn.Linear(4, 2), nn.MSELoss(), torch.randn(2, 5, 2), "mse"),
        (nn.Linear(4, 3), lambda p, y: F.nll_loss(p.log_softmax(1), y), torch.arange(5) % 3, "acc"),
        (Tokens(3, 5), F.cross_entropy, torch.randint(3, (2, 5, 5)), "acc"),
    ],
)
def test_the_accuracy_is_told_only_where_the_shapes_say_so(model, loss, y, name):
    y = y if y.shape[:2] == (2, 5) else y.expand(2, *y.shape)
    _, _, found = _metrics(model, loss, y)
    ((told, values),) = found.metrics.items()
    assert told.startswith(name)
    if name != "acc":
        torch.testing.assert_close(values, found.losses)


def test_connectionist_temporal_classification():
    """Predictions ``[examples, time, labels]`` for fewer labels."""

    def ctc(o, y):
        lengths = torch.full((len(o),), 6), torch.full((len(o),), 2)
        return F.ctc_loss(o.movedim(1, 0).log_softmax(-1), y, *lengths)

    y = torch.randint(1, 4, (2, 5, 2))
    x = torch.randn(2, 5, 4)
    learner = MAML(Tokens(6, 4), loss=ctc, order="first")
    found = learner.evaluate(TaskBatch(x, y, x, y), 1)
    assert list(found.metrics) == ["loss"]


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("ignored", [0, 255])
@pytest.mark.parametrize("way", ["partial", "module"])
def test_labels_that_are_ignored_count_for_nothing(ignored, way, execution):
    make = {
        "partial": lambda: partial(F.cross_entropy, ignore_index=ignored),
        "module": lambda: nn.CrossEntropyLoss(ignore_index=ignored),
    }
    y = torch.randint(1, 3, (2, 6))
    y[:, :3] = ignored
    learner, tasks, found = _metrics(mlp().float(), make[way](), y, execution=execution)
    adapted = learner.adapt(*tasks.task(0)[:2])
    right = (adapted(tasks.query_x[0]).argmax(1) == y[0])[3:].float().mean()
    torch.testing.assert_close(found.metrics["accuracy"][0, 1], right)


@pytest.mark.parametrize("execution", ["loop", "vectorised", "auto"])
def test_metrics_of_the_users_own(execution):
    """Also such that vmap could not compute, and a graph would not pass."""
    seen = []

    def worst(prediction, target):
        seen.append(prediction.requires_grad)
        losses = F.cross_entropy(prediction, target, reduction="none").numpy()
        return losses.max().item()

    metrics = {"worst": worst, "loss": F.cross_entropy}
    learner = MAML(mlp(), 0.4, 2, metrics=metrics, execution=execution)
    tasks = make_tasks()
    found = learner.evaluate(tasks, 2)
    assert list(found.metrics) == ["worst", "loss"]
    torch.testing.assert_close(found.scores, found.metrics["worst"])
    torch.testing.assert_close(found.metrics["loss"].double(), found.losses, rtol=1e-6, atol=1e-6)
    evaluated = learner.differentiate(tasks).query
    torch.testing.assert_close(evaluated.metrics["worst"], found.scores[:, -1])
    expected = MAML(mlp(), 0.4, 2).meta_gradient(tasks)[1]
    assert deviation(learner.meta_gradient(tasks)[1], expected) < 1e-12
    assert not any(seen)


def test_metrics_of_a_prediction_that_is_a_dict():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            return {"logits": self.net(x), "more": [None, x.sum()]}

    for execution in ("loop", "vectorised"):
        learner = MAML(
            Named(),
            0.4,
            loss=lambda o, y: F.cross_entropy(o["logits"], y),
            metrics={"accuracy": lambda o, y: (o["logits"].argmax(1) == y).float().mean()},
            execution=execution,
        )
        expected = MAML(mlp(), 0.4).evaluate(make_tasks(), 1)
        found = learner.evaluate(make_tasks(), 1)
        torch.testing.assert_close(found.metrics, expected.metrics)
        learner.meta_gradient(make_tasks())


@pytest.mark.parametrize("metrics", [{}, [F.l1_loss], {"mae": 3}, {3: F.l1_loss}])
def test_what_are_no_metrics(metrics):
    with pytest.raises(InputError, match="expected a dict of functions"):
        MAML(mlp(), metrics=metrics)


@pytest.mark.parametrize("metric", [lambda p, y: p, lambda p, y: p @ p, lambda p, y: "good"])
def test_a_metric_that_makes_no_number(metric):
    learner = MAML(mlp(), metrics={"odd": metric})
    with pytest.raises(InputError, match="metric 'odd' does not make a number"):
        learner.evaluate(make_tasks(), 1)


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(ignore_index=7)])
def test_labels_left_out_do_not_count_in_the_accuracy(loss):
    whole, padded = make_pictures(), make_pictures()
    padded.query_y[:, 1:] = getattr(loss, "ignore_index", -100)
    learner = MAML(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), loss=loss)
    alone = TaskBatch(whole.support_x, whole.support_y, whole.query_x[:, :1], whole.query_y[:, :1])
    found, expected = (learner.evaluate(tasks, 2) for tasks in (padded, alone))
    torch.testing.assert_close(found.losses, expected.losses)
    torch.testing.assert_close(found.metrics, expected.metrics)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, AssertionError])
def test_a_metric_that_fails(error):
    def metric(prediction, target):
        raise error("odd")

    with pytest.raises(InputError, match=f"metric 'm' does not make a number .*{error.__name__}"):
        MAML(mlp(), metrics={"m": metric}).evaluate(make_tasks(), 1)


@dataclasses.dataclass
class _Output:
    logits: Tensor
    loss: Tensor | None = None


@dataclasses.dataclass(slots=True)
class _Slotted:
    logits: Tensor
    name: str = "output"


OBJECTS = {
    "namespace": (lambda z: SimpleNamespace(logits=z, loss=None, n=3), lambda o: o.logits),
    "deep": (lambda z: SimpleNamespace(all=[{"z": z}, None]), lambda o: o.all[0]["z"]),
    "nested": (lambda z: SimpleNamespace(of=_Output(z)), lambda o: o.of.logits),
    "dataclass": (_Output, lambda o: o.logits),
    "slots": (_Slotted, lambda o: o.logits),
    "in a dict": (lambda z: {"of": _Output(z), "n": None}, lambda o: o["of"].logits),
}


class _Wrapped(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.net, self.wrap = mlp(), wrap

    def forward(self, x):
        return self.wrap(self.net(x))


@pytest.mark.parametrize("case", OBJECTS)
def test_metrics_of_a_prediction_that_is_an_object(case):
    wrap, logits = OBJECTS[case]
    settings = {
        "loss": lambda o, y: F.cross_entropy(logits(o), y),
        "metrics": {"sum": lambda o, _: logits(o).sum()},
    }
    plain = MAML(mlp(), 0.4, metrics={"sum": lambda z, _: z.sum()}).evaluate(make_tasks())
    for execution in ("auto", "loop"):
        learner = MAML(_Wrapped(wrap), 0.4, execution=execution, **settings)
        found = learner.evaluate(make_tasks())
        torch.testing.assert_close(found.metrics, plain.metrics)
        assert learner.meta_gradient(make_tasks())[0].isfinite()
    with pytest.raises(InputError, match="hides its tensors"):
        MAML(_Wrapped(wrap), 0.4, execution="vectorised", **settings).evaluate(make_tasks())
