"""Operations as ONNX: each that is written, against PyTorch; others by their names."""

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from fewstep import InputError
from fewstep.export.decompositions import layers_for_files
from fewstep.export.onnx_graph import model_of
from fewstep.export.program import Program, operations_of
from fewstep.functional.batch_norm import by_own_statistics
from fewstep.functional.overrides import TwiceDifferentiable

X = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0))
INDEX = torch.tensor([2, 0, 2])
PICTURES = torch.randn(5, 4, 7, 6, generator=torch.Generator().manual_seed(1))
KERNEL = torch.randn(6, 2, 3, 2, generator=torch.Generator().manual_seed(2))

FUNCTIONS = {
    "unary": lambda x: x.exp().log1p().sqrt().neg().sigmoid().reciprocal().abs().sin() + x.erf(),
    "rounding": lambda x: x.floor() + x.ceil().sign() + x.round() + x.expm1() + x.exp().rsqrt(),
    "powers": lambda x: x**3 + (x * x) ** 0.5 + 2.0**x + x.abs() ** 1.7 - 3 / x,
    "activations": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh") + F.elu(x) + F.silu(x),
    "more-activations": lambda x: F.softplus(x) + F.hardtanh(x) + F.leaky_relu(x) + F.mish(x),
    "comparisons": lambda x: torch.where((x > 0) & ~(x >= 1) | (x < -1), x, 3.0) + (x != 0),
    "limits": lambda x: x.clamp(-1, 1) + x.clamp_min(0) + x.clamp_max(0) + torch.maximum(x, -x),
    "reductions": lambda x: x.amax(1) + x.amin(1) + x.var(1) + x.std(1, correction=0) + x.sum(1),
    "places": lambda x: x.argmax(1) + x.max(2, keepdim=True).values.sum(1) + x.cumsum(1)[:, 0],
    "softmax": lambda x: x.softmax(1) + x.log_softmax(-1) + x.logsumexp(1, keepdim=True),
    "products": lambda x: torch.baddbmm(x @ x.mT, x, x.mT, alpha=0.5, beta=2),
    "shapes": lambda x: (
        x.permute(0, 2, 1)
        .flatten(1)
        .unflatten(1, (4, 6))
        .flip(1)
        .squeeze()
        .transpose(1, 2)[:, None]
    ),
    "parts": lambda x: torch.cat([x[:, 1:, ::2], x[:, :1, :3]], 1).repeat(1, 2, 1),
    "splits": lambda x: (
        sum(x.split(2, 1)) + sum(x.chunk(2, 1)) + torch.stack(x.unbind(2)[:2], 1)[..., :1]
    ),
    "indices": lambda x: x[:, INDEX] + x.index_select(1, INDEX) + F.embedding(INDEX, x[0])[None],
    "padding": lambda x: F.pad(x, (1, 2), value=3.0) + F.pad(x, (0, 3)),
    "numbers": lambda x: x + torch.arange(len(x))[:, None, None] + torch.ones(len(x), 1, 1),
}


def in_onnxruntime(function, x):
    program = Program(lambda t: {"y": function(t["x"])}, {"x": x}, frozenset({"x"}))
    model = model_of(operations_of(program), "test")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return model, session.run(None, {"x": x.numpy()})[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations_are_those_of_pytorch(name):
    function = FUNCTIONS[name]
    model, found = in_onnxruntime(function, X)
    torch.testing.assert_close(
        torch.from_numpy(found), function(X), rtol=1e-5, atol=1e-5, check_dtype=False
    )
    assert {node.domain for node in model.graph.node} == {""}


GRADIENTS = {
    "strides": lambda x, k: F.conv2d(x, k, None, (2, 1), (1, 0), (1, 2), 2),
    "transposed": lambda x, k: F.conv_transpose2d(x, k[:4], None, 2, 1, 1),
    "max-pool": lambda x, _: F.max_pool2d(x.tanh(), 3, 2, 1),
    "average-pool": lambda x, _: (
        F.avg_pool2d(x, 2) + F.adaptive_avg_pool2d(x, 1) + F.adaptive_avg_pool2d(x[:, :, 1:], 3)
    ),
    "slices": lambda x, _: x[:, 1:, ::2] * x[:, :-1, 1::2].sum() + x[:, 3:4, :4],
    "embedding": lambda x, _: F.embedding(INDEX, x.sum(0)[0])[:, None],
    "norms": lambda x, _: F.group_norm(x, 2) + F.layer_norm(x, x.shape[2:]) + F.instance_norm(x),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_pytorch(name):
    def gradients(x):
        x, kernel = (value.detach().clone().requires_grad_() for value in (x, KERNEL))
        with layers_for_files(), TwiceDifferentiable(by_own_statistics, {}):
            value = GRADIENTS[name](x, kernel).square().sum()
        found = torch.autograd.grad(value, (x, kernel), materialize_grads=True)
        return torch.cat([gradient.flatten() for gradient in found])

    _, found = in_onnxruntime(gradients, PICTURES)
    torch.testing.assert_close(torch.from_numpy(found), gradients(PICTURES), rtol=1e-4, atol=1e-4)


def test_unknown_operations_are_told_by_name():
    with pytest.raises(InputError, match=r"the model uses aten\.sort\.default"):
        in_onnxruntime(lambda x: x.sort(1).values, X)


def test_files_are_for_runtimes_of_some_years():
    model, _ = in_onnxruntime(lambda x: x + 1, X)
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)
    onnx.checker.check_model(model, full_check=True)
