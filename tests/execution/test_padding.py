"""Tasks of different sizes computed together: what each is alone, whatever the padding is."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fewstep
from fewstep import MAML, TaskBatch
from fewstep.execution import compiled, padding, plan, whole
from fewstep.execution.recordings import Recordings
from fewstep.metagrad import masking
from fewstep.models import series
from fewstep.models.mlp import mlp as with_embeddings
from tests.exactness.family import FAMILY
from tests.factory import make_tasks, mlp

SIZES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=5)
WEIGHT = torch.tensor([0.5, 1.0, 2.0]).double()
LOSSES = {
    "cross-entropy": F.cross_entropy,
    "weighted": nn.CrossEntropyLoss(WEIGHT),
    "smooth": partial(F.cross_entropy, label_smoothing=0.1),
    "summed": partial(F.cross_entropy, reduction="sum"),
    "mse": F.mse_loss,
    "summed squares": nn.MSELoss(reduction="sum"),
    "l1": nn.L1Loss(),
    "smooth-l1": partial(F.smooth_l1_loss, beta=0.5),
    "huber": nn.HuberLoss(delta=0.3),
}
MODELS = {
    "mlp": (mlp, (4,)),
    "norm": (lambda: mlp(nn.Sequential(nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 6))), (4,)),
    "pictures": (
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(16, 3)),
        ).double(),
        (1, 4, 4),
    ),
    "categories": (lambda: with_embeddings(6, (8,), 3, categories=(4,)).double(), (6,)),
    "series": (lambda: series.conv1d(8, 2, 3, width=4).double(), (8, 2)),
    "lstm": (lambda: series.lstm(2, 3, layers=1, width=4).double(), (3, 2)),
}
PATHS = {
    "vectorised": {"execution": "vectorised"},
    "chunked": {"execution": "chunked"},
    "flat": {"execution": "vectorised", "memory": "flat"},
    "first order": {"execution": "vectorised", "order": "first"},
    "captured": {"execution": "captured"},
    "compiled": {"compile": True},
    "compiled one by one": {"compile": True, "execution": "loop"},
}


@pytest.fixture
def masked_always(monkeypatch):
    """Tasks of one size, too, and never without padding; nothing waits for a compiler."""

    def refuse(*_):
        raise AssertionError("computed without padding")

    monkeypatch.setattr(plan, "unpadded", refuse)
    monkeypatch.setattr(padding, "MOST_GROUPS", 0)
    monkeypatch.setattr(padding, "LEAST_OWN", 0)
    monkeypatch.setattr(plan, "_min_vmap_tasks", lambda: 1)
    for module in (compiled, whole):
        monkeypatch.setattr(module, "compiled", lambda _, __, function, *___: function)


def rows_of(sizes, loss=F.cross_entropy, shape=(4,)):
    rows = [make_tasks(1, *of, shape, seed=n).task(0) for n, of in enumerate(sizes)]
    if masking.mark_of(loss, rows[0][1]) is not None:
        return rows
    return [(x, torch.randn(len(x), 3).double(), q, torch.randn(len(q), 3).double())
            for x, _, q, _ in rows]  # fmt: skip


def maml(model, path, **settings):
    learner = MAML(model, 0.1, 2, **PATHS[path], **settings)
    learner._planner.recordings = Recordings(compiled=False, recorded=False)
    return learner


def assert_as_alone(learner, alone, rows):
    """The gradient, losses and metrics are those of each task by itself, in a plain loop."""
    tasks, each = TaskBatch.stack(rows), [TaskBatch.stack([row]) for row in rows]
    close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)
    found, expected = learner.differentiate(tasks), [alone.differentiate(task) for task in each]
    close(found.query.losses, torch.cat([of.query.losses for of in expected]))
    for name, value in found.query.metrics.items():
        close(value, torch.cat([of.query.metrics[name] for of in expected]))
    for name, value in found.gradient.items():
        close(value, torch.stack([of.gradient[name] for of in expected]).mean(0))
    tested, single = learner.evaluate(tasks, 2), [alone.evaluate(task, 2) for task in each]
    close(tested.losses, torch.cat([of.losses for of in single]))
    for name, value in tested.metrics.items():
        close(value, torch.cat([of.metrics[name] for of in single]))
    if single[0].predictions is not None:
        for found, each in zip(
            tested.predictions, zip(*[of.predictions for of in single], strict=True), strict=True
        ):
            close(found, torch.cat(each))


@pytest.mark.parametrize("path", [path for path in PATHS if path != "captured"])
@pytest.mark.usefixtures("masked_always")
@settings(max_examples=5, deadline=None)
@given(sizes=SIZES, loss=st.sampled_from(sorted(LOSSES)), model=st.sampled_from(sorted(MODELS)))
def test_uneven_tasks_are_what_they_are_alone(path, sizes, loss, model):
    make, shape = MODELS[model]
    model, loss = make(), LOSSES[loss]
    alone = MAML(model, 0.1, 2, loss=loss, order=PATHS[path].get("order", "exact"))
    learner = maml(model, path, loss=loss)
    assert_as_alone(learner, alone, rows_of(sizes, loss, shape))


@pytest.mark.parametrize("loss", ["smooth", "huber"])
@pytest.mark.usefixtures("masked_always")
def test_recorded_outer_steps_take_padding(loss):
    model, loss = mlp(), LOSSES[loss]
    learner, alone = maml(model, "captured", loss=loss), MAML(model, 0.1, 2, loss=loss)
    for sizes in ([(1, 3), (4, 2), (2, 2)], [(4, 3), (1, 1), (2, 2)]):
        assert_as_alone(learner, alone, rows_of(sizes, loss))
    assert len(learner._planner.recordings) == 1


@pytest.mark.usefixtures("masked_always")
def test_chunks_take_padding(monkeypatch):
    monkeypatch.setattr(plan, "graph_bytes", lambda *_: plan.CPU_BUDGET // 2)
    model = mlp()
    learner, alone = maml(model, "chunked"), MAML(model, 0.1, 2)
    assert_as_alone(learner, alone, rows_of([(1, 3), (4, 2), (2, 2), (1, 1), (3, 3)]))


@pytest.mark.parametrize("name", ["anil", "meta-sgd", "step sizes per step", "multi-step loss",
                                  "adam", "kept in place", "one row"])  # fmt: skip
@pytest.mark.usefixtures("masked_always")
def test_all_that_is_learned_beside_takes_padding(name):
    learner, alone = (
        MAML(mlp(), inner_steps=2, execution=execution, **{"inner_lr": 0.2, **FAMILY[name]})
        for execution in ("vectorised", "loop")
    )
    assert_as_alone(learner, alone, rows_of([(1, 3), (3, 2), (2, 2)]))


@pytest.mark.parametrize("kind", [fewstep.Reptile, fewstep.ImplicitMAML])
@pytest.mark.usefixtures("masked_always")
def test_other_learners_take_padding(kind):
    model = mlp()
    learner, alone = (kind(model, 0.1, 2, execution=of) for of in ("vectorised", "loop"))
    assert_as_alone(learner, alone, rows_of([(1, 3), (3, 2), (2, 2)]))


@pytest.mark.usefixtures("masked_always")
@pytest.mark.parametrize("path", ["vectorised", "captured", "compiled"])
def test_metrics_see_no_padding(path):
    shapes = set()

    def spread(prediction, target):
        assert not target.isnan().any()
        shapes.add((len(prediction), len(target)))
        return prediction.std() + target.max()

    metrics = {"spread": spread, "mae": F.l1_loss}
    learner, alone = (maml(mlp(), p, loss=F.mse_loss, metrics=metrics) for p in (path, "chunked"))
    assert_as_alone(learner, alone, rows_of([(1, 1), (3, 2), (2, 4)], F.mse_loss))
    assert shapes == {(3, 3), (6, 6), (12, 12)}


@pytest.mark.usefixtures("masked_always")
def test_padding_may_be_anything():
    tasks = TaskBatch.stack(rows_of([(1, 1), (3, 2), (2, 4)]))
    learner = maml(mlp(), "vectorised")
    before = learner.meta_gradient(tasks)
    tasks.support_x[0, 3:] = torch.nan
    tasks.query_y[0, 3:] = 2
    after = learner.meta_gradient(tasks)
    torch.testing.assert_close(before, after, rtol=0, atol=0)


@pytest.mark.usefixtures("masked_always")
def test_a_part_of_a_batch_is_padded_no_longer():
    tasks = TaskBatch.stack(rows_of([(1, 3), (3, 2), (4, 4)]))
    learner = maml(mlp(), "vectorised")
    found = learner.evaluate(tasks[:2])
    torch.testing.assert_close(found.losses, learner.evaluate(tasks).losses[:2])
    assert padding.padded(learner.objective(tasks[:2], "transductive")[0], tasks[:2])[
        0
    ].tasks.query_y.shape == (2, 9)


def parts_of(learner, tasks, training=True):
    objective, _ = learner.objective(tasks, learner.norm, training=training)
    return padding.padded(objective, tasks)


MANY = [(1, 1), (1, 2), (2, 2), (2, 1)]


def test_few_groups_are_computed_without_padding():
    rows = rows_of(MANY)
    assert parts_of(MAML(mlp()), TaskBatch.stack(rows))
    assert not parts_of(MAML(mlp()), TaskBatch.stack(rows[:2] * 4))


def test_so_are_tasks_that_would_be_mostly_padding():
    sizes = [(1, 1), (1, 2), (2, 1), (2, 2), (60, 1)]
    assert not parts_of(MAML(mlp()), TaskBatch.stack(rows_of(sizes)))


@pytest.mark.parametrize(
    "middle", [nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Softmax(1)], ids=["norm", "dropout", "other"]
)
def test_models_that_may_mix_get_no_padding(middle):
    assert not parts_of(MAML(mlp(middle)), TaskBatch.stack(rows_of(MANY)))


def test_dropout_that_is_off_is_no_obstacle():
    tasks = TaskBatch.stack(rows_of(MANY))
    assert parts_of(MAML(mlp(nn.Dropout(0.5))), tasks, training=False)


def test_layers_that_take_examples_for_channels_do():
    """This convolution is given no channels: an example becomes one, and they are mixed."""
    model = nn.Conv1d(3, 3, 4).double()
    rows = [(torch.randn(n, 4).double(), torch.randn(n, 1).double()) * 2 for n in (3, 1, 2)]
    tasks = TaskBatch.stack(rows)
    assert not parts_of(MAML(model, loss=F.mse_loss), tasks)


def test_targets_that_bear_the_mark_get_no_padding():
    """They would be left out like padding, or not be told from it."""
    rows = rows_of(MANY)
    rows[1][1][0] = -100
    assert not parts_of(MAML(mlp()), TaskBatch.stack(rows))
    rows = rows_of(MANY, F.mse_loss)
    rows[1][1][0] = torch.nan
    with pytest.raises(fewstep.InputError, match="finite"):
        MAML(mlp(), loss=F.mse_loss).meta_gradient(TaskBatch.stack(rows))


def test_a_known_loss_in_a_function_is_computed_without_padding():
    tasks = TaskBatch.stack(rows_of(MANY))
    assert not parts_of(MAML(mlp(), loss=lambda p, y: F.cross_entropy(p, y)), tasks)


def test_even_tasks_are_not_masked():
    learner = MAML(mlp())
    tasks = make_tasks()
    assert learner.objective(tasks, "transductive")[0].padding is None


@pytest.mark.usefixtures("masked_always")
def test_predictions_hold_no_padding():
    rows = rows_of([(1, 2), (3, 2), (2, 2)])
    learner = maml(mlp(), "vectorised")
    assert learner.evaluate(TaskBatch.stack(rows)).predictions.logits.shape == (3 * 6, 3)
    uneven = TaskBatch.stack([*rows, *rows_of([(1, 1)])])
    assert learner.evaluate(uneven).predictions.logits.shape == (3 * 6 + 3, 3)
    # A part of a batch may have no task of the longest query set.
    assert learner.evaluate(uneven[3:]).predictions.logits.shape == (3, 3)


@pytest.mark.usefixtures("masked_always")
def test_a_broken_mask_would_be_seen(monkeypatch):
    marked = masking._marked

    def forgetful(x, y, own, mark):
        own = own.clone()
        own[0] = True
        return marked(x, y, own, mark)

    monkeypatch.setattr(masking, "_marked", forgetful)
    model = mlp()
    with pytest.raises(AssertionError):
        assert_as_alone(maml(model, "vectorised"), MAML(model, 0.1, 2), rows_of(MANY))


def test_the_tasks_are_left_as_they_were():
    tasks = TaskBatch.stack(rows_of(MANY))
    before = copy.deepcopy(tasks.tensors)
    MAML(mlp(), execution="vectorised").meta_gradient(replace(tasks))
    assert all(map(torch.equal, tasks.tensors, before))
