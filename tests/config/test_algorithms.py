"""Each algorithm is one row: its learner, its settings and its defaults."""

import re
from dataclasses import replace
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name

import pytest

from fewstep import InputError
from fewstep.config import algorithms, effects, groups, limits, recipes, schema
from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.data.registry import task_sources
from fewstep.learners import build

GLYPHS, SINUSOID = RECIPES["glyphs-5way-1shot"].config, RECIPES["sinusoid"].config
OF_THE_RUN = {"workers", "first_order_share", "test_inner_steps"}
"""Settings that no learner has: a run turns them into something else."""


def test_each_algorithm_has_settings_of_its_own():
    ours = [name for name, row in ALGORITHMS.items() if row.learner.endswith(":MAML")]
    kinds = {repr(replace(with_algorithm(GLYPHS, name), algorithm="maml")) for name in ours}
    assert len(kinds) == len(ours) == 7


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=ALGORITHMS)
def test_a_learner_takes_the_settings_of_its_row(row):
    assert row.settings - OF_THE_RUN <= signature(resolve_name(row.learner)).parameters.keys()


@pytest.mark.parametrize("algorithm", [n for n, row in ALGORITHMS.items() if not row.needs_classes])
def test_a_regression_has_defaults_of_its_own(algorithm):
    config = with_algorithm(SINUSOID, algorithm)
    assert not config.per_step_affine
    assert config.inner_lr == {"cavia": 1.0, "reptile": 0.01, "finetune": 0.01}.get(
        algorithm, ALGORITHMS[algorithm].defaults.get("inner_lr", SINUSOID.inner_lr)
    )


def test_the_rows_of_the_page_on_extending(monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
    row, setting = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    monkeypatch.setattr(algorithms, "ALGORITHMS", ALGORITHMS | {})
    exec(row, vars(algorithms))
    for module in (effects, recipes, schema, build):
        monkeypatch.setattr(module, "ALGORITHMS", algorithms.ALGORITHMS)
    config = with_algorithm(SINUSOID, "heavy-ball")
    made = build.learner_for(config, task_sources(config)["train"].spec)
    assert (made.order, made.inner_lr) == ("first", SINUSOID.inner_lr)
    with pytest.raises(InputError, match=r"proximal is 2\.0 with algorithm heavy-ball"):
        effects.check_effects(replace(config, proximal=2.0), config)
    names = dict(vars(groups))
    exec(f"@dataclass(frozen=True)\nclass More(OuterLoop):\n{setting}", names)
    with pytest.raises(InputError, match="clip is -1; expected more than 0"):
        limits.check_numbers(names["More"](clip=-1))


def test_the_last_layer_of_r2d2_begins_as_zeros():
    for algorithm, zeros in (("r2d2", True), ("maml", False)):
        config = with_algorithm(SINUSOID, algorithm)
        learner = build.learner_for(config, task_sources(config)["train"].spec)
        last = learner.model[-1]
        assert (not last.weight.any() and not last.bias.any()) == zeros
        assert learner.model[0].weight.all()
