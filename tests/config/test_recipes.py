"""The defaults for a folder of pictures suit every algorithm and every size."""

import pytest

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.effects import check_effects
from fewstep.config.recipes import folder_config, with_algorithm
from fewstep.data import TaskSpec
from fewstep.learners.build import learner_for


@pytest.mark.parametrize("algorithm", [n for n, row in ALGORITHMS.items() if not row.needs_numbers])
@pytest.mark.parametrize("size", [16, 84])
def test_each_algorithm_takes_a_folder(algorithm, size):
    config = with_algorithm(folder_config("photos", size), algorithm)
    check_effects(config, config)
    learner = learner_for(config, TaskSpec.classification((3, size, size), 5, classes=8))
    assert sum(value.numel() for _, value in learner.named_parameters()) > 1000
