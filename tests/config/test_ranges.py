"""Each number of a config has a range."""

import math
from dataclasses import replace

import pytest

from fewstep import InputError
from fewstep.config.recipes import RECIPES
from tests.training.shared import run


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_way": 0}, "n_way is 0"),
        ({"inner_lr": 0.0}, "inner_lr is 0.0; expected more than 0"),
        ({"averaging": 1.0}, "averaging is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"inner_lr": math.inf}, "inner_lr is inf; expected a finite number"),
        ({"inner_lr": math.nan}, "inner_lr is nan; expected a finite number"),
        ({"proximal": math.inf}, "proximal is inf"),
        ({"final_outer_lr": math.nan}, "final_outer_lr is nan"),
        ({"seed": 2**63}, "expected at least 0 and less than"),
        ({"algorithm": "finetune"}, "data sinusoid with model mlp and algorithm finetune"),
        ({"data": "glyphs"}, "pictures need model conv4"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_settings_out_of_range(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        run(replace(RECIPES["sinusoid"].config, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()
