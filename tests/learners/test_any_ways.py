"""Tasks of another number of classes than a learner was made for."""

import copy
import threading
from functools import partial

import pytest
import torch
from torch import nn

from fewstep import MAML, FineTune, ImplicitMAML, InputError, ProtoMAML, ProtoNet, Reptile
from fewstep.learners.any_ways import for_ways
from fewstep.models.context import WithContext
from tests.factory import make_tasks, mlp
from tests.learners.every import LEARNERS, every_learner, plus_plus
from tests.learners.shared import WAYS, assert_adapted_as_evaluated

ANY = ("protomaml", "protonet")
one_row = partial(MAML, inner_lr=0.3, inner_steps=2, head_rows="shared")


@pytest.mark.parametrize("n_way", [2, 7])
@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_takes_any_number(name, n_way):
    learner, tasks = LEARNERS[name](), make_tasks(2, ways=n_way)
    before = copy.deepcopy(learner.state_dict())
    found, told = for_ways(learner, n_way)
    assert (found is learner) == (told == "") == (name in ANY)
    assert found.evaluate(tasks, 1).scores.shape == (2, 2)
    adapted = found.adapt(tasks.support_x[0], tasks.support_y[0])
    assert adapted(tasks.query_x[0]).shape == (2 * n_way, n_way)
    after = learner.state_dict()
    assert all(torch.equal(after[n], v) for n, v in before.items())
    own = {p.data_ptr() for p in learner.parameters()}
    others = {id(p): p for n, p in found.named_parameters() if not n.startswith("loss.")}
    assert found is learner or own.isdisjoint(p.data_ptr() for p in others.values())


@every_learner
def test_the_same_number_is_the_learner_itself(make):
    learner = make()
    found, told = for_ways(learner, WAYS)
    assert found is learner
    assert told == ""


def test_a_new_layer_is_the_same_every_time():
    learner = FineTune(mlp(), 4)
    torch.manual_seed(1)
    one = for_ways(learner, 5)[0].few_shot().model
    torch.manual_seed(2)
    other = for_ways(learner, 5)[0].few_shot().model
    assert torch.equal(one[2].weight, other[2].weight)
    zeros, told = for_ways(FineTune(mlp(), 4, new_head="zeros"), 5)
    assert not zeros.few_shot().model[2].weight.any()
    assert "new last layer of 5" in told


@pytest.mark.parametrize(
    ("learner", "expected"),
    [
        (MAML(mlp(), 0.3, 1), ProtoMAML(mlp(), 0.3, 5)),
        (MAML(mlp(), 0.3, 1, step_sizes="per-element"), ProtoMAML(mlp(), 0.3, 5)),
        (MAML(mlp(), 0.3, 1, adapting="body"), ProtoMAML(mlp(), 0.3, 5)),
        (Reptile(mlp(), 0.2, 3), ProtoMAML(mlp(), 0.2, 5)),
        (Reptile(mlp(), 0.2, 9), ProtoMAML(mlp(), 0.2, 9)),
        (ImplicitMAML(mlp(), 0.1, 9), ProtoNet(mlp())),
        (MAML(mlp(), 0.3, 2, adapting="head"), ProtoNet(mlp())),
        (MAML(mlp(), 0.3, 2, inner_optimizer="adam"), ProtoNet(mlp())),
    ],
)
def test_prototypes_and_the_inner_steps_that_help(learner, expected):
    found, told = for_ways(learner, 4)
    tasks = make_tasks(2, ways=4)
    torch.testing.assert_close(found.evaluate(tasks), expected.evaluate(tasks))
    assert told.startswith("trained in tasks of 3 classes: ")
    assert ("takes no inner steps" in told) == isinstance(expected, ProtoNet)


