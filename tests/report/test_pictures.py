"""Pictures of adaptation curves."""

from dataclasses import replace

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import nn

from fewstep import MAML, TaskBatch
from fewstep.config.recipes import RECIPES, table_config
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.calibration import Reliability
from fewstep.evaluation.evaluate import Means, Result
from fewstep.report.pictures import draw_curves, draw_task
from fewstep.report.reliability import draw_reliability


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written from now on."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    return figures


def results(*metrics):
    ones = Means([1.0, 1.0], [1.0, 1.0])
    loss = ones if metrics == ("mse",) else Means([2.0, 2.0], [1.0, 1.0])
    return {"inductive": Result(dict.fromkeys(metrics, ones), loss, tasks=2, diverged=None)}


@pytest.mark.parametrize(
    ("metrics", "labels"),
    [
        (("mse",), ["mean squared error on the query set"]),
        (("accuracy",), ["accuracy on the query set", "cross-entropy, nats, on the query set"]),
        (("f1", "worst"), ["f1 on", "worst on", "cross-entropy"]),
        (("a$b$", "$\\frac$"), ["a$b$ on", "$\\frac$ on", "cross-entropy"]),
    ],
)
def test_each_metric_has_a_panel(metrics, labels, drawn, tmp_path):
    config = RECIPES["glyphs-5way-1shot"].config
    draw_curves(tmp_path / "c.png", config, {"maml": results(*metrics)})
    told = [axes.get_ylabel() for axes in drawn[0].axes]
    assert len(told) == len(labels)
    assert all(map(str.startswith, told, labels))
    assert any("inductive batch norm" in text.get_text() for text in drawn[0].texts)


@pytest.mark.parametrize("recipe", ["sinusoid", "glyphs-5way-1shot"])
def test_every_name_of_a_run_is_in_the_legend(recipe, drawn, tmp_path):
    names = ["plain", "_hidden", r"$\formula$", "a$b"]
    metric = "mse" if recipe == "sinusoid" else "accuracy"
    runs = dict.fromkeys(names, results(metric))
    draw_curves(tmp_path / "c.png", RECIPES[recipe].config, runs)
    (legend,) = drawn[0].legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [*names, *(["chance"] if recipe.startswith("glyphs") else [])]


def test_the_legend_names_bars_and_chance(drawn, tmp_path):
    draw_curves(
        tmp_path / "c.png", RECIPES["glyphs-5way-1shot"].config, {"own": results("accuracy")}
    )
    (legend,) = drawn[0].legends
    pairs = zip(legend.texts, legend.legend_handles, strict=True)
    told = {text.get_text(): handle for text, handle in pairs}
    assert isinstance(told["own"], Patch)
    assert isinstance(told["chance"], Line2D)


@pytest.mark.parametrize("queries", [1, 5])
def test_the_title_of_a_task_is_not_cut(queries, drawn, tmp_path):
    x, y = torch.rand(2, 1, 28, 28), torch.arange(2)
    query_x, query_y = torch.rand(2 * queries, 1, 28, 28), y.repeat_interleave(queries)
    task = TaskBatch(*(part[None] for part in (x, y, query_x, query_y)))
    learner = MAML(nn.Sequential(nn.Flatten(), nn.Linear(784, 2)))
    draw_task(tmp_path / "t.png", learner, task, 1, "transductive", "transductive batch norm")
    title = drawn[0].get_suptitle()
    assert "after 1 inner step: " in " ".join(title.split())
    box = drawn[0]._suptitle.get_window_extent(FigureCanvasAgg(drawn[0]).get_renderer())
    assert 0 < box.x0 < box.x1 < drawn[0].bbox.width


@pytest.mark.parametrize("least", [0.5, -0.5])
def test_a_metric_below_zero_is_not_cut(least, drawn, tmp_path):
    means = Means([least, 1.0], [0.1, 0.1])
    result = Result({"correlation": means}, means, tasks=2, diverged=None)
    config = RECIPES["sinusoid"].config
    draw_curves(tmp_path / "c.png", config, {"maml": {"inductive": result}})
    bottom = drawn[0].axes[0].get_ylim()[0]
    assert bottom == 0 if least > 0 else bottom < least


@pytest.mark.parametrize("steps", [1, 5])
def test_small_print_of_a_table_is_not_cut(steps, drawn, tmp_path):
    """Of curves and of reliability; a single step is two bars, and no line."""
    config = table_config("/data/exams.csv", task="school", target="score")
    ones = Means([1.0] * (steps + 1), [0.5] * (steps + 1))
    one = Result({"rmse": ones}, ones, tasks=12, diverged=None, draws=408)
    draw_curves(tmp_path / "c.png", config, {"r2d2": {"inductive": one}})
    bins = Reliability([0.25, 0.75], [0.2, 0.8], [0.5, 0.5])
    calibration = Calibration(1.0, 100, 0.1, 0.1, 0.1, bins=(bins, bins))
    judged = replace(one, calibration=calibration)
    draw_reliability(tmp_path / "r.png", config, {"inductive": judged}, "test")
    for figure in drawn:
        width = figure.bbox.width
        (text,) = [text for text in figure.texts if "408 draws" in text.get_text()]
        box = text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert 0 < box.x0 < box.x1 < width
    assert bool(drawn[0].axes[0].patches) == (steps == 1)
