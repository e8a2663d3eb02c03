"""The final test of a run with a budget: one model, and the average of the best five."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from fewstep.cli import results
from fewstep.cli.one_run import train_and_test
from tests.training.shared import GLYPHS

CONFIG = replace(
    GLYPHS,
    **{"budget": "fast", "steps": 6, "val_every": 1, "q_query": 2, "test_tasks": 4},
    **{"test_inner_steps": 2},
)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a run tells when it is done, when it is shown again, and its summary."""
    path = tmp_path_factory.mktemp("averaging") / "run"
    said = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("draw_curves", "draw_reliability", "draw_task"):
            patch.setattr(results, name, lambda file, *_: file.touch())
        for _ in range(2):
            console = Console(record=True, width=1000, file=io.StringIO())
            train_and_test(CONFIG, path, console)
            said.append(console.export_text())
    return said, json.loads((path / "summary.json").read_text())


def test_the_average_stands_beside_the_single_model(told):
    (first, again), summary = told
    assert (summary["models"], summary["budget"]) == (1, "fast")
    average = summary["average"]
    assert average["models"] == len(average["outer_steps"]) == 5
    assert set(average["norms"]) == set(average["calibration_error"]) == set(summary["norms"])
    for norm, figures in average["norms"].items():
        assert list(figures["accuracy"]["mean"]) == ["2"]
        assert 0 <= figures["accuracy"]["mean"]["2"] <= 1
        assert figures["accuracy"]["ci95"]["2"] > 0
        assert 0 <= average["calibration_error"][norm] <= 1
    assert "finished after 6 outer steps" in again
    line = next(line for line in first.splitlines() if "average of the 5 best" in line)
    assert "transductive, " in line
    assert line in again


def test_a_summary_tells_how_it_was_trained(told):
    _, summary = told
    assert summary["outer_steps"] == 6
    assert summary["wall_seconds"] >= summary["training_seconds"] > 0
    assert summary["trained_on"]["ranks"] == 1
    assert summary["trained_on"]["processor"]
    assert summary["protocol"].startswith("4 test tasks of glyphs, 5-way 1-shot 2-query; mean ±")
