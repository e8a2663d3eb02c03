"""A config is read as it was written, or refused in one line."""

import json
from dataclasses import asdict

import pytest

from fewstep import InputError
from fewstep.config.recipes import RECIPES
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run


def test_a_config_of_another_version(tmp_path):
    path = RunDir(tmp_path).config
    values = asdict(RECIPES["sinusoid"].config)
    for changed, told in (
        ({**values, "momentum": 1}, "unknown key momentum"),
        ({k: v for k, v in values.items() if k != "data"}, "missing key data"),
        ({**values, "algorithm": "mamba"}, "algorithm = 'mamba'; expected maml or"),
        ({**values, "steps": "many"}, "steps = 'many'; expected int"),
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=told):
            load_run(tmp_path, None, "cpu")
    for number in ("Infinity", "NaN", "1e999"):
        path.write_text(json.dumps({**values, "inner_lr": 7777}).replace("7777", number))
        with pytest.raises(InputError, match=r"is no number|inner_lr is inf"):
            load_run(tmp_path, None, "cpu")
    path.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load_run(tmp_path, None, "cpu")
    with pytest.raises(InputError, match=r"has no config.json"):
        load_run(tmp_path / "nowhere", None, "cpu")
