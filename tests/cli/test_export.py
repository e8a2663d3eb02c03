"""``fewstep export``: of runs and adapted models, and what it refuses."""

import json

import numpy as np
import pytest
import torch

from fewstep import load
from fewstep.cli import main
from fewstep.predictors.adapted_dir import teaching_of
from tests.cli.shared import refused
from tests.export.shared import adaptation, apart


def test_a_run_adapts_in_onnxruntime(glyph_runs, tmp_path, monkeypatch, capsys):
    """Of more classes, too; eight bits tell what they cost."""
    out = tmp_path / "glyphs.onnx"
    assert main(["export", str(glyph_runs / "maml"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("\n") == 4
    reader = adaptation(tmp_path / "glyphs")
    run = load(glyph_runs / "maml")
    assert reader.about["preparation"] == {"size": 28, "channels": 1, "ink": True, "fit": "crop"}
    assert reader.about["inner_steps"] == run.config.test_inner_steps
    x, y = torch.rand(10, 1, 28, 28), torch.arange(10) % 5
    state = reader.adapt(x.numpy(), y.numpy())
    adapted = run.learner.adapt(x, y, reader.about["inner_steps"], norm="inductive")
    found = reader.predict(state, x[:3].numpy())
    assert apart(found, adapted(x[:3]).detach().numpy()) < 1e-5
    monkeypatch.setattr("fewstep.cli.exporting.TASKS", 2)
    given = ["--what", "adaptation", "--n-way", "7", "--bits", "8", "--json"]
    assert main(["export", str(glyph_runs / "maml"), "--out", str(out), *given]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [entry["file"] for entry in told["files"]] == [
        str(tmp_path / f"glyphs-{part}.onnx") for part in ("start", "step", "statistics", "predict")
    ]
    assert told["loss_of_bits"].startswith("8 bits: accuracy ")
    assert adaptation(tmp_path / "glyphs").adapt(x.numpy(), np.arange(10) % 7)["6.bias"].shape == (
        7,
    )


def test_an_adapted_model_predicts_and_learns_on(adapted, tmp_path, capsys):
    out = tmp_path / "new" / "folder" / "owls.onnx"
    assert main(["export", str(adapted), "--out", str(out), "--bits", "8"]) == 0
    assert "8 bits: accuracy on its own" in capsys.readouterr().out
    assert main(["export", str(adapted), "--out", str(out), "--what", "adaptation"]) == 0
    known = load(adapted)
    reader = adaptation(out.with_suffix(""))
    assert reader.about["classes"] == list(known.classes)
    taught = teaching_of(known.teaching)
    state = reader.adapt(taught.support_x.numpy(), taught.support_y.numpy())
    found = reader.predict(state, taught.support_x.numpy())
    assert apart(found, known.module(taught.support_x).detach().numpy()) < 1e-5


def test_the_pooled_model_of_a_table(table_runs, tmp_path, capsys):
    out = tmp_path / "new" / "a.pt2"
    given = ["--what", "meta-learned", "--format", "pt2", "--out", str(out)]
    assert main(["export", str(table_runs / "score"), *given]) == 0
    learner = load(table_runs / "score").learner
    x = torch.randn(3, len(learner.preparation.feature_names))
    found = torch.export.load(out).module()(x)
    torch.testing.assert_close(found, learner.model(x))
    assert "x -> outputs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "given", "told"),
    [
        ("run", ["--what", "adapted"], "is a run, which is not adapted yet"),
        ("run", ["--out", "a.bin"], "does not end in .onnx"),
        ("run", ["--out", f"{__file__}/new/a.onnx"], "choose a folder that you may write to"),
        ("run", ["--format", "pt2", "--bits", "8", "--out", "a.pt2"], "--bits 8 is for"),
        ("run", ["--out", "a.pt2"], "add --format pt2, or give a.onnx"),
        ("run", ["--n-way", "1"], "n_way is 1; expected 2 or more"),
        ("adapted", ["--what", "meta-learned"], "is an adapted model; give the run"),
        ("adapted", ["--n-way", "3"], "whose classes are known; leave --n-way out"),
        ("nothing", [], "has no config.json; expected a run directory of fewstep train, or"),
    ],
)
def test_refusals(source, given, told, glyph_runs, adapted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    place = {"run": glyph_runs / "maml", "adapted": adapted, "nothing": tmp_path / "no"}[source]
    line = refused(["export", str(place), "--out", "a.onnx", *given], capsys)
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_without_onnx_it_says_what_to_install(glyph_runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fewstep.export.onnx_file.find_spec", lambda name: None)
    line = refused(["export", str(glyph_runs / "maml"), "--out", str(tmp_path / "a.onnx")], capsys)
    assert "onnx is not installed; install it with: pip install 'fewstep[export]'" in line
