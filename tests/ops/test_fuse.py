"""The blocks of an `nn.Sequential` are computed as one operation, and nothing else is."""

from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import vmap

from fewstep import MAML, TaskBatch
from fewstep.functional.call import trainable
from fewstep.ops.first_block import patches_of
from fewstep.ops.fuse import FusedForward
from tests.ops.derivatives import TASKS, call_fused, call_plain, operations


def test_the_blocks_of_a_sequential_are_computed_at_once():
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    model = nn.Sequential(nn.Sequential(block), nn.Flatten())
    x = torch.randn(5, 1, 8, 8)
    names = operations(call_fused(model, trainable(model), x).sum())
    assert "_NormBlockBackward" in names
    assert not {"ReluBackward0", "_MaxPoolBackward"} & names
    assert {"ReluBackward0", "_MaxPoolBackward"} < operations(
        call_plain(model, trainable(model), x).sum()
    )


def _vectorised(model):
    return lambda params, x: vmap(lambda p: call_fused(model, p, x))(
        {name: value.expand(TASKS, *value.shape) for name, value in params.items()}
    )


def _of_one_task(model):
    return lambda params, x: call_fused(model, params, x)


@pytest.mark.parametrize("way", [_of_one_task, _vectorised])
@pytest.mark.parametrize(("filters", "folded"), [(26, False), (27, True)])
def test_only_a_first_block_of_many_filters_is_folded(way, filters, folded):
    """In the second one, patches have a gradient, however small they are."""
    model = nn.Sequential(
        *(nn.Conv2d(1, filters, 3), nn.BatchNorm2d(filters), nn.MaxPool2d(2)),
        *(nn.Conv2d(filters, 81, 1), nn.BatchNorm2d(81)),
    )
    names = operations(way(model)(trainable(model), torch.randn(5, 1, 8, 8)).sum())
    assert "_NormBlockBackward" in names
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
    FusedForward(model, inputs_repeat=False)(x)
    assert not looked
    view, another = FusedForward(model, inputs_repeat=True), x.clone()
    for examples, times in ((x, 1), (x.detach(), 1), (another, 2)):
        torch.testing.assert_close(view(examples), model(examples))
        assert len(looked) == times
    another[0] += 1
    torch.testing.assert_close(view(another), model(another))
    assert len(looked) == 3


def test_layers_may_have_any_name():
    names = ("sequential", "input", "patches")
    model = nn.Sequential(OrderedDict((name, nn.BatchNorm2d(3)) for name in names))
    x = torch.randn(4, 3, 6, 6)
    torch.testing.assert_close(call_fused(model, {}, x), model(x))


def test_a_bias_before_batch_norm_has_no_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4)).double()
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    result = call_fused(model, trainable(model), x)
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
        call_fused(model, trainable(model), x), call_plain(model, trainable(model), x)
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_in_other_precisions_pytorch_computes():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    x = torch.randn(5, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        result = call_fused(model, trainable(model), x)
    assert "ConvolutionBackward0" in operations(result.sum())
    result.float().sum().backward()


_BLOCKS = (
    (nn.BatchNorm2d,),
    (nn.BatchNorm2d, nn.MaxPool2d(2)),
    (nn.BatchNorm2d, nn.ReLU(), nn.MaxPool2d(2)),
)


@pytest.mark.parametrize("filters", [4, 27])
@pytest.mark.parametrize("layers", [(), (nn.MaxPool2d(2),), *_BLOCKS], ids=str)
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_a_layer_may_change_a_result_in_place(layers, execution, filters):
    """Results of PyTorch's own layers may be changed so, too."""
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
        learner = MAML(model, 0.1, 2, execution=execution)
        gradients.append(learner.meta_gradient(TaskBatch(x, y, x, y))[1])
    torch.testing.assert_close(*gradients)
