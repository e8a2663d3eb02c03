"""The pooled network is trained as its run was, with nothing of the run's algorithm."""

from dataclasses import replace

import pytest

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.recipes import table_config, with_algorithm
from fewstep.training.pooled import pooled_config


@pytest.mark.parametrize("algorithm", [n for n, row in ALGORITHMS.items() if not row.needs_classes])
def test_network_steps_and_batches_are_those_of_the_run(algorithm):
    given = table_config("/data/exams.csv", task="school", target="score", seed=3, steps=70)
    config = with_algorithm(replace(given, layers=1, width=8), algorithm)
    found = pooled_config(config)
    same = ("steps", "meta_batch", "outer_lr", "k_shot", "q_query", "seed", "model", "layers")
    assert all(getattr(found, name) == getattr(config, name) for name in (*same, "width", "table"))
    assert (found.algorithm, found.adapting, found.context) == ("finetune", "all", 0)
    assert found.step_sizes == "fixed"
