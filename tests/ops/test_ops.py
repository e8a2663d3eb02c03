"""The operations with derivatives of their own against PyTorch's, to the second order."""

import itertools
from collections import Counter, OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep import MAML, TaskBatch
from fewstep.functional.call import PureModel, trainable
from fewstep.models.conv4 import conv4
from fewstep.ops import traceable
from fewstep.ops.block import Block
from fewstep.ops.block_compiled import PAIRS, CompiledSteps, can_be_compiled
from fewstep.ops.block_eager import EAGER
from fewstep.ops.conv import Geometry
from fewstep.ops.first_block import first_block, patches_of
from fewstep.ops.fuse import FusedForward
from fewstep.ops.max_pool import window_of
from fewstep.ops.norm_block import norm_block
from fewstep.runtime.compile_cache import CompiledFunctions

TASKS = 3


def _plain(model, params, x):
    return PureModel(model)(params, x)


def _fused(model, params, x):
    pure = PureModel(model)
    with pure.having(params, fused=True):
        return pure.predict(x)


def _random(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def _derivatives(function, arguments):
    """Value, gradient, and the gradient of its product with a random vector."""
    value = function(*arguments)
    gradient = torch.autograd.grad(value, arguments, create_graph=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(5)
    product = sum(
        (g * torch.randn(g.shape, generator=generator, dtype=g.dtype)).sum() for g in gradient
    )
    return value, *gradient, *torch.autograd.grad(product, arguments, materialize_grads=True)


def _assert_same(function, reference, arguments):
    """Of one task after another, and of all at once, ``arguments`` having the tasks in front."""

    def one_by_one(chosen):
        return lambda *stacked: sum(chosen(*(t[i] for t in stacked)) for i in range(TASKS))

    expected = _derivatives(one_by_one(reference), arguments)
    for way in (one_by_one(function), lambda *stacked: vmap(function)(*stacked).sum()):
        for found, wanted in zip(_derivatives(way, arguments), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(
    "window", [None, window_of(2), window_of(3, stride=2, padding=1, ceil_mode=True)]
)
def test_norm_block(window, relu, affine):
    """With weights of either sign: where one is negative the smallest number is selected."""
    torch.manual_seed(0)

    def ours(x, weight, bias):
        weight, bias = (weight, bias) if affine else (None, None)
        return norm_block(x, weight, bias, Block(1e-5, relu, window)).tanh().square().sum()

    def plain(x, weight, bias):
        weight, bias = (weight, bias) if affine else (None, None)
        y = F.batch_norm(x, None, None, weight, bias, True, 0.0, 1e-5)
        y = F.relu(y) if relu else y
        return (F.max_pool2d(y, *window) if window else y).tanh().square().sum()

    _assert_same(ours, plain, (_random(TASKS, 4, 5, 7, 6), _random(TASKS, 5), _random(TASKS, 5)))


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("window", [None, window_of(2)])
@pytest.mark.parametrize(
    "geometry", [Geometry((1, 1), (1, 1), (1, 1), 1), Geometry((2, 1), (0, 2), (1, 2), 1)]
)
def test_the_first_block(geometry, window, relu):
    """Also where pictures are far from zero, and a scale is negative or zero."""
    torch.manual_seed(0)

    def ours(x, weight, scale, shift):
        patches = patches_of(x, (3, 3), geometry)
        y = first_block(x, patches, weight, scale, shift, geometry, Block(1e-5, relu, window))
        return y.tanh().square().sum()

    def plain(x, weight, scale, shift):
        y = F.batch_norm(F.conv2d(x, weight, None, *geometry), None, None, scale, shift, True)
        y = F.relu(y) if relu else y
        return (F.max_pool2d(y, *window) if window else y).tanh().square().sum()

    scale = torch.tensor([1.5, -0.5, 0.2, -2.0, 0.0], dtype=torch.float64).expand(TASKS, 5)
    others = (_random(TASKS, 5, 2, 3, 3), scale.clone().requires_grad_(), _random(TASKS, 5))
    _assert_same(
        ours, plain, ((_random(TASKS, 4, 2, 8, 7) + 10).detach().requires_grad_(), *others)
    )


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (3, 2)])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("window", [None, PAIRS])
def test_the_compiled_steps_of_a_block(window, relu, size):
    """As they are written; what a compiler makes of them is in test_compiled.py."""
    torch.manual_seed(0)
    steps, block = CompiledSteps(CompiledFunctions()), Block(1e-5, relu, window)
    steps.functions.given_up = True
    weight = torch.tensor([1.5, -0.5, 0.0], dtype=torch.float64, requires_grad=True)
    arguments = (_random(4, 3, *size), weight, _random(3))

    def derivatives(way):
        return _derivatives(lambda *a: norm_block(*a, block, way).tanh().square().sum(), arguments)

    for ours, theirs in zip(derivatives(steps), derivatives(EAGER), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_only_plain_pooling_is_compiled():
    assert can_be_compiled(Block(1e-5, True, window_of(2)))
    assert can_be_compiled(Block(1e-5))
    assert not can_be_compiled(Block(1e-5, True, window_of(2, padding=1)))


@pytest.mark.parametrize("relu", [F.relu, torch.relu, torch.Tensor.relu])
def test_relu_for_a_compiler(relu):
    torch.manual_seed(0)
    stand_in = traceable.REPLACEMENTS[relu]
    _assert_same(
        lambda x: stand_in(x).tanh().square().sum(),
        lambda x: relu(x).tanh().square().sum(),
        (_random(TASKS, 4, 5),),
    )
    x = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 1.0, torch.inf], requires_grad=True)
    torch.testing.assert_close(stand_in(x), relu(x))
    (found,) = torch.autograd.grad(stand_in(x).sum(), x)
    assert found.tolist() == [0, 0, 0, 0, 1, 1]
    assert stand_in(torch.tensor(torch.nan)).isnan()


