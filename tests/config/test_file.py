"""A config is read as it was written, or refused in one line."""

import json
from dataclasses import asdict, replace

import pytest

from fewstep import InputError
from fewstep.config.file import read_config, remembered_folder, training_digest
from fewstep.config.recipes import RECIPES, with_algorithm
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


def written(tmp_path, **changes):
    """The file of a config, with some settings changed, or left out where they are None."""
    values = asdict(RECIPES["sinusoid"].config) | changes
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({k: v for k, v in values.items() if v is not None or k not in changes})
    )
    return path


def test_a_setting_that_is_missing_is_at_its_default(tmp_path):
    path = written(tmp_path, checkpoint_every=None, cg_steps=None)
    assert read_config(path) == RECIPES["sinusoid"].config
    with pytest.raises(InputError, match="missing key cg_steps; it is"):
        read_config(written(tmp_path, cg_steps=None), resume=True)


def test_names_of_earlier_versions(tmp_path):
    path = written(
        tmp_path, ema_decay=None, first_order_share=None, averaging=0.5, first_order=0.25
    )
    config = read_config(path)
    assert (config.ema_decay, config.first_order_share) == (0.5, 0.25)


OMNIGLOT_OF_THE_FIRST_VERSION = {
    **{"budget": None, "meta_batch": 8, "outer_lr": 2e-3, "ema_decay": 0.999, "val_every": 500},
    **{"optimizer": "adam"},
    **{"val_tasks": 200, "q_query": 5, "test_q_query": None, "final_outer_lr": 1e-5},
    **{"multi_step_loss": 0.1, "first_order_share": 0.3, "downsample": "stride", "inner_lr": 0.1},
    **{"norm": "transductive", "model_norm": "batch", "filters": 64, "inner_steps": 5},
    **{"n_way": 5, "test_n_way": None, "k_shot": 1, "test_k_shot": None, "crop": 0},
    **{"head_rows": "separate", "per_step_affine": True, "per_step_statistics": True},
}


@pytest.mark.parametrize(
    ("recipe", "algorithm", "digest"),
    [
        ("glyphs-5way-1shot", "maml", "17e0853ba49cda8f"),
        ("sinusoid", "cavia", "17887619010af0d5"),
        ("omniglot-5way-1shot", "maml++", "13f6f612ac21e71e"),
    ],
)
def test_checkpoints_of_the_first_version_are_known(recipe, algorithm, digest):
    config = with_algorithm(RECIPES[recipe].config, algorithm)
    if config.budget:
        config = replace(config, **OMNIGLOT_OF_THE_FIRST_VERSION)
    assert training_digest(config) == digest
    free = {"workers": 3, "test_tasks": 5, "data_dir": "/data", "device": "cuda", "memory": "flat"}
    free["budget"] = None if config.data == "omniglot" else "paper"
    assert training_digest(replace(config, **free)) == digest
    assert training_digest(replace(config, inner_lr=0.123)) != digest


def test_the_folder_of_the_data_is_remembered(tmp_path):
    here, gone = str(tmp_path), str(tmp_path / "gone")
    omniglot = RECIPES["omniglot-5way-1shot"].config
    assert remembered_folder(tmp_path, here, omniglot) == here
    assert remembered_folder(tmp_path, None, replace(omniglot, data_dir=here)) == here
    assert remembered_folder(tmp_path, here, replace(omniglot, data_dir=gone)) == here
    with pytest.raises(InputError, match="gone, which is not there any more; give its new place"):
        remembered_folder(tmp_path, None, replace(omniglot, data_dir=gone))
    # Data that are made need none.
    assert remembered_folder(tmp_path, here, RECIPES["sinusoid"].config) is None
