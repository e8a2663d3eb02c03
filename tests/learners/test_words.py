"""Mistakes of every day: one line each that says what was given and what to do."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, Parallel, ProtoMAML, Reptile, TaskBatch


def tensors(width=4):
    x, y = torch.randn(3, 6, width), torch.randint(3, (3, 6))
    return x, y, x, y


def tasks_of(width=4):
    return TaskBatch(*tensors(width))


def linear():
    return nn.Linear(4, 3)


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
        MAML(linear(), **settings)


@pytest.mark.parametrize("kind", [MAML, Reptile, ProtoMAML, lambda m: Parallel(MAML(m), 2)])
@pytest.mark.parametrize("given", [tensors(), list(tensors()), tensors()[0], None])
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
        MAML(nn.DataParallel(linear())).meta_gradient(tasks_of())
    inside = nn.Sequential(linear(), nn.Identity())
    inside[1] = nn.DataParallel(nn.Identity())
    with pytest.raises(InputError, match="layer '1' is wrapped to share its work out"):
        MAML(inside).meta_gradient(tasks_of())


def test_a_model_in_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model = nn.parallel.DistributedDataParallel(linear())
        with pytest.raises(InputError, match=r"wrapped to share .*torch.distributed.all_reduce"):
            MAML(model).meta_gradient(tasks_of())
    finally:
        torch.distributed.destroy_process_group()


def test_a_lazy_model():
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(InputError, match="layer '0' has parameters without a shape yet"):
        MAML(model).meta_gradient(tasks_of())
    model(torch.randn(2, 4))
    MAML(model).meta_gradient(tasks_of())


@dataclass
class Output:
    logits: torch.Tensor


class Returning(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.net, self.kind = linear(), kind

    def forward(self, x):
        return self.kind(logits=self.net(x))


@pytest.mark.parametrize(
    ("kind", "name", "way"),
    [
        (Output, "Output", ".logits"),
        (dict, "dict", '["logits"]'),
        (namedtuple("Named", "logits"), "Named", ".logits"),
        (lambda logits: (logits, None), "tuple", "[0]"),
    ],
)
def test_predictions_that_the_loss_does_not_take(kind, name, way):
    with pytest.raises(InputError) as caught:
        MAML(Returning(kind)).meta_gradient(tasks_of())
    assert f"the model returned a {name} and the loss takes a tensor" in str(caught.value)
    assert f"F.cross_entropy(output{way}, y)" in str(caught.value)
    assert "\n" not in str(caught.value)


class Graph(nn.Module):
    """A layer on a graph, whose edges are a matrix."""

    def __init__(self):
        super().__init__()
        self.net = linear()

    def forward(self, x, adj):
        return adj @ self.net(x)


def test_a_model_of_two_inputs():
    x, y, *_ = tensors()
    adj = torch.rand(3, 6, 6)
    with pytest.raises(InputError, match=r"'adj'.*several inputs .* as a tuple or as a dict"):
        MAML(Graph()).meta_gradient(TaskBatch(x, y, x, y))
    smaller = (x[:, :4], adj[:, :4, :4])

    def by_name(x, adj):
        return {"adj": adj, "x": x}

    gradients = [
        MAML(Graph(), 0.0, execution=execution).meta_gradient(TaskBatch(s, y, q, y[:, :4]))
        for s, q in (
            ((x, adj), smaller),
            ({"adj": adj, "x": x}, {"adj": smaller[1], "x": smaller[0]}),
        )
        for execution in ("loop", "vectorised")
        for torch_seed in [torch.manual_seed(0)]
    ]
    for loss, _ in gradients[1:]:
        torch.testing.assert_close(loss, gradients[0][0])


@pytest.mark.parametrize(
    ("x", "cure"),
    [
        (torch.zeros(2, 6, 3, 8, 8, dtype=torch.uint8), r"x.float\(\) / 255"),
        (
            torch.zeros(2, 6, 3, 8, 8, dtype=torch.float64),
            r"are torch.float32: give x.to",
        ),
        (torch.zeros(2, 6, 8, 8, 3), r"channels first: x.permute\(0, 1, 4, 2, 3\)"),
    ],
)
def test_pictures_in_another_form(x, cure):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    y = torch.randint(3, (2, 6))
    with pytest.raises(InputError, match=cure):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.net, self.error = linear(), error

    def forward(self, x):
        if self.error is not None:
            raise self.error
        return self.net(x)


@pytest.mark.parametrize("error", [RuntimeError("my own"), ValueError("my own"), KeyError("mine")])
def test_a_models_own_error_comes_through(error):
    with pytest.raises(type(error)) as caught:
        MAML(Failing(error)).meta_gradient(tasks_of())
    assert caught.value is error
    if not isinstance(error, KeyError):
        assert error.__notes__[-1].startswith("fewstep called the model with support examples")

    def loss(prediction, target):
        raise error

    with pytest.raises(type(error)) as caught:
        MAML(linear(), loss=loss).meta_gradient(tasks_of())
    assert caught.value is error


def test_integers_for_a_model_of_numbers():
    x, y = torch.zeros(2, 6, 4, dtype=torch.int64), torch.randint(3, (2, 6))
    with pytest.raises(InputError, match=r"examples are integers .* give x.to\(torch.float32\)"):
        MAML(linear()).meta_gradient(TaskBatch(x, y, x, y))


def test_a_model_in_the_place_of_a_learner():
    with pytest.raises(InputError, match=r"learner is a Linear; expected one as in fewstep.MAML"):
        Parallel(linear(), 2)


def test_one_task_of_a_batch():
    tasks = tasks_of()
    for number in (0, -1):
        with pytest.raises(InputError, match=r"expected a slice, as in tasks\[0:1\]"):
            tasks[number]
    support_x, support_y, _, query_y = tasks.task(1)
    assert torch.equal(support_x, tasks.support_x[1])
    assert support_y.shape == query_y.shape == (6,)


class Data:
    """As torch_geometric has it."""


def test_inputs_that_are_no_tensors():
    _, y, *_ = tensors()
    with pytest.raises(InputError, match=r"support_x is a Data; expected a torch.Tensor, or"):
        TaskBatch(Data(), y, Data(), y)
    with pytest.raises(InputError, match=r"support_x\['x'\] is a list; expected"):
        TaskBatch({"x": [1]}, y, {"x": [1]}, y)
    with pytest.raises(InputError, match=r"support_x is empty"):
        TaskBatch({}, y, {}, y)


def test_a_batch_shows_its_shapes():
    x, y, *_ = tensors()
    assert repr(tasks_of()) == (
        "TaskBatch(3 tasks, support_x=[3, 6, 4], support_y=[3, 6], "
        "query_x=[3, 6, 4], query_y=[3, 6])"
    )
    nested = TaskBatch({"ids": x, "mask": y}, y, {"ids": x, "mask": y}, y)
    assert "support_x={'ids': [3, 6, 4], 'mask': [3, 6]}" in repr(nested)


def test_single_tasks_become_a_batch():
    x, y, *_ = tensors()
    rows = [(x[i], y[i], x[i], y[i]) for i in range(3)]
    assert torch.equal(TaskBatch.stack(rows).support_x, x)
    nested = [({"a": x[i], "b": (y[i],)}, y[i], {"a": x[i], "b": (y[i],)}, y[i]) for i in range(3)]
    batch = TaskBatch.stack(nested)
    assert torch.equal(batch.query_x["b"][0], y)
    assert batch[1:].support_x["a"].shape == (2, 6, 4)
    for given, told in (
        ([], "no task is given"),
        ([rows[0][:3]], "task 0 is a tuple of 3; expected the four"),
        ([x], "task 0 is a Tensor; expected the four"),
        (
            [rows[0], (x[1, :5], y[1, :5], x[1], y[1])],
            r"support_x of task 1 is \[5, 4\]",
        ),
    ):
        with pytest.raises(InputError, match=told):
            TaskBatch.stack(given)


@pytest.mark.parametrize(
    ("query_x", "told"),
    [
        (lambda x, y: x, "the support examples have .* and the query examples"),
        (lambda x, y: {"ids": x}, "the support examples have .* and the query examples"),
        (lambda x, y: {"ids": x, "mask": y.float()}, "expected the same type"),
        (lambda x, y: {"ids": x, "mask": y[:2]}, r"query_x\['mask'\] has 2 tasks"),
        (lambda x, y: {"ids": x, "mask": y[:, :2]}, r"query_x\['mask'\] is \[3, 2\] and query_y"),
    ],
)
def test_parts_that_do_not_fit(query_x, told):
    x, y, *_ = tensors()
    with pytest.raises(InputError, match=told):
        TaskBatch({"ids": x, "mask": y}, y, query_x(x, y), y)


class Masked(nn.Module):
    """Token ids with their mask, as language models take them."""

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
    _, y, *_ = tensors()
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
    loss = Parallel(learner, 2).meta_gradient(tasks)[0]
    torch.testing.assert_close(loss, learner.meta_gradient(tasks)[0])


def test_inputs_by_name_compiled():
    torch.manual_seed(0)
    x = {"attention_mask": torch.ones(3, 6, 7), "input_ids": torch.randint(9, (3, 6, 7))}
    _, y, *_ = tensors()
    tasks, model = TaskBatch(x, y, x, y), Masked()
    found = MAML(model, 0.4, compile=True).meta_gradient(tasks)
    torch.testing.assert_close(found, MAML(model, 0.4).meta_gradient(tasks))