def test_relu_in_place_stays_so_for_a_compiler():
    x = torch.tensor([-1.0, 2.0])
    traceable.REPLACEMENTS[F.relu](x, inplace=True)
    assert x.tolist() == [0.0, 2.0]


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_max_pooling_for_a_compiler(size):
    """Where several are the largest, the first is selected."""
    torch.manual_seed(0)
    pool = traceable.REPLACEMENTS[F.max_pool2d]
    ties = torch.randint(2, (TASKS, 2, 3, *size)).double().requires_grad_()
    for x in (_random(TASKS, 2, 3, *size), ties):
        _assert_same(
            lambda x: pool(x, 2).tanh().square().sum(),
            lambda x: F.max_pool2d(x, 2).tanh().square().sum(),
            (x,),
        )


def test_a_weight_of_zero_selects_the_first_of_the_ties():
    x, bias = _random(2, 3, 4, 4), torch.ones(3, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64, requires_grad=True)
    block = Block(1e-5, True, window_of(2))

    def plain(x, weight, bias):
        y = F.batch_norm(x, None, None, weight, bias, True, 0.0, 1e-5)
        return F.max_pool2d(F.relu(y), 2).square().sum()

    found = _derivatives(lambda *a: norm_block(*a, block).square().sum(), (x, weight, bias))
    for ours, theirs in zip(found, _derivatives(plain, (x, weight, bias)), strict=True):
        torch.testing.assert_close(ours, theirs)


CONVOLUTIONS = [
    {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
    for stride, padding, dilation, groups, bias in itertools.chain(
        itertools.product((1, 2), (0, 1), (1, 2), (1, 2), (True, False)),
        [((1, 2), (0, 1), (2, 1), 1, True), (1, "same", 1, 1, True)],
    )
]


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
def test_convolution(settings):
    """Through a module, so that what stands in is what a user's model gets."""
    torch.manual_seed(0)
    model = nn.Conv2d(2, 4, 3, **settings).double()
    names = [name for name, _ in model.named_parameters()]
    stacked = [torch.stack([p.detach() + i for i in range(TASKS)]) for p in model.parameters()]
    arguments = (_random(TASKS, 3, 2, 7, 6), *(p.requires_grad_() for p in stacked))

    def ours(x, *params):
        return _plain(model, dict(zip(names, params, strict=True)), x).tanh().sum()

    def plain(x, weight, bias=None):
        where = [settings[name] for name in ("stride", "padding", "dilation", "groups")]
        return F.conv2d(x, weight, bias, *where).tanh().sum()

    _assert_same(ours, plain, arguments)


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d((3, 2), stride=1, padding=1),
        nn.MaxPool2d(2, dilation=2, ceil_mode=True),
        nn.AdaptiveAvgPool2d(1),
        nn.AvgPool2d(2),
        nn.GroupNorm(2, 4, affine=False, dtype=torch.float64),
    ],
    ids=str,
)
def test_layers_of_each_example_alone(layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 1, dtype=torch.float64), nn.Tanh(), layer)
    _assert_same(
        lambda x: _plain(model, {}, x).square().sum(),
        lambda x: model(x).square().sum(),
        (_random(TASKS, 3, 4, 7, 6),),
    )


