"""Numbers have a range; a setting without effect is refused, a default or an old run is not."""

import json
import math
from dataclasses import asdict, fields, replace
from typing import get_args, get_type_hints

import pytest

from fewstep import InputError
from fewstep.cli import main
from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.effects import check_effects
from fewstep.config.file import read_config
from fewstep.config.limits import Only, rules
from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.config.registry import DATA_SETS, NETWORKS
from fewstep.config.schema import Config
from fewstep.training import checkpoint
from fewstep.training.run_dir import RunDir
from tests.training.shared import run

GLYPHS, SINUSOID = RECIPES["glyphs-5way-1shot"].config, RECIPES["sinusoid"].config


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--algorithm reptile --memory flat", "memory is flat with algorithm reptile"),
        ("--algorithm finetune --workers 2", "workers is 2 with algorithm finetune"),
        ("--algorithm finetune --precision bf16", "precision is bf16 with algorithm finetune"),
        ("--algorithm finetune --inner-steps 7", "inner_steps is 7 with algorithm finetune"),
        ("--proximal 2", "proximal is 2.0 with algorithm maml"),
        ("--algorithm anil --cg-steps 2", "cg_steps is 2 with algorithm anil"),
        ("--algorithm protonet --inner-steps 2", "inner_steps is 2 with algorithm protonet"),
        ("--algorithm protonet --inner-lr 2", "inner_lr is 2.0 with algorithm protonet"),
        ("--new-head zeros", "new_head is zeros with algorithm maml"),
        ("--algorithm fomaml --memory flat", "memory is flat with order first"),
        ("--order first --first-order-share 0.5", "first_order_share is 0.5 with order first"),
        ("--multi-step-loss 0.5", "multi_step_loss is 0.5 with inner_steps 1"),
        ("--model-norm none --norm inductive", "norm is inductive with model_norm none"),
        ("--algorithm imaml --norm inductive", "norm is inductive with model_norm group"),
        ("--precision tf32", "precision is tf32 on device cpu"),
        ("--precision tf32 --device cpu:0", "precision is tf32 on device cpu:0"),
    ],
)
def test_a_setting_without_effect_is_refused(given, told, tmp_path, capsys):
    # A short run, should it be taken after all.
    short = ["--steps=1", "--val-tasks=2", "--test-tasks=2", "--meta-batch=2"]
    assert main(["train", *short, *given.split(), "--run-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert f"fewstep: error: {told}, " in error
    assert error.count("\n") == 1
    assert f"; leave {told.split()[0]} out or choose " in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "given",
    [
        *("--filters 16", "--downsample max-pool", "--model-norm group", "--norm inductive"),
        *("--n-way 3", "--rotations"),
    ],
)
def test_settings_of_pictures_in_a_regression(given, tmp_path, capsys):
    words = given.split()
    assert main(["train", "sinusoid", *words, "--run-dir", str(tmp_path / "run")]) == 2
    name = words[0].strip("-").replace("-", "_")
    by = "data sinusoid" if name in ("n_way", "rotations") else "model mlp"
    value = words[1] if words[1:] else True
    assert f"error: {name} is {value} with {by}, " in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_default_is_refused(algorithm):
    for recipe in RECIPES.values():
        row, regression = ALGORITHMS[algorithm], recipe.config.kind == "regression"
        if row.needs_classes if regression else row.needs_numbers:
            continue
        config = with_algorithm(recipe.config, algorithm)
        check_effects(config, config)


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        ("maml", {"memory": "flat", "inner_steps": 2, "multi_step_loss": 0.1, "workers": 2}),
        ("protomaml", {"memory": "flat", "precision": "bf16", "inner_lr": 0.2, "inner_steps": 2}),
        ("imaml", {"proximal": 2.0, "cg_steps": 2, "workers": 2}),
        ("finetune", {"new_head": "zeros", "inner_lr": 0.2, "norm": "inductive", "n_way": 3}),
        ("maml", {"precision": "tf32", "device": "cuda"}),
        ("maml++", {"first_order_share": 0.1, "memory": "flat", "compile": True}),
        ("anil", {"head_rows": "shared"}),
    ],
)
def test_settings_with_effect_are_taken(algorithm, changes):
    defaults = with_algorithm(GLYPHS, algorithm)
    check_effects(replace(defaults, **changes), defaults)


