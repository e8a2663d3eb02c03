"""The reliability picture shows the bins of each norm, before and after the temperature."""

from dataclasses import replace

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fewstep.config.recipes import RECIPES
from fewstep.evaluation.calibrated import calibrated
from fewstep.evaluation.evaluate import Means, Result
from fewstep.learners.base import Predictions
from fewstep.report.reliability import draw_reliability

CONFIG = RECIPES["glyphs-5way-1shot"].config


def result(temperature):
    """A probability of 0.95, two in three right, and one of 0.7, all right; a single one of 0.6."""
    logits = torch.tensor(([[2.944439, 0.0]] * 3 + [[0.0, 0.847298]]) * 20 + [[0.41, 0.0]])
    labels = torch.tensor([0, 0, 1, 1] * 20 + [1])
    found = calibrated(Predictions(logits, labels), temperature)
    ones = Means([1.0, 1.0], [0.1, 0.1])
    return Result({"accuracy": ones}, ones, tasks=2, diverged=None, calibration=found)


@pytest.mark.parametrize("norms", [("inductive",), ("transductive", "inductive")])
def test_a_column_a_norm(norms, tmp_path, monkeypatch):
    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    draw_reliability(tmp_path / "r.png", CONFIG, {norm: result(2.0) for norm in norms}, "test")
    with Image.open(tmp_path / "r.png") as picture:
        assert min(picture.size) > 300
    (figure,) = figures
    axes = figure.axes
    assert len(axes) == 2 * len(norms)
    for norm, above in zip(norms, axes, strict=False):
        diagonal, before, after = above.get_lines()
        # Of the bin with one prediction there is no point.
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
        assert list(before.get_xdata()) == pytest.approx([0.7, 0.95], abs=1e-5)
        assert list(before.get_ydata()) == pytest.approx([1, 2 / 3])
        assert max(after.get_xdata()) < 0.9
        assert not before.get_clip_on()  # a point at 100% is seen whole
        title = above.get_title()
        assert f"{norm} batch norm, 81 predictions" in title
        assert "expected calibration error " in title
        assert "at temperature 2.00" in title
    told = [text.get_text() for text in figure.texts]
    assert any("2 test tasks of glyphs, 5-way 1-shot" in text for text in told)


def test_the_title_names_the_folder(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    monkeypatch.setattr("fewstep.report.reliability.write_whole", lambda path, write: write(path))
    # Which Matplotlib would take for a formula.
    config = replace(CONFIG, data="folder", folder=r"shop/$\photo$")
    draw_reliability(tmp_path / "r.png", config, {"inductive": result(2.0)}, "test")
    assert figures[0].get_suptitle().startswith(r"$\photo$: ")
    FigureCanvasAgg(figures[0]).draw()


def test_no_bin_has_enough_predictions(tmp_path):
    # Warnings are errors: a line without points must leave room for the axes.
    few = calibrated(Predictions(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])), 2.0)
    found = {norm: replace(result(2.0), calibration=few) for norm in ("inductive", "transductive")}
    draw_reliability(tmp_path / "r.png", CONFIG, found, "test")
    assert (tmp_path / "r.png").exists()


def test_where_no_temperature_was_chosen_one_series_is_drawn(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    monkeypatch.setattr("fewstep.report.reliability.write_whole", lambda path, write: write(path))
    one = replace(result(1.0).calibration, unchosen="too few classes")
    found = {"inductive": replace(result(1.0), calibration=one)}
    draw_reliability(tmp_path / "r.png", CONFIG, found, "test")
    above, below = figures[0].axes
    assert [line.get_label() for line in above.get_lines()] == ["as sure as right", "as predicted"]
    assert len(below.patches) == 1
    assert "no temperature was chosen: too few classes" in above.get_title().replace("\n", " ")
