"""What stands in for functions of PyTorch takes their arguments, by name and in unusual forms."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.functional.overrides import EAGER, RECORDABLE, TRACEABLE
from tests.ops.derivatives import assert_same_derivatives, random_tensor

TABLES = {"eager": EAGER, "traceable": TRACEABLE, "recordable": RECORDABLE}


def _normal(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


PICTURES, SIGNALS, ROWS = _normal(2, 4, 6, 6), _normal(2, 4, 9), _normal(5, 4)
BY_NAME = {
    torch.conv2d: {"input": PICTURES, "weight": _normal(3, 4, 2, 2), "bias": None, "padding": 1},
    torch.conv1d: {"input": SIGNALS, "weight": _normal(3, 4, 2), "stride": 2},
    torch.max_pool2d: {"input": PICTURES, "kernel_size": 2},
    F.max_pool2d: {"input": PICTURES, "kernel_size": 2, "stride": None},
    F.group_norm: {"input": PICTURES, "num_groups": 2, "weight": _normal(4)},
    F.instance_norm: {"input": PICTURES, "weight": _normal(4), "bias": _normal(4)},
    F.layer_norm: {"input": ROWS, "normalized_shape": [4], "bias": _normal(4)},
    F.adaptive_avg_pool2d: {"input": PICTURES, "output_size": 1},
    F.relu: {"input": ROWS, "inplace": False},
    torch.relu: {"input": ROWS},
    torch._weight_norm: {"v": ROWS, "g": _normal(5, 1), "dim": 0},
    F.hardsigmoid: {"input": ROWS, "inplace": False},
    F.hardswish: {"input": ROWS, "inplace": False},
    torch.cdist: {
        "x1": ROWS,
        "x2": PICTURES[0, :, :, 0].mT,
        "p": 3.0,
        "compute_mode": "donot_use_mm_for_euclid_dist",
    },
    torch.pdist: {"input": ROWS, "p": 1.0},
    F.embedding: {"input": torch.tensor([1, 0, 4]), "weight": ROWS, "padding_idx": -1},
    torch.embedding: {"weight": ROWS, "indices": torch.tensor([1, 0, 4]), "padding_idx": 4},
    F.embedding_bag: {
        **{"input": torch.tensor([[1, 0], [4, 4]]), "weight": ROWS, "mode": "sum"},
        **{"per_sample_weights": _normal(2, 2), "padding_idx": -1},
    },
    F.scaled_dot_product_attention: {
        **{"query": PICTURES, "key": PICTURES, "value": PICTURES},
        **{"attn_mask": None, "is_causal": True, "scale": 2.0},
    },
}
"""The arguments of each function by the names that PyTorch has for them."""

OF_A_TENSOR = {Tensor.relu, Tensor.register_hook}
LAYERS = {torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu, F.multi_head_attention_forward}
"""Called by PyTorch's own layers in one way, and tested with these."""


def test_each_stand_in_has_a_row():
    tabled = {function for table in TABLES.values() for function in table}
    read = {function for function in tabled if getattr(function, "__name__", "") == "__get__"}
    assert tabled - read - OF_A_TENSOR - LAYERS == set(BY_NAME)


@pytest.mark.parametrize("table", TABLES)
def test_arguments_by_name(table):
    for function, arguments in BY_NAME.items():
        if function in TABLES[table]:
            found = TABLES[table][function](**arguments)
            torch.testing.assert_close(found, function(**arguments))


def _looked_up(padding):
    places = torch.tensor([[0, 1, 4], [4, 2, 2]])
    return lambda function: lambda w: function(places, w, padding_idx=padding).sin().sum()


UNUSUAL = {
    "embedding of the last": (F.embedding, _looked_up(-1), [(5, 3)]),
    "embedding from the end": (F.embedding, _looked_up(-5), [(5, 3)]),
    "weight norm of the last but one": (
        *(torch._weight_norm, lambda f: lambda v, g: f(v, g, -2).sin().sum()),
        [(4, 3, 2), (1, 3, 1)],
    ),
    "weight norm of the last": (
        *(torch._weight_norm, lambda f: lambda v, g: f(v, g, 2).sin().sum()),
        [(4, 3, 2), (1, 1, 2)],
    ),
    "weight norm of all": (
        *(torch._weight_norm, lambda f: lambda v, g: f(v, g, -1).sin().sum()),
        [(4, 3, 2), ()],
    ),
    "convolution of one picture": (
        *(torch.conv2d, lambda f: lambda x, w: f(x, w, stride=[2, 1]).sin().sum()),
        [(2, 5, 4), (3, 2, 2, 2)],
    ),
    "pooling of one picture": (
        *(F.max_pool2d, lambda f: lambda x: f(x, [2, 2], [2]).sin().sum()),
        [(2, 5, 4)],
    ),
    "group norm of rows": (
        *(F.group_norm, lambda f: lambda x, w: f(x, 2, w, bias=w).sin().sum()),
        [(3, 4), (4,)],
    ),
    "distances of many": (
        *(torch.cdist, lambda f: lambda x, y: f(x, y, 4).sin().sum()),
        [(2, 3, 4), (1, 5, 4)],
    ),
}


@pytest.mark.parametrize(
    ("table", "name"),
    [(table, name) for name in UNUSUAL for table in TABLES if UNUSUAL[name][0] in TABLES[table]],
)
def test_unusual_arguments(table, name):
    function, call, shapes = UNUSUAL[name]
    reference = {torch._weight_norm: _weight_norm, torch.cdist: _fourth_distance}
    torch.manual_seed(0)
    assert_same_derivatives(
        call(TABLES[table][function]),
        call(reference.get(function, function)),
        [random_tensor(3, *shape) for shape in shapes],
    )


def _weight_norm(v, g, dim):
    """By PyTorch's definition; its own has a wrong second derivative."""
    if dim == -1:
        return v * g / v.square().sum().sqrt()
    rows = v.movedim(dim, 0)
    lengths = rows.flatten(1).square().sum(1).sqrt()
    return (rows / lengths.view(-1, *[1] * (v.dim() - 1))).movedim(0, dim) * g


def _fourth_distance(x, y, p):
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).pow(p).sum(-1).pow(1 / p)


def _signals_of_all_kinds():
    x = _normal(2, 3, 7, 8)
    x[0, :, 0, 1] = x[1, 0, 1:3, :] = x[1, 1, 4, 6] = torch.nan
    x[0, 0, 2:6, 2:6] = -torch.inf
    x[0, 1, 3, 4:6] = x[0, 2, 0, 0] = torch.inf
    return x


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("window", [(2,), ((2, 3),), (3, 2, 1), (2, 1), (3, 1, 1, 2)])
def test_pooling_of_what_is_not_finite(table, window):
    """NaN is the largest of its window, and infinite numbers leave others as they are."""
    pool, x = TABLES[table][F.max_pool2d], _signals_of_all_kinds()
    torch.testing.assert_close(
        torch.func.vmap(lambda x: pool(x, *window))(x.unsqueeze(1)).squeeze(1),
        F.max_pool2d(x, *window),
        equal_nan=True,
    )
    x.requires_grad_()
    found, expected = (
        torch.autograd.grad(f(x, *window).sum(), x)[0].isfinite() for f in (pool, F.max_pool2d)
    )
    assert torch.equal(found, expected)
