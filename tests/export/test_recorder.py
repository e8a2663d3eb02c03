"""Models that cannot be written down say why; what they change in place is followed."""

import pytest
import torch

from fewstep import InputError
from fewstep.export.program import Program, operations_of


def operations(function, x=None):
    x = torch.randn(4, 3) if x is None else x
    return operations_of(Program(lambda t: {"y": function(t["x"])}, {"x": x}, frozenset({"x"})))


def relu_in_place(x):
    return torch.relu_(2 * x) + 1


def a_part_in_place(x):
    y = x.clone()
    y[:, 0] = 0
    return y


@pytest.mark.parametrize("function", [relu_in_place, lambda x: x.clone().t_().t_().zero_() + x])
def test_changes_in_place_are_followed(function):
    x = torch.randn(9, 3)
    assert torch.equal(operations(function).graph(x)[0], function(x))


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (a_part_in_place, "changes a part of a tensor in place"),
        (lambda x: x if x.sum() > 0 else -x, "looks at the values"),
        (lambda x: x.neg() if len(x) > 8 else x.abs(), "depends on the number"),
        (lambda x: x[: 5 if len(x) > 8 else 3], "otherwise than linearly"),
        (lambda x: x / len(x) ** 2, "otherwise than linearly"),
        (lambda x: x.reshape(5, -1), "cannot be written down"),
    ],
)
def test_what_cannot_be_followed_is_told(function, told):
    with pytest.raises(InputError, match=told):
        operations(function)


def test_numbers_of_examples_are_not_fixed():
    """A seven of its own stays one."""
    found = operations(lambda x: (x.sum() / len(x) + torch.zeros(7, len(x), 2)).flatten())
    for examples in (1, 7, 20):
        x = torch.randn(examples, 3)
        (y,) = found.graph(x)
        torch.testing.assert_close(y, (x.sum() / len(x)).expand(7 * examples * 2))


def test_inputs_without_influence_are_left_out():
    inputs = {"x": torch.randn(4), "z": torch.randn(4)}
    found = operations_of(
        Program(
            lambda t: {"y": t["x"] + t["c"]},
            inputs,
            frozenset({"x"}),
            {"c": torch.ones(1), "d": torch.ones(1)},
        )
    )
    assert found.inputs == ("x",)
    assert list(found.constants) == ["c"]
