"""A learner is a module: its modes, types, what is frozen, and how it is shown."""

import dataclasses

import pytest
import torch
from torch import nn

from fewstep import MAML, FineTune, InputError, ProtoMAML, Reptile, TaskBatch
from fewstep.learners.base import Evaluation
from tests.factory import cnn, make_pictures, make_tasks

from .every import LEARNERS, every_learner, model, plus_plus, seeded, tasks
from .shared import WAYS


def _float(batch):
    low = (t.float() if t.is_floating_point() else t for t in batch.tensors)
    return dataclasses.replace(batch.with_tensors(low), classes=batch.classes)


@every_learner
def test_another_type(make):
    learner, batch = make(), tasks()
    learner.float()
    low = _float(batch)
    expected, _ = seeded(learner.meta_gradient, low)
    learner.double()
    assert torch.float32 not in {value.dtype for value in learner.state_dict().values()}
    found, gradient = seeded(learner.meta_gradient, batch)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-4)
    assert {value.dtype for value in gradient.values()} == {torch.float64}
    with pytest.raises(InputError, match=r"the model's parameters are torch.float64"):
        learner.meta_gradient(low)


NORMS = {
    "with running statistics": lambda: nn.BatchNorm1d(6),
    "without": lambda: nn.BatchNorm1d(6, track_running_stats=False),
    "without weights": lambda: nn.BatchNorm1d(6, affine=False),
    "without both": lambda: nn.BatchNorm1d(6, affine=False, track_running_stats=False),
}
KINDS = {
    "maml": lambda network, norm: MAML(network, 0.3, 2, norm=norm),
    "protomaml": lambda network, norm: ProtoMAML(network, 0.3, 2, norm=norm),
    "reptile": lambda network, norm: Reptile(network, 0.3, 2, norm=norm),
    "finetune": lambda network, norm: FineTune(network, WAYS + 1, 0.3, 2, norm=norm),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("layer", [*NORMS.values(), None], ids=[*NORMS, "frozen by the user"])
@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_modes_change_dropout_and_no_norm(kind, layer, norm):
    made = nn.BatchNorm1d(6) if layer is None else layer()
    network = model(made.double(), nn.Dropout(0.4))
    if layer is None:
        made.running_mean.fill_(0.3)
        made.eval()
    before = [part.training for part in network.modules()]
    learner, batch = kind(network, norm), tasks()
    assert [part.training for part in network.modules()] == before
    expected = learner.evaluate(batch)
    training, evaluation = seeded(learner.meta_gradient, batch), None
    for _ in range(2):
        assert learner.eval() is learner
        assert not learner.training
        assert {p.training for p in learner.modules() if isinstance(p, nn.Dropout)} == {False}
        torch.testing.assert_close(learner.evaluate(batch), expected, rtol=0, atol=0)
        one, other = learner.meta_gradient(batch), learner.meta_gradient(batch)
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        evaluation = one
        assert learner.train() is learner
        torch.testing.assert_close(learner.evaluate(batch), expected, rtol=0, atol=0)
        torch.testing.assert_close(seeded(learner.meta_gradient, batch), training, rtol=0, atol=0)
    assert not torch.isclose(evaluation[0], training[0])
    assert learner.meta_gradient(batch)[0] != learner.meta_gradient(batch)[0]


@every_learner
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_evaluation_without_gradients_is_the_same(make, off):
    learner, batch = make(), tasks()
    expected = seeded(learner.evaluate, batch)
    x, y = batch.support_x[0], batch.support_y[0]
    adapted = learner.adapt(x, y)(x)
    with off():
        torch.testing.assert_close(seeded(learner.evaluate, batch), expected)
        torch.testing.assert_close(learner.adapt(x, y)(x), adapted)


def test_evaluation_mode_is_that_of_a_model_without_dropout():
    plain = MAML(model(nn.BatchNorm1d(6).double(), nn.Identity()), 0.3, 2)
    learner = MAML(model(nn.BatchNorm1d(6).double(), nn.Dropout(0.4)), 0.3, 2).eval()
    found, expected = (each.meta_gradient(tasks()) for each in (learner, plain))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("make", [LEARNERS["maml"], plus_plus])
def test_freezing_all_and_back(make):
    learner = make()
    learned = [name for name, p in learner.named_parameters() if p.requires_grad]
    learner.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in learner.parameters())
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        learner(tasks())
    learner.requires_grad_()
    assert [name for name, p in learner.named_parameters() if p.requires_grad] == learned


@every_learner
@pytest.mark.parametrize("step", [-1, "a", None, 1.5])
def test_an_outer_step_that_is_none(make, step):
    learner = make()
    for call in (learner, torch.no_grad()(learner.__call__), learner.meta_gradient):
        with pytest.raises(InputError, match=rf"outer_step is {step!r}[,;] "):
            call(tasks(), step)


def test_how_a_learner_is_shown():
    assert repr(MAML(model(), 0.4, 2)).splitlines() == [
        "MAML(",
        "  inner_lr=0.4, inner_steps=2",
        "  (model): Sequential(",
        "    (0): Linear(in_features=4, out_features=6, bias=True)",
        "    (1): Tanh()",
        "    (2): Linear(in_features=6, out_features=3, bias=True)",
        "  )",
        ")",
    ]


