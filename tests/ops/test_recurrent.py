"""Recurrent layers against PyTorch's plain ones, to the second order; all tasks at once too."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import PackedSequence

from fewstep import MAML, InputError
from fewstep.functional.overrides import EAGER, TwiceDifferentiable
from fewstep.ops import recurrence, recurrent
from fewstep.ops.recurrent_cells import CELLS
from tests.exactness.cases import CASES
from tests.factory import make_tasks
from tests.ops.derivatives import TASKS, assert_same_derivatives, call_plain, random_tensor

SETTINGS = {
    "plain": {},
    "deep, both ways": {"num_layers": 2, "bidirectional": True},
    "no bias, time first": {"bias": False, "batch_first": False},
}
LAYERS = {
    **{(kind, name): s for kind in (nn.LSTM, nn.GRU, nn.RNN) for name, s in SETTINGS.items()},
    (nn.LSTM, "projected"): {"proj_size": 2},
    (nn.RNN, "relu"): {"nonlinearity": "relu"},
}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer[0].__name__}, {layer[1]}")
def test_every_output_is_that_of_each_task(layer):
    torch.manual_seed(0)
    module = layer[0](4, 5, **{"batch_first": True, **LAYERS[layer]}).double()
    weights = {n: torch.stack([p, 2 * p]) for n, p in module.named_parameters()}
    x = torch.randn(2, 3, 6, 4).double()

    def outputs(of_task, x):
        y, state = functional_call(module, of_task, (x,))
        return (y, *state) if isinstance(state, tuple) else (y, state)

    for number in range(2):
        of_task = {n: w[number] for n, w in weights.items()}
        expected = outputs(of_task, x[number])
        with TwiceDifferentiable(None, EAGER):
            for found in (
                vmap(outputs)(weights, x),
                [t[None] for t in outputs(of_task, x[number])],
            ):
                for ours, theirs in zip(found, expected, strict=True):
                    torch.testing.assert_close(ours[number % len(ours)], theirs)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer[0].__name__}, {layer[1]}")
def test_derivatives(layer):
    """With initial states, and cotangents of everything that is returned."""
    torch.manual_seed(0)
    settings = {"batch_first": True, **LAYERS[layer]}
    module = layer[0](4, 5, **settings).double()
    shapes = [p.shape for p in module.parameters()]
    number = settings.get("num_layers", 1) * (1 + settings.get("bidirectional", False))
    sizes = [settings.get("proj_size", 5), 5] if layer[0] is nn.LSTM else [5]
    examples = 3 if settings["batch_first"] else 6
    states = [random_tensor(TASKS, number, examples, size) for size in sizes]
    arguments = [random_tensor(TASKS, 3, 6, 4), *states]
    arguments += [random_tensor(TASKS, *shape) for shape in shapes]

    def total(x, *tensors):
        hx, values = tensors[: len(states)], tensors[len(states) :]
        names = [name for name, _ in module.named_parameters()]
        of_task = dict(zip(names, values, strict=True))
        hx = hx if layer[0] is nn.LSTM else hx[0]
        y, last = functional_call(module, of_task, (x, hx))
        last = last if isinstance(last, tuple) else (last,)
        return sum(t.square().sin().sum() for t in (y, *last))

    def ours(*tensors):
        with TwiceDifferentiable(None, EAGER):
            return total(*tensors)

    assert_same_derivatives(ours, total, tuple(arguments))


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_of_higher_order_are_those_of_the_plain_form(kind, fixed):
    torch.manual_seed(0)
    cell = CELLS[kind]
    shapes = ((3, 2, cell.gates * 2), (2, cell.states, 2), (cell.gates * 2, 2), (cell.gates * 2,))
    tensors = [random_tensor(*shape) for shape in shapes]
    tensors[0].requires_grad_(not fixed)
    learned = tensors[fixed:]

    def third(function):
        found = (function(*tensors),)
        for _ in range(3):
            total = sum((t**3).sum() for t in found)
            found = torch.autograd.grad(total, learned, create_graph=True)
        return found

    def plain(*tensors):
        return recurrent._plain(kind, *(t[None] for t in tensors))

    for ours, theirs in zip(third(partial(recurrent._of_tasks, kind)), third(plain), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_a_compiler_is_told_of_the_operations():
    x, s0, w = torch.randn(2, 3, 4, 6), torch.randn(2, 4, 1, 2), torch.randn(2, 6, 2)
    inputs = (x, s0, w, torch.randn(2, 6))
    states = recurrence.recurrence("gru", *inputs)
    tests = ("test_schema", "test_faketensor")
    *found, d = recurrence.gradient("gru", states, *inputs, states)
    for operation, given in (
        (recurrence.recurrence, inputs),
        (recurrence.gradient, (states, *inputs, states)),
        (recurrence.second_gradient, (*found, *inputs, states, d)),
    ):
        torch.library.opcheck(operation, ("gru", *given), test_utils=tests)


def test_dropout_draws_as_pytorch_does():
    torch.manual_seed(0)
    module, x = nn.GRU(4, 5, 3, dropout=0.4), torch.randn(6, 3, 4)
    torch.manual_seed(1)
    expected = module(x)
    torch.manual_seed(1)
    with TwiceDifferentiable(None, EAGER):
        torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_under_autocast_states_stay_single(kind):
    module, x = kind(4, 5), torch.randn(6, 3, 4)
    with torch.autocast("cpu", torch.bfloat16), TwiceDifferentiable(None, EAGER):
        y, _ = module(x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, module(x)[0], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_recording_holds_no_time_steps(name):
    """Or it would take minutes to make for sequences of some length."""
    case = next(case for case in CASES if case.name == name)
    sizes = []
    for length in (2, 9):
        longer = replace(case, shape=(length, *case.shape[1:]))
        call = partial(call_plain, longer.model(), {})
        graph = make_fx(call)(longer.tasks().support_x[0])
        sizes.append(len(graph.graph.nodes))
    assert sizes[0] == sizes[1]


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.GRU(1, 3), nn.Linear(3, 3)

    def forward(self, x):
        packed = PackedSequence(x.t().reshape(-1, 1), torch.full((x.shape[1],), len(x)))
        return self.head(self.body(packed)[1][-1])


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.LSTM(1, 3, 2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.body(x.unsqueeze(-1))[0][:, -1])


@pytest.mark.parametrize(("model", "told"), [(Packed, "packed"), (Dropping, "random")])
def test_refused_for_all_tasks_at_once(model, told):
    tasks = make_tasks(2, 2, 2, (4,))
    loss, _ = MAML(model().double(), 0.1).meta_gradient(tasks)
    assert loss > 0
    with pytest.raises(InputError, match=rf"'body' .*cannot be vectorised over tasks .*{told}"):
        MAML(model().double(), 0.1, execution="vectorised").meta_gradient(tasks)
