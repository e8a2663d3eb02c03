"""Each algorithm is one row: its learner, its settings and its defaults."""

from dataclasses import replace
from inspect import signature
from pkgutil import resolve_name

import pytest

from fewstep.config.algorithms import ALGORITHMS, with_algorithm
from fewstep.config.recipes import RECIPES

GLYPHS, SINUSOID = RECIPES["glyphs-5way-1shot"].config, RECIPES["sinusoid"].config
OF_THE_RUN = {"workers", "first_order_share"}
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
    assert config.inner_lr == {"cavia": 1.0}.get(
        algorithm, ALGORITHMS[algorithm].defaults.get("inner_lr", SINUSOID.inner_lr)
    )
