"""`loss = learner(tasks); loss.backward(); optimizer.step()`, with all that goes with it."""

import copy
import pickle

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fewstep import MAML, InputError, Parallel
from tests.learners.every import LEARNERS, every_learner, model, plus_plus, seeded, tasks
from tests.ranks import in_ranks


@every_learner
def test_backward_hands_out_the_meta_gradient(make):
    learner, batch = make(), tasks()
    expected, gradient = seeded(learner.meta_gradient, batch)
    loss = seeded(learner, batch)
    assert torch.equal(loss.detach(), expected)
    loss.backward()
    found = {n: p.grad for n, p in learner.named_parameters() if p.grad is not None}
    torch.testing.assert_close(found, dict(gradient), rtol=0, atol=0)
    with_gradient = {id(p) for n, p in learner.named_parameters() if n in gradient}
    others = [p for p in learner.modules() for p in p._parameters.values() if p is not None]
    assert all(p.grad is None for p in others if id(p) not in with_gradient)


@every_learner
@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_without_gradients_only_the_loss_is_computed(make, off):
    learner, batch = make(), tasks()
    expected, _ = seeded(learner.meta_gradient, batch, 1)
    before = copy.deepcopy(learner.state_dict())
    with off():
        loss = seeded(learner, batch, 1)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(learner.state_dict(), before, rtol=0, atol=0)


@every_learner
def test_the_loop_lowers_the_loss(make):
    """With what usually belongs to it: accumulation, clipping, scaling, a schedule."""
    learner, batch = make(), tasks(8)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    losses = []
    for _ in range(6):
        for part in (batch[:4], batch[4:]):
            loss = seeded(learner, part) / 2
            scaler.scale(loss).backward()
        losses.append(loss.item())
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        schedule.step()
    assert losses[-1] < losses[0]
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_accumulated_and_scaled_gradients():
    learner, batch = LEARNERS["maml"](), tasks()
    _, gradient = learner.meta_gradient(batch)
    for _ in range(2):
        (3 * learner(batch)).backward()
    for name, parameter in learner.named_parameters():
        torch.testing.assert_close(parameter.grad, 6 * gradient[name])
    learner.zero_grad()
    assert all(parameter.grad is None for parameter in learner.parameters())


def test_the_graph_is_used_up_by_backward():
    loss = LEARNERS["maml"]()(tasks())
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_learner_inside_of_another_loss():
    learner, batch = LEARNERS["maml"](), tasks()
    weight = learner.model[0].weight
    (learner(batch) + weight.square().sum()).backward()
    expected = learner.meta_gradient(batch)[1]["0.weight"] + 2 * weight.detach()
    torch.testing.assert_close(weight.grad, expected)


def _twice(loss, parameters):
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    return torch.autograd.grad(gradients[0].sum(), parameters)


def _penalty(loss, parameters):
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    (loss + sum(g.square().sum() for g in gradients)).backward()


@pytest.mark.parametrize("derive", [_twice, _penalty])
def test_a_second_derivative_is_refused(derive):
    learner = LEARNERS["maml"]()
    with pytest.raises(InputError, match="differentiated once more"):
        derive(learner(tasks()), list(learner.parameters()))


def test_a_kept_graph_alone_is_no_mistake():
    learner, batch = LEARNERS["maml"](), tasks()
    found = torch.autograd.grad(learner(batch), list(learner.parameters()), create_graph=True)
    expected = learner.meta_gradient(batch)[1].values()
    assert all(map(torch.equal, found, expected))


def test_what_is_frozen_gets_no_gradient():
    network = model()
    network[0].requires_grad_(False)
    learner = MAML(network, 0.3)
    learner(tasks()).backward()
    assert network[0].weight.grad is None
    assert network[2].weight.grad is not None


def test_the_outer_step_decides_the_schedule():
    learner, batch = MAML(model(), 0.3, 2, first_order_steps=1, multi_step_loss=4), tasks()
    for step in (0, 1, 4):
        expected, gradient = learner.meta_gradient(batch, step)
        learner.zero_grad()
        loss = learner(batch, outer_step=step)
        loss.backward()
        assert torch.equal(loss.detach(), expected)
        for name, parameter in learner.named_parameters():
            assert torch.equal(parameter.grad, gradient[name])
        with torch.no_grad():
            torch.testing.assert_close(learner(batch, step), expected)


