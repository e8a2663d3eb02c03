"""Losses that read the model, have parameters, or are no cross-entropy; and the metrics."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, ImplicitMAML, InputError, Parallel, Reptile, TaskBatch, check_gradient

from ..plain import deviation, plain_meta_gradient
from ..slopes import relative_error, slopes_of

PATHS = (
    {"execution": "loop"},
    {"execution": "loop", "memory": "flat"},
    {},
    {"execution": "vectorised"},
    {"execution": "vectorised", "memory": "flat"},
)


def tasks_of(number=3, examples=6):
    generator = torch.Generator().manual_seed(0)

    def x():
        return torch.randn(number, examples, 4, generator=generator, dtype=torch.float64)

    def y():
        return torch.randint(3, (number, examples), generator=generator)

    return TaskBatch(x(), y(), x(), y())


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


class Bayesian(nn.Module):
    """Says in its forward how far its weights are from zero."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.kl = None

    def forward(self, x):
        self.kl = sum(p.square().sum() for p in self.net.parameters())
        return self.net(x)


def _penalised(model):
    return lambda p, y: (
        F.cross_entropy(p, y) + 0.05 * sum(q.square().sum() for q in model.parameters())
    )


@pytest.mark.parametrize("kind", ["parameters", "attribute"])
@pytest.mark.parametrize("settings", PATHS)
def test_a_loss_that_reads_the_model_sees_it_adapted(kind, settings):
    model = mlp() if kind == "parameters" else Bayesian()
    loss = _penalised(model) if kind == "parameters" else _of_kl(model)
    _, expected = plain_meta_gradient(
        model,
        tasks_of(),
        0.4,
        2,
        lambda p, y, params: (
            F.cross_entropy(p, y) + 0.05 * sum(q.square().sum() for q in params.values())
        ),
    )
    model.kl = None
    found = MAML(model, 0.4, 2, loss=loss, **settings).meta_gradient(tasks_of())[1]
    assert deviation(found, expected) < 1e-10
    assert model.kl is None


def _of_kl(model):
    return lambda p, y: F.cross_entropy(p, y) + 0.05 * model.kl