@pytest.mark.parametrize("settings", [{}, {"step_sizes": "per-element"}, {"adapting": "head"}])
def test_all_classes_start_from_the_one_row(settings):
    learner = one_row(mlp(), **settings)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.mul_(1 + torch.rand_like(parameter))
    found, told = for_ways(learner, 7)
    assert "all 7 start from the row they share" in told
    assert found.model[2].weight.shape == (7, 6)
    tasks = make_tasks(2, ways=3)
    # Where no example is of the other classes, they are as one of those that there are.
    theirs = found.adapt(tasks.support_x[0], tasks.support_y[0], 0)(tasks.query_x[0])
    ours = learner.adapt(tasks.support_x[0], tasks.support_y[0], 0)
    start = ours[2].weight.mean(0), ours[2].bias.mean(0)
    hidden = torch.tanh(learner.model[0](tasks.query_x[0]))
    torch.testing.assert_close(theirs, (hidden @ start[0] + start[1])[:, None].expand(-1, 7))
    sizes = dict(found.named_parameters()).get("inner_lr.2.weight")
    if sizes is not None:
        mean = dict(learner.named_parameters())["inner_lr.2.weight"].mean(0)
        torch.testing.assert_close(sizes, mean.expand(7, -1))
    assert_adapted_as_evaluated(found, make_tasks(2, ways=7), 2)


def test_batch_norm_of_the_step_before_the_first():
    learner, tasks = plus_plus(), make_tasks(2, ways=4)
    rows = dict(learner.named_parameters())["per_step.1.weight"]
    with torch.no_grad():
        rows.copy_(torch.tensor([2.0, 1.0, 0.5])[:, None].expand_as(rows))
    found, _ = for_ways(learner, 4)
    assert (found.model[1].weight == 2).all()
    assert (learner.model[1].weight == 1).all()
    assert found.evaluate(tasks, 7).scores.shape == (2, 8)


def test_there_and_back_is_the_same_learner():
    learner, tasks = one_row(mlp()), make_tasks(2)
    there, _ = for_ways(learner, 9)
    back, _ = for_ways(there, 3)
    torch.testing.assert_close(back.evaluate(tasks, 3), learner.evaluate(tasks, 3))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_a_row_moves_as_far_among_more_classes(optimizer):
    settings = {"step_sizes": "per-step", "inner_optimizer": optimizer, "head_rows": "shared"}
    learner = MAML(nn.Linear(4, 3).double(), 0.3, **settings)
    x, y = torch.randn(18, 4).double(), torch.arange(9).repeat(2)
    few, (more, _) = y < 3, for_ways(learner, 9)
    # How far two rows come apart, by the same examples of their classes.
    apart, wide = (
        (rows[0] - rows[1:3]).detach()
        for rows in (
            learner.adapt(x[few], y[few], steps=1).weight,
            more.adapt(x, y, steps=1).weight,
        )
    )
    assert apart.abs().min() > 1e-4
    torch.testing.assert_close(wide, apart)


def test_steps_of_adam_stay_as_large_among_more_classes():
    learner = one_row(mlp(), inner_optimizer="adam", step_sizes="per-step")
    sizes = [dict(one.named_parameters()) for one in (learner, for_ways(learner, 9)[0])]
    for name in sizes[0]:
        if name.startswith("inner_lr."):
            assert torch.equal(sizes[0][name], sizes[1][name])


def test_a_single_layer_without_a_bias():
    learner = one_row(nn.Linear(4, 3, bias=False).double())
    found, _ = for_ways(learner, 5)
    assert found.model.bias is None
    assert found.evaluate(make_tasks(2, ways=5), 2).scores.shape == (2, 3)


def test_what_is_learned_for_each_step_stays():
    learner = plus_plus(head_rows="shared")
    found, _ = for_ways(learner, 4)
    assert {n for n, _ in found.named_parameters()} == {n for n, _ in learner.named_parameters()}
    assert found.evaluate(make_tasks(2, ways=4), 2).scores.shape == (2, 3)
    with pytest.raises(InputError, match="learned for each of 2 inner steps"):
        found.evaluate(make_tasks(2, ways=4), 3)