@pytest.mark.parametrize("make", [plus_plus, lambda: Parallel(plus_plus(), 2)])
def test_statistics_move_in_training_mode_alone(make):
    learner, batch = make(), tasks()
    seen = learner.differentiate(batch).statistics
    before = {n: p.clone() for n, p in learner.named_parameters() if n in seen}
    assert len(before) == 2
    learner.eval()(batch)
    learner.meta_gradient(batch)
    assert all(torch.equal(dict(learner.named_parameters())[n], v) for n, v in before.items())
    learner.train()(batch)
    for name, value in before.items():
        moved = dict(learner.named_parameters())[name]
        torch.testing.assert_close(moved, value.lerp(seen[name], 0.1))


@every_learner
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_the_same_and_apart(make, duplicate):
    learner, batch = make(), tasks()
    learner(batch)
    other = duplicate(learner)
    expected = seeded(learner.meta_gradient, batch)
    torch.testing.assert_close(seeded(other.meta_gradient, batch), expected, rtol=0, atol=0)
    seeded(other, batch).backward()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 1
    assert all(parameter.grad is None for parameter in learner.parameters())
    torch.testing.assert_close(seeded(learner.meta_gradient, batch), expected, rtol=0, atol=0)


def frozen():
    network = model()
    network[0].requires_grad_(False)
    return MAML(network, 0.3)


# One of each way that a learner differs for PyTorch: what it holds, and who gets a gradient.
IN_RANKS = {
    **{name: LEARNERS[name] for name in ("maml", "maml++", "protomaml", "finetune", "reptile")},
    "with a loss of its own": LEARNERS["with a loss of its own"],
    "with batch norm": lambda: MAML(model(nn.BatchNorm1d(6).double()), 0.3),
    "with parts that do not adapt": lambda: MAML(model(), 0.3, adapting=["2"]),
    "frozen in part": frozen,
}


def trained(name, share=None):
    """The gradients and states of three steps of Adam; of DDP where it is a share of the tasks."""
    learner, batch, first = IN_RANKS[name](), tasks(8), True
    if share is not None:
        first = dist.get_rank() == 0
        size = len(batch) // dist.get_world_size()
        batch = batch[dist.get_rank() * size :][:size]
    if not first:
        # The first rank's values hold.
        with torch.no_grad():
            for value in learner.parameters():
                value += 1
    module = learner if share is None else DistributedDataParallel(learner)
    optimizer, found = torch.optim.Adam(learner.parameters(), lr=0.01), []
    for step in range(3):
        optimizer.zero_grad()
        module(batch, step).backward()
        of = {n: p.grad for n, p in learner.named_parameters() if p.grad is not None}
        found.append(copy.deepcopy(of))
        optimizer.step()
    with torch.no_grad():
        found.append(module(batch))
    return [*found, {name: p.detach() for name, p in learner.named_parameters()}]


def trained_in_ranks():
    return {name: trained(name, share=True) for name in IN_RANKS}


def test_distributed_data_parallel(tmp_path):
    """Two processes, each with half of the tasks: one process with all of them."""
    ranks = in_ranks(trained_in_ranks, 2, tmp_path / "ranks")
    for name in IN_RANKS:
        *gradients, loss, learned = trained(name)
        for rank in ranks:
            torch.testing.assert_close(rank[name][:3], gradients, rtol=1e-10, atol=1e-12)
            for key, value in learned.items():
                # Those of the first rank, as of batch norm's own.
                expected = ranks[0][name][-1][key] if "running" in key else value
                torch.testing.assert_close(rank[name][-1][key], expected, rtol=1e-7, atol=1e-9)
        mean = sum(rank[name][3] for rank in ranks) / len(ranks)
        torch.testing.assert_close(mean, loss, rtol=1e-7, atol=1e-9)
