"""Recipes and algorithms are settings of their own."""

from dataclasses import replace

from fewstep.config.algorithms import with_algorithm
from fewstep.config.recipes import RECIPES

ALGORITHMS = ["maml", "fomaml", "anil", "boil", "meta-sgd", "maml++", "cavia"]


def test_each_algorithm_has_settings_of_its_own():
    kinds = {
        repr(replace(with_algorithm(RECIPES["glyphs-5way-1shot"].config, a), algorithm="maml"))
        for a in ALGORITHMS
    }
    assert len(kinds) == len(ALGORITHMS)
