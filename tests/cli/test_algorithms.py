"""Every algorithm trains the default recipe from the command line."""

import json

import pytest

from fewstep.cli import main

SHORT = ["--steps", "2", "--val-tasks", "2", "--test-tasks", "3", "--meta-batch", "2"]
SMALL = ["--filters", "8", "--q-query", "2"]


@pytest.mark.parametrize("algorithm", ["reptile", "imaml", "protomaml", "protonet"])
def test_an_algorithm_trains_and_is_evaluated(algorithm, tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["train", "--algorithm", algorithm, *SHORT, *SMALL, "--run-dir", run]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--tasks", "2", "--inner-steps", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["algorithm"] == algorithm
    assert set(told["accuracy"]) == {"0", "1", "2"}


def test_implicit_maml_with_batch_norm(tmp_path, capsys):
    given = ["--algorithm", "imaml", "--model-norm", "batch", "--run-dir", str(tmp_path / "run")]
    assert main(["train", *given]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "implicit MAML with batch norm '0.1' in training mode" in told
    assert "--model-norm group" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("algorithm", ["reptile", "imaml", "protomaml", "protonet", "finetune"])
@pytest.mark.parametrize(
    ("setting", "given"),
    [("compile", ["--compile"]), ("step_sizes", ["--step-sizes", "per-step"])],
)
def test_settings_of_maml_alone(algorithm, setting, given, tmp_path, capsys):
    given = ["--algorithm", algorithm, *given, "--run-dir", str(tmp_path / "run")]
    assert main(["train", *given]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"with algorithm {algorithm}, which has no such setting; leave {setting} out" in told
    assert not (tmp_path / "run").exists()