def _operations(value):
    """Names of the nodes in the graph of a value."""
    found, nodes = set(), [value.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in found:
            found.add(node)
            nodes += [before for before, _ in node.next_functions]
    return {node.name() for node in found}


def test_the_blocks_of_a_sequential_are_computed_at_once():
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    model = nn.Sequential(nn.Sequential(block), nn.Flatten())
    x = torch.randn(5, 1, 8, 8)
    names = _operations(_fused(model, trainable(model), x).sum())
    assert "_ConvBlockBackward" in names
    assert not {"_ConvolutionBackward", "ReluBackward0", "_MaxPoolBackward"} & names
    assert {"ReluBackward0", "_MaxPoolBackward"} < _operations(
        _plain(model, trainable(model), x).sum()
    )


def _vectorised(model):
    return lambda params, x: vmap(lambda p: _fused(model, p, x))(
        {name: value.expand(TASKS, *value.shape) for name, value in params.items()}
    )


def _of_one_task(model):
    return lambda params, x: _fused(model, params, x)


@pytest.mark.parametrize("way", [_of_one_task, _vectorised])
@pytest.mark.parametrize(("filters", "folded"), [(26, False), (27, True)])
def test_only_a_first_block_of_many_filters_is_folded(way, filters, folded):
    """In the second one, patches have a gradient, however small they are."""
    model = nn.Sequential(
        *(nn.Conv2d(1, filters, 3), nn.BatchNorm2d(filters), nn.MaxPool2d(2)),
        *(nn.Conv2d(filters, 81, 1), nn.BatchNorm2d(81)),
    )
    names = _operations(way(model)(trainable(model), torch.randn(5, 1, 8, 8)).sum())
    assert {"_ConvBlockBackward", "_NormBlockBackward"} & names
    assert ("_MaxPoolBackward" in names) == folded


def test_what_comes_again_is_folded_sooner_and_looked_at_once(monkeypatch):
    """Unless it was changed in the meantime."""
    torch.manual_seed(0)
    looked = []
    monkeypatch.setattr(
        "fewstep.ops.fuse.patches_of", lambda x, *how: looked.append(x) or patches_of(x, *how)
    )
    model = nn.Sequential(nn.Conv2d(1, 9, 3), nn.BatchNorm2d(9))
    x = torch.randn(5, 1, 8, 8)
    FusedForward(model, None, inputs_repeat=False)(x)
    assert not looked
    view, another = FusedForward(model, None, inputs_repeat=True), x.clone()
    for examples, times in ((x, 1), (x.detach(), 1), (another, 2)):
        torch.testing.assert_close(view(examples), model(examples))
        assert len(looked) == times
    another[0] += 1
    torch.testing.assert_close(view(another), model(another))
    assert len(looked) == 3


def test_layers_may_have_any_name():
    names = ("functions", "again", "patches")
    model = nn.Sequential(OrderedDict((name, nn.BatchNorm2d(3)) for name in names))
    x = torch.randn(4, 3, 6, 6)
    torch.testing.assert_close(_fused(model, {}, x), model(x))


def test_a_bias_before_batch_norm_has_no_gradient_and_none_is_computed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4)).double()
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    result = _fused(model, trainable(model), x)
    torch.testing.assert_close(result, model(x))
    of_weight, of_bias = torch.autograd.grad(
        result.square().sum(), (model[0].weight, model[0].bias), materialize_grads=True
    )
    assert (of_bias == 0).all()
    assert of_weight.abs().max() > 1e-3


def _with_hook(model):
    model[1].register_forward_hook(lambda module, given, result: 2 * result)


def _of_another_kind(model):
    model[1].__class__ = type("Doubled", (nn.ReLU,), {"forward": lambda self, x: 2 * F.relu(x)})


def _in_eval_mode(model):
    model[0].eval()
    model[0].running_mean.fill_(0.5)


def _as_it_is(model):
    pass


