"""Settings, models and tasks that a learner refuses: one line each."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import (
    MAML,
    R2D2,
    FineTune,
    ImplicitMAML,
    InputError,
    ProtoMAML,
    Reptile,
    TaskBatch,
)
from tests.factory import cnn, make_pictures, make_tasks, mlp

FOUR = make_tasks().tensors


def network():
    return cnn(nn.ReLU(), nn.Dropout(0.1))


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            nn.Linear,
            r"model is the class Linear; expected a module .* as in Linear\(...\)",
        ),
        (lambda x: x, "model is a function; expected a torch.nn.Module"),
        (nn.Linear(4, 3).state_dict(), "model is a OrderedDict; expected a torch.nn.Module"),
    ],
)
@pytest.mark.parametrize("kind", [MAML, Reptile, ProtoMAML])
def test_what_is_no_model(kind, model, told):
    with pytest.raises(InputError, match=told):
        kind(model)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"inner_lr": "0.1"}, "inner_lr is '0.1', a str; expected a number"),
        ({"inner_lr": None}, "inner_lr is None, a NoneType; expected a number"),
        ({"inner_lr": torch.tensor(0.1)}, "inner_lr is .*, a Tensor; expected a number"),
        ({"inner_steps": 1.5}, "inner_steps is 1.5, a float; expected a whole number"),
        ({"inner_steps": "3"}, "inner_steps is '3', a str; expected a whole number"),
        ({"inner_steps": True}, "inner_steps is True, a bool; expected a whole number"),
        ({"norm": None}, "norm is None; expected one of transductive, inductive"),
    ],
)
def test_settings_of_another_type(settings, told):
    with pytest.raises(InputError, match=told):
        MAML(nn.Linear(4, 3), **settings)


@pytest.mark.parametrize("kind", [MAML, Reptile, ProtoMAML])
@pytest.mark.parametrize("given", [(*FOUR,), [*FOUR], FOUR[0], None])
def test_tasks_that_are_no_batch(kind, given):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    told = f"tasks is a {type(given).__name__}; expected a fewstep.TaskBatch, as in TaskBatch"
    for call in ("meta_gradient", "differentiate"):
        with pytest.raises(InputError, match=told):
            getattr(kind(model), call)(given)
    with pytest.raises(InputError, match=told):
        kind(model).evaluate(given, 1)


def test_models_that_share_their_work_out():
    with pytest.raises(InputError, match=r"wrapped to share its work out .*\(.module\)"):
        MAML(nn.DataParallel(nn.Linear(4, 3))).meta_gradient(make_tasks(dtype=torch.float32))
    inside = nn.Sequential(nn.Linear(4, 3), nn.Identity())
    inside[1] = nn.DataParallel(nn.Identity())
    with pytest.raises(InputError, match="layer '1' is wrapped to share its work out"):
        MAML(inside).meta_gradient(make_tasks(dtype=torch.float32))


def test_a_model_in_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model = nn.parallel.DistributedDataParallel(nn.Linear(4, 3))
        with pytest.raises(InputError, match=r"wrapped to share .*torch.distributed.all_reduce"):
            MAML(model).meta_gradient(make_tasks(dtype=torch.float32))
        # Freed after the group, it waits for the group's threads, and one of them for it.
        del model
    finally:
        torch.distributed.destroy_process_group()


def test_a_lazy_model():
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(InputError, match="layer '0' has parameters without a shape yet"):
        MAML(model).meta_gradient(make_tasks(dtype=torch.float32))
    model(torch.randn(2, 4))
    MAML(model).meta_gradient(make_tasks(dtype=torch.float32))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"order": "second"}, "order is 'second'; expected one of exact, first"),
        ({"memory": "low"}, "memory is 'low'; expected one of fast, flat"),
        (
            {"execution": "vmap"},
            "execution is 'vmap'; expected one of auto, loop, ",
        ),
        ({"norm": "running"}, "norm is 'running'; expected one of transductive, inductive"),
        ({"inner_steps": -1}, "inner_steps is -1; expected 0 or more"),
        ({"inner_lr": -0.1}, "inner_lr is -0.1; expected 0 or more"),
        ({"inner_lr": float("nan")}, "inner_lr is nan; expected 0 or more"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(InputError, match=message):
        MAML(network(), **setting)


def test_nothing_to_learn():
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        MAML(network().requires_grad_(False))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda learner, t: learner.evaluate(t, -1), "steps is -1; expected 0 or more"),
        (lambda learner, t: learner.evaluate(t, 1, "inductve"), "norm is 'inductve'; expected"),
        (lambda learner, t: learner.adapt(t.support_x[0], t.support_y[0], -2), "steps is -2"),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(InputError, match=message):
        call(MAML(network()), make_pictures())


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


def test_support_sets_that_are_none():
    x, y, *_ = make_tasks().task(0)
    for given, told in (
        ((x.tolist(), y), "x is a list"),
        ((x, y.tolist()), "y is a list"),
        ((None, None), "x is a None"),
        ((x, 3), "y is a int"),
    ):
        with pytest.raises(InputError, match=f"{told}.*; expected a torch.Tensor"):
            MAML(mlp()).adapt(*given)


NUMBERS = [
    (partial(FineTune, inner_lr=-1), "inner_lr is -1; expected 0 or more"),
    (partial(FineTune, inner_lr=math.inf), "inner_lr is inf; expected a finite number"),
    (partial(FineTune, inner_steps=1.5), "inner_steps is 1.5, a float; expected a whole number"),
    (partial(FineTune, classes=0), "classes is 0; expected 2 or more"),
    (partial(FineTune, classes="10"), "classes is '10', a str; expected a whole number"),
    (partial(FineTune, norm="bogus"), "norm is 'bogus'; expected one of transductive"),
    (partial(FineTune, execution="bogus"), "execution is 'bogus'; expected one of"),
    (partial(FineTune, metrics=[]), r"metrics is \[\]; expected a dict of functions"),
    (partial(MAML, inner_lr=math.inf), "inner_lr is inf; expected a finite number"),
    (partial(MAML, multi_step_loss=0.1), "multi_step_loss is 0.1, a float; expected a whole"),
    (partial(MAML, first_order_steps=0.1), "first_order_steps is 0.1, a float; expected a whole"),
    (partial(R2D2, penalty="3"), "penalty is '3', a str; expected a number"),
    (partial(R2D2, penalty=math.inf), "penalty is inf; expected a finite number"),
    (partial(R2D2, penalty=math.nan), "penalty is nan; expected more than 0"),
    (partial(ImplicitMAML, proximal="3"), "proximal is '3', a str; expected a number"),
    (partial(ImplicitMAML, proximal=math.inf), "proximal is inf; expected a finite number"),
    (partial(ImplicitMAML, proximal=0), "proximal is 0; expected more than 0"),
]


@pytest.mark.parametrize(("make", "message"), NUMBERS)
def test_numbers_that_are_none(make, message):
    settings = {"loss": F.mse_loss} if make.func is R2D2 else {}
    with pytest.raises(InputError, match=message):
        make(nn.Linear(4, 3), **settings)
