"""The schedules of the recipes with two budgets: the papers' own, and the fast ones."""

from dataclasses import fields
from itertools import product

import pytest

from fewstep import InputError
from fewstep.config.budgets import BUDGETS, FAST, PAPER, budgets_of
from fewstep.config.effects import check_effects
from fewstep.config.recipes import RECIPES, with_algorithm, with_budget
from fewstep.config.schema import Config

ALGORITHMS = ("maml", "fomaml", "maml++")
CELLS = list(product(FAST, ALGORITHMS, BUDGETS))


def cell(recipe, algorithm, budget):
    return with_algorithm(with_budget(RECIPES[recipe].config, budget), algorithm)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("omniglot-5way-1shot", (32, 1, 1, 1, 0.4, 3)),
        ("omniglot-5way-5shot", (32, 5, 5, 1, 0.4, 3)),
        ("omniglot-20way-1shot", (16, 1, 1, 5, 0.1, 5)),
        ("omniglot-20way-5shot", (16, 5, 5, 5, 0.1, 5)),
        ("mini-imagenet-5way-1shot", (4, 15, 1, 5, 0.01, 10)),
        ("mini-imagenet-5way-5shot", (2, 15, 5, 5, 0.01, 10)),
    ],
)
def test_the_schedule_of_the_maml_paper(recipe, expected):
    """Section B2 of the protocols: meta-batch, query in training and test, inner loop, test."""
    for algorithm in ("maml", "fomaml"):
        config = cell(recipe, algorithm, "paper")
        of_tasks = (config.meta_batch, config.q_query, config.shots("test")[1])
        inner = (config.inner_steps, config.inner_lr, config.test_inner_steps)
        assert of_tasks + inner == expected
        assert (config.steps, config.outer_lr, config.final_outer_lr) == (60_000, 1e-3, None)
        assert (config.ema_decay, config.test_tasks, config.norm) == (0, 600, "transductive")
        assert config.order == ("exact" if algorithm == "maml" else "first")
        pictures = (config.downsample, config.filters)
        assert pictures == (("stride", 64) if config.data == "omniglot" else ("max-pool", 32))


@pytest.mark.parametrize("recipe", FAST)
def test_the_schedule_of_the_maml_plus_plus_paper(recipe):
    """Section B4: the configs of the authors' program."""
    config, omniglot = cell(recipe, "maml++", "paper"), recipe.startswith("omniglot")
    told = (config.meta_batch, config.q_query, config.filters, config.multi_step_loss)
    assert told == ((8, 1, 64, 0.1) if omniglot else (2, 15, 48, 0.15))
    assert (config.steps, config.outer_lr) == (50_000, 1e-3)
    assert config.final_outer_lr == (1e-5 if omniglot else None)
    assert (config.inner_steps, config.test_inner_steps, config.inner_lr) == (5, 5, 0.1)
    assert (config.downsample, config.first_order_share) == ("max-pool", 0)
    assert config.step_sizes == "per-step"
    assert config.per_step_affine
    assert config.per_step_statistics


def test_every_cell_can_be_trained():
    for recipe, algorithm, budget in CELLS:
        config = cell(recipe, algorithm, budget)
        check_effects(config, config)
        assert (config.budget, config.algorithm) == (budget, algorithm)


def test_nothing_of_another_algorithm_or_budget_stays(monkeypatch):
    recipe = "omniglot-5way-1shot"
    expected = {(a, b): cell(recipe, a, b) for a, b in product(ALGORITHMS, BUDGETS)}
    monkeypatch.setitem(FAST[recipe], "maml", {"patience": 7, "crop": 3})
    base = with_budget(RECIPES[recipe].config, "fast")
    assert (base.patience, base.crop) == (7, 3)
    for (algorithm, budget), config in expected.items():
        if (algorithm, budget) != ("maml", "fast"):
            assert with_algorithm(with_budget(base, budget), algorithm) == config


def test_settings_of_budgets_are_settings():
    known = {field.name for field in fields(Config)}
    assert FAST.keys() == PAPER.keys()
    for table in (FAST, PAPER):
        for of_algorithms in table.values():
            assert {name for settings in of_algorithms.values() for name in settings} <= known
            assert {"all", *ALGORITHMS} >= of_algorithms.keys()


def test_a_recipe_of_one_schedule_has_no_budget():
    assert budgets_of("glyphs-5way-1shot") == ()
    assert RECIPES["omniglot-5way-1shot"].config.budget == "fast"
    with pytest.raises(InputError, match="budget is paper, and sinusoid has one schedule alone; l"):
        with_budget(RECIPES["sinusoid"].config, "paper")
    with pytest.raises(InputError, match="has other budgets; choose one of fast, paper"):
        with_budget(RECIPES["omniglot-5way-1shot"].config, None)
