"""Attention by blocks against PyTorch's plain form, to the second order and on every path."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fewstep.functional.call import functional_call
from fewstep.ops import attention, attention_blocks
from fewstep.ops.attention import scaled_dot_product_attention
from tests.exactness.cases import CASES
from tests.exactness.paths import PATHS
from tests.execution.recorded import Recorded
from tests.ops.derivatives import TASKS, assert_same_derivatives, operations, random_tensor
from tests.plain import deviation

plain = sdpa_kernel(SDPBackend.MATH)(F.scaled_dot_product_attention)
MASKS = {
    "none": None,
    "boolean": (7, 5),
    "of a task's keys": (TASKS, 1, 1, 5),
    "of each number": (TASKS, 2, 2, 7, 5),
    "of queries": (TASKS, 7, 1),
}


@pytest.fixture
def by_blocks(monkeypatch):
    """Whatever the length, of three queries each."""
    monkeypatch.setattr(attention, "LONG", 0)
    monkeypatch.setattr(attention_blocks, "ROWS", 3)
    monkeypatch.setattr(attention_blocks, "NUMBERS", 1)


def _inputs(queries=7, keys=5):
    shapes = ((queries, 4), (keys, 4), (keys, 3))
    return [random_tensor(TASKS, 2, 2, *shape) for shape in shapes]


def _sum(attend, **settings):
    return lambda *tensors: attend(*tensors, **settings).tanh().square().sum()


def _same(tensors, **settings):
    ours, theirs = (_sum(f, **settings) for f in (scaled_dot_product_attention, plain))
    assert_same_derivatives(ours, theirs, tuple(tensors))


@pytest.mark.parametrize("mask", MASKS)
def test_masks(mask, by_blocks):
    """The boolean one hides all keys from one query; others are learned."""
    torch.manual_seed(0)
    if mask == "boolean":
        visible = torch.rand(7, 5) > 0.4
        visible[1] = False
        _same(_inputs(), attn_mask=visible)
    else:
        _same(_inputs() + ([random_tensor(*MASKS[mask])] if MASKS[mask] else []))


@pytest.mark.parametrize("lengths", [(7, 7), (7, 5), (5, 8)])
def test_causal(lengths, by_blocks):
    torch.manual_seed(0)
    _same(_inputs(*lengths), is_causal=True, scale=0.3)


def test_keys_of_several_queries(by_blocks):
    torch.manual_seed(0)
    query, key, value = _inputs()
    _same((query.repeat(1, 1, 2, 1, 1).detach().requires_grad_(), key, value), enable_gqa=True)


def test_one_batch_for_several(by_blocks):
    torch.manual_seed(0)
    query, key, value = _inputs()
    shared = key[:, :1].detach().requires_grad_()
    _same((query, shared, value))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("automatic", [True, False])
def test_half_precision_is_that_of_the_plain_form(kind, automatic, by_blocks):
    torch.manual_seed(0)
    single = [t.detach().to(torch.float32 if automatic else kind) for t in _inputs()]
    tensors = [t.requires_grad_() for t in single]
    results = []
    for attend in (scaled_dot_product_attention, plain):
        with torch.autocast("cpu", kind, enabled=automatic):
            y = attend(*tensors)
        gradient = torch.autograd.grad(y.float().square().sum(), tensors, create_graph=True)
        second = torch.autograd.grad(sum(g.float().square().sum() for g in gradient), tensors)
        assert y.dtype == kind
        results.append([y, *gradient, *second])
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_short_sequences_and_dropout_keep_the_plain_form(by_blocks, monkeypatch):
    tensors = _inputs()
    torch.manual_seed(1)
    y = scaled_dot_product_attention(*tensors, dropout_p=0.5)
    torch.manual_seed(1)
    torch.testing.assert_close(y, plain(*tensors, dropout_p=0.5), rtol=0, atol=0)
    assert "_AttentionBackward" in operations(scaled_dot_product_attention(*tensors))
    monkeypatch.setattr(attention, "LONG", 36)
    assert "_AttentionBackward" not in operations(scaled_dot_product_attention(*tensors))


def test_wrong_arguments_are_told_as_by_pytorch(by_blocks):
    query, key, value = _inputs(5, 5)
    with pytest.raises(RuntimeError, match="is_causal"):
        scaled_dot_product_attention(query, key, value, torch.zeros(5, 5), is_causal=True)


def test_gradgradcheck(by_blocks):
    torch.manual_seed(0)
    tensors = [random_tensor(1, length, 2) for length in (4, 3, 3)] + [random_tensor(4, 3)]
    assert torch.autograd.gradgradcheck(scaled_dot_product_attention, tensors, atol=1e-8)


def test_what_a_compiler_is_told_of_the_operations(by_blocks):
    q, k, v = (t.detach()[0] for t in _inputs())
    mask = torch.randn(7, 1).double()
    settings = (0.5, False)
    o, sums = attention_blocks.attention(q, k, v, mask, *settings)
    for operation, given in (
        (attention_blocks.attention, ()),
        (attention_blocks.gradient, (o,)),
        (attention_blocks.second_gradient, (q, k, v, mask, o)),
    ):
        rest = (o, sums, *settings, True) if given else settings
        tests = ("test_schema", "test_faketensor")
        torch.library.opcheck(operation, (*given, q, k, v, mask, *rest), test_utils=tests)


def _case(name):
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("name", ["attention-fused", "transformer"])
def test_meta_gradient_on_every_path(name, device, by_blocks, monkeypatch):
    """Layers of PyTorch come here; also in eval mode, where it has a fused encoder layer."""
    case = _case(name)
    tasks = case.tasks().to(device)

    def learner(model=None, **settings):
        return case.learner(2, model, **settings).to(device)

    # As it chooses by itself, it may compile.
    eager = {path: settings for path, settings in PATHS.items() if path != "auto"}
    found = {path: learner(**settings).meta_gradient(tasks)[1] for path, settings in eager.items()}
    if name == "attention-fused" or device == "cuda":
        recorded = Recorded(learner(execution="loop"), recorded=device == "cuda")
        found["recorded"] = recorded(tasks).gradient
    evaluating = learner(case.model().eval(), execution="loop")
    found["evaluating"] = evaluating.meta_gradient(tasks)[1]
    calls = []
    monkeypatch.setattr(attention, "LONG", 10**9)
    monkeypatch.setattr(attention, "_attend", lambda *_, **__: calls.append(0))
    expected = learner(execution="loop").meta_gradient(tasks)[1]
    assert not calls
    for path, gradient in found.items():
        assert deviation(gradient, expected) < 1e-10, path


def test_layers_reach_the_blocks(by_blocks):
    x = torch.randn(2, 6, 4)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    for model in (layer, layer.eval(), _case("attention-fused").model().float()):
        assert "_AttentionBackward" in operations(functional_call(model, {}, x))


@pytest.mark.compiled
def test_compiled(by_blocks, caplog):
    case = _case("transformer")
    expected = case.learner(2, execution="loop").meta_gradient(case.tasks())[1]
    found = case.learner(2, compile=True).meta_gradient(case.tasks())[1]
    recorded = Recorded(case.learner(2, execution="loop"), compiled=True)(case.tasks())
    assert deviation(found, expected) < 1e-10
    assert deviation(recorded.gradient, expected) < 1e-10
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("learned", [True, False])
def test_a_third_derivative_is_that_of_the_plain_form(learned, by_blocks):
    torch.manual_seed(0)
    tensors = [random_tensor(1, length, 2) for length in (4, 3, 3)] + [random_tensor(4, 3)]
    fixed = {} if learned else {"attn_mask": tensors.pop().detach()}

    def third(attend):
        found = (attend(*tensors, **fixed),)
        for _ in range(3):
            total = sum((t**3).sum() for t in found)
            found = torch.autograd.grad(total, tensors, create_graph=True)
        return found

    for ours, theirs in zip(third(scaled_dot_product_attention), third(plain), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_memory_grows_with_the_length_alone():
    """Of what is kept for the way back; the plain form keeps squares."""

    def kept(attend, length):
        total = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: total.append(t.numel()) or t, lambda t: t
        ):
            tensors = [torch.randn(1, length, 4, requires_grad=True) for _ in range(3)]
            y = attend(*tensors).square().sum()
            torch.autograd.grad(y, tensors, create_graph=True)
        return sum(total)

    short, long = (kept(scaled_dot_product_attention, n) for n in (512, 1024))
    assert long == 2 * short
    assert kept(partial(plain, scale=0.5), 1024) > 50 * long
