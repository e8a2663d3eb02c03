"""Pictures of adaptation curves."""

import pytest
from matplotlib.figure import Figure

from fewstep.recipes import RECIPES
from fewstep.report.curves import draw_curves
from fewstep.training.evaluation import Result


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written from now on."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))
    )
    return figures


@pytest.mark.parametrize("recipe", ["sinusoid", "glyphs-5way-1shot"])
def test_every_name_of_a_run_is_in_the_legend(recipe, drawn, tmp_path):
    names = ["plain", "_hidden", r"$\formula$", "a$b"]
    ones = [1.0, 1.0]
    result = Result(ones, ones, ones, ones, tasks=2, diverged=None)
    runs = dict.fromkeys(names, result)
    draw_curves(tmp_path / "c.png", RECIPES[recipe].config, runs, "transductive")
    (legend,) = drawn[0].legends
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [*names, *(["chance"] if recipe.startswith("glyphs") else [])]