def test_a_modulation_is_no_head():
    model = WithContext(mlp(), 3, "0", 6).double()
    found, _ = for_ways(MAML(model, 1.0, adapting="context"), 4)
    assert found.head == "model.2"
    assert found.evaluate(make_tasks(2, ways=4), 1).scores.shape == (2, 2)


class _HeadFirst(nn.Module):
    """Its last linear layer is not its head."""

    def __init__(self):
        super().__init__()
        self.head, self.body = nn.Linear(6, 3), nn.Linear(4, 6)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


@pytest.mark.parametrize("settings", [{}, {"adapting": "head"}, {"head_rows": "shared"}])
def test_a_head_that_is_named(settings):
    found, _ = for_ways(MAML(_HeadFirst().double(), 0.3, head="head", **settings), 4)
    tasks = make_tasks(2, ways=4)
    assert found.adapt(*tasks.task(0)[:2]).head.weight.shape == (4, 6)
    assert found.evaluate(tasks, 2).scores.shape == (2, 3)


def test_a_body_that_was_never_learned():
    model = mlp()
    model[0].requires_grad_(False)
    found, _ = for_ways(MAML(model, adapting="head"), 4)
    assert found.evaluate(make_tasks(2, ways=4), 1).scores.shape == (2, 2)
    assert not model[0].weight.requires_grad


class _Convolution(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 4), nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 3, 1), nn.Flatten())


@pytest.mark.parametrize(
    ("learner", "n_way", "told"),
    [
        (MAML(mlp()), 1, "n_way is 1; expected 2 or more classes"),
        (MAML(_Convolution(), head="2"), 4, "the head '2' is a Conv1d, whose number of classes"),
        (MAML(nn.Conv1d(4, 3, 1)), 4, "no nn.Linear inside that could be the head"),
        (nn.Linear(4, 3), 4, "learner is a Linear, whose number of classes cannot be told"),
    ],
)
def test_what_has_no_layer_to_replace(learner, n_way, told):
    with pytest.raises(InputError, match=told):
        for_ways(learner, n_way)


@every_learner
def test_classes_of_different_sizes(make):
    """One example of the first class, three of the second, six of the third."""
    learner = make()
    x = torch.randn(10, 4, dtype=torch.float64)
    y = torch.tensor([1, 2, 2, 0, 2, 1, 2, 1, 2, 2])
    for norm in ("transductive", "inductive"):
        prediction = learner.adapt(x, y, 1, norm)(x)
        assert prediction.shape == (10, 3)
        assert prediction.isfinite().all()


def test_a_prototype_is_the_mean_of_its_own_class():
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 1, 1, 1])
    found, _ = for_ways(MAML(mlp(), 0.3), 2)
    layer = found.adapt(x, y, 0)[2]
    means = torch.stack([torch.tanh(mlp()[0](x[y == c])).mean(0) for c in (0, 1)])
    torch.testing.assert_close(layer.weight, 2 * means)
    torch.testing.assert_close(layer.bias, -means.square().sum(1))


def test_every_example_counts_the_same():
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 2, 2, 2])
    model = mlp()
    nn.functional.cross_entropy(model(x), y).backward()
    expected = model[2].weight - 0.3 * model[2].weight.grad
    torch.testing.assert_close(MAML(mlp(), 0.3).adapt(x, y, 1)[2].weight, expected)


def test_a_copy_is_right_while_another_thread_adapts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 5))
    learner = one_row(model.double())
    tasks, ended = make_tasks(1, ways=5), threading.Event()
    before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}

    def adapt():
        while not ended.is_set():
            learner.evaluate(tasks, 10)

    other = threading.Thread(target=adapt)
    other.start()
    try:
        for _ in range(50):
            found = dict(for_ways(learner, 3)[0].model.named_parameters())
            assert all(torch.equal(found[name], before[name]) for name in ("0.weight", "0.bias"))
    finally:
        ended.set()
        other.join()