class Weighted(nn.Module):
    """A loss with parameters of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64))
        self.fixed = nn.Parameter(torch.ones((), dtype=torch.float64), requires_grad=False)

    def forward(self, prediction, target):
        return F.cross_entropy(prediction * self.scale, target) * self.fixed


@pytest.mark.parametrize("settings", [*PATHS, {"compile": True}])
def test_the_parameters_of_a_loss_are_learned_and_do_not_adapt(settings):
    learner = MAML(mlp(), 0.4, 2, loss=Weighted(), **settings)
    names = dict(learner.named_parameters())
    assert "loss.scale" in names
    assert "loss.fixed" not in names
    gradient = learner.meta_gradient(tasks_of())[1]
    slopes = slopes_of(lambda: learner.evaluate(tasks_of(), 2).losses[:, -1].mean(), names)
    assert relative_error(gradient, slopes) < 1e-6
    assert gradient["loss.scale"].norm() > 1e-3


def test_other_learners_learn_a_loss_too():
    model, loss = mlp(), Weighted()
    learner = ImplicitMAML(model, 0.3, 60, proximal=2.0, cg_steps=30, loss=loss)
    report = check_gradient(learner, tasks_of(2), directions=1)
    assert report.parameters["loss.scale"].deviation < 1e-5
    assert Parallel(learner, 2).meta_gradient(tasks_of(2))[1]["loss.scale"].norm() > 0
    assert Reptile(model, 0.3, loss=loss).meta_gradient(tasks_of())[1]["loss.scale"].norm() == 0


class WithLoss(nn.Module):
    """The loss is a method of the model, or of another module."""

    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(), nn.Parameter(torch.ones(3, dtype=torch.float64))

    def forward(self, x):
        return self.net(x)

    def measure(self, prediction, target):
        return F.cross_entropy(prediction * self.scale, target)


def test_a_loss_that_is_a_method():
    model, other = WithLoss(), WithLoss()
    inside = MAML(model, 0.4, 2, loss=model.measure)
    assert "loss.scale" not in dict(inside.named_parameters())
    assert check_gradient(inside, tasks_of(2)).exact
    outside = MAML(mlp(), 0.4, 2, loss=other.measure)
    assert "loss.scale" in dict(outside.named_parameters())
    assert check_gradient(outside, tasks_of(2)).exact


def test_losses_by_name():
    x, y = torch.randn(2, 5, 4), torch.randn(2, 5, 1)
    learner = MAML(nn.Linear(4, 1), loss="mse")
    assert learner.loss is F.mse_loss
    assert list(learner.evaluate(TaskBatch(x, y, x, y), 1).metrics) == ["mse"]
    assert MAML(mlp(), loss="cross_entropy").loss is F.cross_entropy


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ("mae", "loss is 'mae'; expected a function of .* or one of cross_entropy, mse"),
        (nn.MSELoss, "loss is the class MSELoss; expected a function"),
        (3, "loss is 3; expected a function"),
    ],
)
def test_what_is_no_loss(loss, told):
    with pytest.raises(InputError, match=told):
        MAML(mlp(), loss=loss)


@pytest.mark.parametrize("target", [torch.randn(2, 5, 1), torch.zeros(2, 5, dtype=torch.int64)])
def test_cross_entropy_of_one_number_is_refused(target):
    x = torch.randn(2, 5, 4)
    with pytest.raises(InputError, match=r"one number an example.*loss=F.mse_loss"):
        MAML(nn.Linear(4, 1)).meta_gradient(TaskBatch(x, target, x, target))


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
    tasks = tasks_of()
    found = learner.evaluate(tasks, 2)
    assert list(found.metrics) == ["worst", "loss"]
    torch.testing.assert_close(found.scores, found.metrics["worst"])
    torch.testing.assert_close(found.metrics["loss"].double(), found.losses, rtol=1e-6, atol=1e-6)
    judged = learner.differentiate(tasks).query
    torch.testing.assert_close(judged.metrics["worst"], found.scores[:, -1])
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
        expected = MAML(mlp(), 0.4).evaluate(tasks_of(), 1)
        found = learner.evaluate(tasks_of(), 1)
        torch.testing.assert_close(found.metrics, expected.metrics)
        learner.meta_gradient(tasks_of())


@pytest.mark.parametrize("metrics", [{}, [F.l1_loss], {"mae": 3}, {3: F.l1_loss}])
def test_what_are_no_metrics(metrics):
    with pytest.raises(InputError, match="expected a dict of functions"):
        MAML(mlp(), metrics=metrics)


@pytest.mark.parametrize("metric", [lambda p, y: p, lambda p, y: p @ p, lambda p, y: "good"])
def test_a_metric_that_makes_no_number(metric):
    learner = MAML(mlp(), metrics={"odd": metric})
    with pytest.raises(InputError, match="metric 'odd' does not make a number"):
        learner.evaluate(tasks_of(), 1)


@pytest.mark.parametrize("inner_optimizer", ["sgd", "momentum", "adam"])
def test_both_parts_of_complex_parameters_adapt(inner_optimizer):
    """As they do as two real numbers each."""

    class Complex(nn.Module):
        def __init__(self, of_real):
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            weight = torch.randn(4, 3, dtype=torch.complex128, generator=generator)
            self.of_real = of_real
            self.weight = nn.Parameter(torch.view_as_real(weight).clone() if of_real else weight)

        def forward(self, x):
            weight = torch.view_as_complex(self.weight) if self.of_real else self.weight
            return (x.to(weight.dtype) @ weight).abs().square()

    losses, gradients = [], []
    for of_real in (False, True):
        learner = MAML(Complex(of_real), 0.1, 3, inner_optimizer=inner_optimizer)
        loss, gradient = learner.meta_gradient(tasks_of(2))
        losses.append(loss)
        gradients.append(gradient["weight"])
    torch.testing.assert_close(*losses, rtol=1e-10, atol=0)
    torch.testing.assert_close(torch.view_as_real(gradients[0]), gradients[1])
    assert check_gradient(MAML(Complex(False), 0.1, 2), tasks_of(2)).exact