@pytest.mark.parametrize(
    ("learner", "told"),
    [
        (lambda: MAML(model(), order="first", loss="mse"), "order='first', loss=mse_loss"),
        (lambda: MAML(model(), compile=True), "inner_steps=1, compile=True\n"),
        (lambda: MAML(model(), step_sizes="per-step"), "(_step_sizes): 4 tensors"),
        (lambda: MAML(model(), metrics={"mae": torch.dist}), "metrics={mae}"),
        (lambda: MAML(model(), adapting=["0"]), "adapting=['0']"),
        (lambda: FineTune(model(), 6, new_head="zeros"), "classes=6, inner_lr=0.1, inner_steps=5"),
    ],
)
def test_what_is_shown_of_the_settings(learner, told):
    shown = repr(learner())
    assert set(told.split(", ")) <= set(shown.replace("\n  (", ", (").split(", ")) or told in shown


def _assert_predicted(learner, batch, norm, **tolerance):
    """The predictions of an evaluation are those of the module that `adapt` returns."""
    logits, labels = learner.evaluate(batch, 2, norm).predictions
    assert not logits.requires_grad
    expected = []
    for number in range(len(batch)):
        support_x, support_y, query_x, _ = batch.task(number)
        expected.append(learner.adapt(support_x, support_y, 2, norm)(query_x).detach())
    assert torch.equal(labels, torch.cat([batch.task(number)[3] for number in range(len(batch))]))
    torch.testing.assert_close(logits, torch.cat(expected), **tolerance)


@every_learner
@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_predictions_are_those_of_the_adapted_module(make, norm):
    _assert_predicted(make(), tasks(3), norm)


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("execution", ["loop", "vectorised", "chunked", "auto"])
def test_predictions_on_every_path(execution, norm):
    learner = MAML(cnn(dtype=torch.float64), 0.3, execution=execution)
    _assert_predicted(learner, make_pictures(5, dtype=torch.float64), norm)


@pytest.mark.compiled
@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_predictions_of_a_compiled_learner(norm):
    learner, batch = MAML(model(), 0.3, execution="loop", compile=True), tasks(3)
    learner.meta_gradient(batch)
    _assert_predicted(learner, batch, norm)


def test_predictions_are_of_classes_alone():
    """Of labels in a picture, of a regression and of a dict there are none."""
    x = torch.rand(2, 4, 3)
    regression = MAML(nn.Linear(3, 2), loss="mse")
    of_numbers = TaskBatch(x, torch.rand(2, 4, 2), x, torch.rand(2, 4, 2))
    assert regression.evaluate(of_numbers).predictions is None
    pixels = TaskBatch(x, torch.zeros(2, 4, 5).long(), x, torch.zeros(2, 4, 5).long())
    network = nn.Sequential(nn.Linear(3, 10), nn.Unflatten(1, (2, 5)))
    found = MAML(network).evaluate(pixels)
    assert found.predictions is None
    assert found.metrics.keys() == {"accuracy"}


def test_predictions_come_with_metrics_of_ones_own():
    def halved(prediction, target):
        prediction /= 2
        return prediction.sum()

    plain = MAML(model(), 0.3).evaluate(tasks())
    found = MAML(model(), 0.3, metrics={"halved": halved}).evaluate(tasks())
    assert found.metrics.keys() == {"halved"}
    assert torch.equal(found.predictions.logits, plain.predictions.logits)


def test_evaluations_are_put_together():
    learner, few = MAML(model(), 0.3), tasks(2)
    parts = [learner.evaluate(few[:1]), learner.evaluate(few[1:])]
    torch.testing.assert_close(Evaluation.cat(parts), learner.evaluate(few))
    # Of other sizes, as of tasks that are given one by one.
    larger = learner.evaluate(make_tasks(1, queries=3))
    together = Evaluation.cat([parts[0], larger])
    of_each = (parts[0].predictions.labels, larger.predictions.labels)
    assert torch.equal(together.predictions.labels, torch.cat(of_each))
    assert len(together.losses) == 2


@every_learner
@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_uneven_tasks_have_predictions_of_their_own_examples(make, norm):
    """Whatever padding there is: all of one task are together, and those of others behind."""
    sizes = [(3, 2), (1, 4), (2, 1), (3, 2)]
    rows = [make_tasks(1, *of, seed=n).task(0) for n, of in enumerate(sizes)]
    _assert_predicted(make(), TaskBatch.stack(rows), norm)
    learner = make().with_metrics({"right": _right})
    _assert_predicted(learner, TaskBatch.stack(rows), norm)
    found = learner.evaluate(TaskBatch.stack(rows), 2, norm).scores
    each = [learner.evaluate(TaskBatch.stack([row]), 2, norm).scores for row in rows]
    torch.testing.assert_close(found, torch.cat(each))


def _right(prediction, y):
    return (prediction.argmax(1) == y).sum()