@pytest.mark.parametrize(
    ("algorithm", "told"),
    [
        ("boil", "head_rows is shared with adapting body, which has no such setting; leave"),
        ("cavia", "head_rows is shared with adapting context"),
        ("reptile", "head_rows is shared with algorithm reptile, which has no such setting"),
    ],
)
def test_rows_that_no_class_could_start_from(algorithm, told):
    defaults = with_algorithm(GLYPHS, algorithm)
    with pytest.raises(InputError, match=told):
        check_effects(replace(defaults, head_rows="shared"), defaults)


def test_every_setting_of_a_rule_is_a_field():
    known = {field.name for field in fields(Config)}
    for registry in (ALGORITHMS, NETWORKS, DATA_SETS):
        for entry in registry.values():
            assert {*entry.settings, *getattr(entry, "defaults", ())} <= known
    for of_setting in rules(Config).values():
        for rule in (rule for rule in of_setting if isinstance(rule, Only)):
            choices = get_args(get_type_hints(Config)[rule.other])
            assert isinstance(rule.values, range) or set(rule.values) <= set(choices)


def test_a_run_with_a_setting_that_was_ignored_goes_on(tmp_path, capsys):
    small = {"steps": 2, "val_tasks": 2, "test_tasks": 3, "meta_batch": 2, "test_inner_steps": 1}
    run = tmp_path / "run"
    given = [f"--{name.replace('_', '-')}={value}" for name, value in small.items()]
    command = ["train", "sinusoid", *given, "--run-dir", str(run)]
    assert main(command) == 0
    # As a version before wrote it.
    ignored = replace(SINUSOID, **small, proximal=7.0, filters=5000)
    with pytest.raises(InputError):
        check_effects(ignored, SINUSOID)
    (run / "config.json").write_text(json.dumps(asdict(ignored)))
    for path in (RunDir(run).best, RunDir(run).last):
        # That version did not keep what a checkpoint was trained by.
        values, progress = checkpoint.load(path)
        checkpoint.save(path, values, replace(progress, settings=""))
    assert read_config(run / "config.json") == ignored
    assert main(["evaluate", str(run), "--tasks", "2", "--json"]) == 0
    assert main([*command, "--proximal", "7", "--filters", "5000"]) == 0
    assert json.loads((run / "config.json").read_text())["proximal"] == 7.0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--filters", "filters is 1000000000; expected at most 4096"),
        ("--context", "context is 1000000000; expected at most 65536"),
        ("--k-shot", "k_shot is 1000000000; expected at most 10000"),
        ("--test-q-query", "test_q_query is 1000000000; expected at most 10000"),
        ("--meta-batch", "meta_batch is 1000000000; expected at most 10000"),
        ("--inner-steps", "inner_steps is 1000000000; expected at most 10000"),
        ("--workers", "workers is 1000000000; expected at most 1024"),
        ("--steps", "steps is 1000000000; expected at most 10000000"),
        ("--inner-lr=inf", "inner_lr is inf; expected a finite number"),
        ("--outer-lr=nan", "outer_lr is nan; expected a finite number"),
    ],
)
def test_what_no_machine_has_memory_for(given, told, tmp_path, capsys):
    words = [given] if "=" in given else [given, "1000000000"]
    assert main(["train", *words, "--run-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_way": 0}, "n_way is 0"),
        ({"inner_lr": 0.0}, "inner_lr is 0.0; expected more than 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"inner_lr": math.inf}, "inner_lr is inf; expected a finite number"),
        ({"inner_lr": math.nan}, "inner_lr is nan; expected a finite number"),
        ({"proximal": math.inf}, "proximal is inf"),
        ({"final_outer_lr": math.nan}, "final_outer_lr is nan"),
        ({"seed": 2**63}, "expected at least 0 and less than"),
        ({"algorithm": "protonet"}, "data sinusoid with model mlp and algorithm protonet"),
        ({"data": "glyphs"}, "pictures need model conv4"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_settings_out_of_range(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        run(replace(RECIPES["sinusoid"].config, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()