@pytest.mark.parametrize("change", [_with_hook, _of_another_kind, _in_eval_mode, _as_it_is])
def test_a_block_that_does_something_else_is_left_alone(change):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(3))
    change(model)
    x = torch.randn(4, 3, 6, 6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.testing.assert_close(
        _fused(model, trainable(model), x), _plain(model, trainable(model), x)
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_in_other_precisions_pytorch_computes():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    x = torch.randn(5, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        result = _fused(model, trainable(model), x)
    assert "ConvolutionBackward0" in _operations(result.sum())
    result.float().sum().backward()


class _ConvolutionInputs(TorchDispatchMode):
    """Collects the strides of all pictures and filters that convolutions are given."""

    def __init__(self):
        super().__init__()
        self.strides = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        pictures = {
            torch.ops.aten.convolution: args[:1],
            torch.ops.aten.convolution_backward: args[:2],
        }.get(func.overloadpacket)
        if pictures:
            # How filters for one channel lie in memory makes no difference.
            filters = args[len(pictures)]
            given = [*pictures, *([filters] if filters.shape[1] > 1 else [])]
            self.strides |= {(tensor.shape[1:], tensor.stride()[1:]) for tensor in given}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_convolutions_get_everything_in_the_layout_that_they_are_fast_in(execution):
    """Also pictures of one channel, whose strides would mean channels-first as well."""
    torch.manual_seed(0)
    model = conv4(1, 28, 2, 8, "max-pool")
    learner = MAML(model, inner_steps=2, execution=execution)
    x, y = torch.randn(2, 2, 1, 28, 28), torch.arange(2).repeat(2, 1)
    tasks = TaskBatch(x, y, x, y)
    learner.meta_gradient(tasks)  # looks at the model once
    with _ConvolutionInputs() as seen:
        learner.meta_gradient(tasks)
    assert len(seen.strides) > 4
    for (channels, _, width), stride in seen.strides:
        assert stride == (1, width * channels, channels)


class _WeightGradients(TorchDispatchMode):
    """Notes of how many pictures each is."""

    def __init__(self):
        super().__init__()
        self.pictures = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.convolution_backward and args[-1][1]:
            self.pictures[len(args[0])] += 1
        return func(*args, **(kwargs or {}))


def test_tasks_that_share_their_weights_get_the_sum_of_their_gradients_at_once():
    """Four layers: of each task alone the inner gradient and that of the query set; then the sum.

    Only the second of two terms of it is there for the first layer, whose input is no result.
    """
    torch.manual_seed(0)
    learner = MAML(conv4(1, 28, 2, 8, "max-pool"), inner_steps=1, execution="vectorised")
    x, y = torch.randn(3, 2, 1, 28, 28), torch.arange(2).repeat(3, 1)
    tasks = TaskBatch(x, y, x, y)
    learner.meta_gradient(tasks)  # looks at the model once
    with _WeightGradients() as seen:
        learner.meta_gradient(tasks)
    assert seen.pictures == {2: 3 * (4 + 4), 3 * 2: 3 + 4}


@pytest.mark.parametrize("adapting", ["0.bias", "0.weight"])
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_a_bias_of_each_task_beside_weights_that_all_share(adapting, memory):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2)).double()
    x, y = _random(3, 2, 4, 6, 6).detach(), torch.arange(2).repeat(3, 1)
    gradients = [
        MAML(model, 0.5, 2, adapting=[adapting], memory=memory, execution=execution).meta_gradient(
            TaskBatch(x, y, x + 1, y)
        )[1]
        for execution in ("loop", "vectorised")
    ]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


_BLOCKS = (
    (nn.BatchNorm2d,),
    (nn.BatchNorm2d, nn.MaxPool2d(2)),
    (nn.BatchNorm2d, nn.ReLU(), nn.MaxPool2d(2)),
)
_IN_PLACE = [
    *itertools.product(((), (nn.MaxPool2d(2),), *_BLOCKS), ("loop", "vectorised")),
    *((block, "compiled") for block in _BLOCKS),
]


@pytest.mark.parametrize("filters", [4, 27])
@pytest.mark.parametrize(("layers", "way"), _IN_PLACE, ids=str)
def test_a_layer_may_change_a_result_in_place(layers, way, filters):
    """As it may that of PyTorch's layers."""
    x, y = torch.randn(3, 2, 1, 8, 8, dtype=torch.float64), torch.arange(2).repeat(3, 1)
    gradients = []
    for in_place in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, filters, 3),
            *(layer(filters) if isinstance(layer, type) else layer for layer in layers),
            *(nn.Hardtanh(-0.5, 0.5, inplace=in_place), nn.Flatten(), nn.LazyLinear(2)),
        ).double()
        model(x[0])
        how = {"compile": True} if way == "compiled" else {"execution": way}
        learner = MAML(model, 0.1, 2, **how)
        gradients.append(learner.meta_gradient(TaskBatch(x, y, x, y))[1])
    torch.testing.assert_close(*gradients)
