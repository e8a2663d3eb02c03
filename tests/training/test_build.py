"""The parts of a run depend on its config alone."""

import os
from dataclasses import replace

import pytest
import torch

from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.data.registry import task_sources
from fewstep.learners.build import learner_for
from fewstep.training.build import workers_for
from tests.training.shared import GLYPHS, run


@pytest.mark.parametrize("algorithm", ["maml", "finetune"])
def test_the_seed_fixes_every_initial_weight(algorithm):
    config = with_algorithm(RECIPES["glyphs-5way-1shot"].config, algorithm)
    train = task_sources(config)["train"]

    def weights(seed):
        made = learner_for(replace(config, seed=seed), train.spec)
        x, y = torch.ones(5, 1, 28, 28), torch.arange(5)
        return [*(p for _, p in made.named_parameters()), *made.adapt(x, y, 0).parameters()]

    first = weights(0)
    torch.manual_seed(7)
    assert all(torch.equal(one, other) for one, other in zip(first, weights(0), strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(first, weights(1), strict=True))


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({}, 1),
        ({"downsample": "max-pool", "filters": 64, "meta_batch": 32}, 2),
        ({"workers": 3}, 3),
        ({"workers": 1, "downsample": "max-pool", "filters": 64, "meta_batch": 32}, 1),
    ],
)
def test_only_large_outer_steps_are_shared_among_processes(changes, number, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    config = replace(RECIPES["glyphs-5way-1shot"].config, **changes)
    train = task_sources(config)["train"]
    assert workers_for(config, learner_for(config, train.spec), train) == number


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        ("maml", {"adapting": "head"}),
        ("maml", {"inner_optimizer": "adam"}),
        ("maml", {"order": "first"}),
        ("imaml", {"proximal": 5.0}),
        ("imaml", {"cg_steps": 0}),
    ],
)
def test_each_setting_of_the_inner_loop_reaches_the_learner(algorithm, changes):
    config = with_algorithm(RECIPES["glyphs-5way-1shot"].config, algorithm)
    config = replace(config, filters=16, inner_steps=2, workers=1)
    train = task_sources(config)["train"]
    plain, changed = (
        learner_for(each, train.spec).meta_gradient(train.batch([0]))[1]
        for each in (config, replace(config, **changes))
    )
    assert not all(torch.equal(value, changed[name]) for name, value in plain.items())


def test_more_threads_than_cores_make_no_more_processes(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    large = {"downsample": "max-pool", "filters": 64, "meta_batch": 32}
    config = replace(RECIPES["glyphs-5way-1shot"].config, **large)
    train = task_sources(config)["train"]
    assert workers_for(config, learner_for(config, train.spec), train) == 2


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("multi_step_loss", 1.0),
        ("first_order_share", 1.0),
        ("final_outer_lr", 1e-5),
        ("per_step_affine", True),
        ("step_sizes", "per-step"),
        ("per_step_statistics", True),
    ],
)
def test_each_setting_reaches_the_run(setting, value, tmp_path):
    config = replace(GLYPHS, inner_steps=2, test_inner_steps=2, norm="inductive", inner_lr=0.1)
    scores = []
    for number, changed in enumerate((config, replace(config, **{setting: value}))):
        trained = run(changed, tmp_path / str(number))
        torch.manual_seed(0)
        support_x, query_x = torch.rand(2, 5, 1, 28, 28)
        scores.append(trained.learner.adapt(support_x, torch.arange(5))(query_x))
    assert not torch.equal(*scores)
