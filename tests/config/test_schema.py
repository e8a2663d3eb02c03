"""Settings that contradict each other are refused, and each is described."""

import re
from dataclasses import fields, replace
from inspect import getsource

import pytest

from fewstep import InputError
from fewstep.config.recipes import RECIPES
from fewstep.config.schema import Config


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"step_sizes": "per-step"}, r"test_inner_steps is 5, .* each of 1 inner steps; choose"),
        ({"per_step_affine": True}, "test_inner_steps is 5"),
        ({"per_step_statistics": True}, "test_inner_steps is 5"),
        ({"adapting": "context"}, "adapting is context and context is 0; give its size"),
        ({"multi_step_loss": 1.5}, "multi_step_loss is 1.5; expected a share of the outer steps"),
        ({"first_order_share": -0.1}, "first_order_share is -0.1; expected a share of the outer"),
        ({"execution": "captured"}, "captured, and device is cpu; .* choose --device cuda or"),
        ({"final_outer_lr": 1.0}, "final_outer_lr is 1.0; expected at least 0 and at most"),
        ({"test_n_way": 4}, "test_n_way is 4 and n_way 5, .* choose --n-way 4"),
        (
            {"per_step_affine": True, "model_norm": "group", "test_inner_steps": 1},
            "model_norm is group, and per_step_affine .* choose --model-norm batch, or",
        ),
        ({"test_n_way": 1, "head_rows": "shared"}, "test_n_way is 1; expected 2 or more"),
        ({"context": -1}, "context is -1; expected 0 or more"),
    ],
)
def test_settings_that_contradict_each_other(changes, told):
    with pytest.raises(InputError, match=told):
        replace(RECIPES["glyphs-5way-1shot"].config, **changes)


def test_batch_norm_settings_without_batch_norm():
    with pytest.raises(InputError, match="model mlp has no batch norm"):
        replace(RECIPES["sinusoid"].config, per_step_affine=True, test_inner_steps=1)


def test_one_row_for_all_classes_where_there_are_none():
    with pytest.raises(
        InputError, match="head_rows is shared with data sinusoid; it needs classes"
    ):
        replace(RECIPES["sinusoid"].config, head_rows="shared")


def test_each_field_has_a_line_of_help_below_it():
    text = "".join(map(getsource, Config.__bases__))
    described = re.findall(r"\n    (\w+): .*\n    \"\"\"", text)
    assert sorted(described) == sorted(field.name for field in fields(Config))


def test_patience_out_of_range():
    with pytest.raises(InputError, match="patience is -1; expected 0 or more"):
        replace(RECIPES["sinusoid"].config, patience=-1)


def test_a_negative_number_of_workers():
    with pytest.raises(InputError, match="workers is -1; expected 0 or more"):
        replace(RECIPES["glyphs-5way-1shot"].config, workers=-1)
