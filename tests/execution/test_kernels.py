import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from fewstep.execution import kernels
from fewstep.execution.kernels import NotCompiledError, made
from fewstep.runtime.compile_cache import OPTIONS

X = torch.tensor([1.0, 2.0, 3.0])


def two(x):
    """A result of some length, and one that is rounding alone."""
    return [x * 2, (x - x) + 1e-9]


@pytest.mark.parametrize(
    ("results", "is_right"),
    [
        (lambda x: [x * 2, x * 0], True),
        (lambda x: [x * 2.01, x * 0 + 1e-8], True),
        (lambda x: [x * 2.5, x * 0], False),
        (lambda x: [x * 2, x * 0 + 1], False),
        (lambda x: [x * float("nan"), x * 0], False),
        (lambda x: [x * 2, x * float("inf")], False),
    ],
)
def test_kernels_are_held_beside_their_operations(monkeypatch, results, is_right):
    monkeypatch.setattr(kernels, "_from_cache_or_compiled", lambda graph, inputs: results)
    graph = make_fx(two)(X)
    if is_right:
        assert made(graph, [X], "a step", compiled=True) is results
        return
    with pytest.raises(NotCompiledError, match="that compute something else"):
        made(graph, [X], "a step", compiled=True)


def test_the_reason_of_a_compiler_is_told(monkeypatch):
    def fail(graph, inputs):
        raise RuntimeError("no compiler\nand a long story")

    monkeypatch.setattr(kernels, "_from_cache_or_compiled", fail)
    with pytest.raises(NotCompiledError, match=r"^RuntimeError: no compiler$"):
        made(make_fx(two)(X), [X], "a step", compiled=True)


def test_the_compiler_leaves_no_padding_between_rows():
    known = torch._inductor.config.get_config_copy() if OPTIONS else {}
    assert set(OPTIONS) <= set(known)
