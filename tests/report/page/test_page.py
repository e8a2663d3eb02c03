"""The whole page: names of all kinds stay text, it stays small, and whatever is told is read."""

import math
import re
from dataclasses import replace
from importlib.resources import files as resources

import pytest
import torch
from torch.nn import Linear

from fewstep import MAML
from fewstep.report.page.page import page
from fewstep.report.page.sureness import sureness
from fewstep.training.checkpoint import Progress
from fewstep.training.provenance import provenance
from tests.report.page.parsed import check_page
from tests.report.page.reports import files, measured, report, table_files

HOSTILE = '</style><script>alert("1")</script>'
NAMES = [HOSTILE, "<img src=x onerror=alert(1)>", "a' onload='b", "&lt;", "line\nend", "\udcff"]


def test_names_of_a_user_stay_text():
    split = {"train": NAMES, "val": ["</table>"], "test": NAMES * 20}
    summary = {"command": HOSTILE, "diagnosis": {"findings": [HOSTILE]}}
    one = files(
        HOSTILE, split=split, summary=summary, notes=(HOSTILE,), versions={HOSTILE: HOSTILE}
    )
    text = page(report((one, measured(NAMES)), command=HOSTILE))
    root = check_page(text)
    assert root.every("h1")[0].text == f"fewstep report: {HOSTILE}"
    assert len(root.every("style")) == 1
    assert any(image.attributes["alt"].startswith(HOSTILE) for image in root.every("img"))
    # As text it may stand there.
    assert "<script" not in text
    assert "<img src=x" not in text


def test_columns_and_rivals_of_a_table_stay_text():
    run = table_files("<i>exams", "<b>score", "<u>ridge")
    root = check_page(page(report((run, "the <s>table</s> is gone"))))
    text = root.text
    for told in ("<i>exams", "<b>score", "<u>ridge", "<s>table</s>"):
        assert told in text
    assert not {e.name for e in root.every()} & {"i", "u", "s"}


def test_a_table_tells_rivals_and_coverage():
    root = check_page(page(report((table_files("exams", "score", "ridge", broken=True), "gone"))))
    rivals, coverage = root.every("figure")[:2]
    cells = [[c.text for c in row.every("th", "td")] for row in rivals.every("tr")]
    assert cells[1] == ["1", "1.00 ± 0.10", "not finite", "this", "ridge"]
    assert "4 test tasks of exams, 9 draws" in rivals.text
    cells = [[c.text for c in row.every("th", "td")] for row in coverage.every("tr")]
    assert cells[1:] == [["1", "90.0% ± 5.0%", "± 3.00"], ["5", "94.0%", "± 2.00"]]


def test_many_runs_with_large_pictures_stay_small():
    names = [f"class {number}" for number in range(12)]
    one = measured(names, pixels=(3, 84, 84))
    one = replace(one, best=one.best * 12, worst=one.worst * 12)
    runs = [(files(f"run {number}"), one) for number in range(5)]
    text = page(report(*runs))
    check_page(text)
    assert len(text) > 1_000_000
    assert "as the page would be too large" in text


def test_many_classes_are_told_by_their_worst_pairs():
    one = measured([f"class {n}" for n in range(4)])
    (matrix,) = _tables(page(report((files(), one))), "matrix")
    assert len(matrix.every("tr")) == 5
    # Eight tasks of three classes each, none in two of them.
    spread = [replace(one.tasks.answers[0], classes=3 * n + torch.arange(3)) for n in range(8)]
    names = [f"class {n}" for n in range(24)]
    one = replace(one, classes=names, tasks=replace(one.tasks, answers=spread))
    text = page(report((files(), one)))
    assert _tables(text, "matrix") == []
    (pairs,) = _tables(text, "pairs")
    first = [cell.text for cell in pairs.every("tr")[1].every("th", "td")]
    assert first == ["class 0", "class 1", "50%", "1 of 2"]


def _tables(text, kind):
    return [t for t in check_page(text).every("table") if t.attributes.get("class") == kind]


def test_a_run_without_anything_is_a_page():
    run = files(metrics=[], progress=None)
    root = check_page(page(report((run, "it has no checkpoint"))))
    assert root.every("figure") == []
    assert "no outer step done" in root.text


def test_conditions_are_told_by_the_names_they_are_kept_under():
    now = provenance(MAML(Linear(2, 2)), {})
    run = files(progress=Progress(2, 3.5, computed_with=now | {"ranks": 3}))
    root = check_page(page(report((run, "gone"))))
    told = dict(zip(*([e.text for e in root.every(name)] for name in ("dt", "dd")), strict=True))
    assert told["ranks"] == "3"
    for name in ("device", "processor", "threads"):
        assert told[name] == str(now[name])


def test_figures_that_are_not_finite_are_told():
    told = [{"step": n, "train/loss": None if n == 2 else 1.0 * n} for n in (1, 2, 3)]
    told += [{"step": 3, "val/score": math.nan, "val/ci95": None}]
    root = check_page(page(report((files(metrics=told), "gone"))))
    assert "not finite" in root.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(scheme):
    """WCAG 2.2 asks for 4.5 to 1 for text, 3 to 1 for lines of charts."""
    style = (resources("fewstep.report.page") / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    colours = dict(re.findall(r"--(\w+): (#\w+)", light if scheme == "light" else dark))
    paper = _luminance(colours["paper"])
    assert _luminance(colours["faint"]) == pytest.approx(paper, abs=0.1)
    for name in ("ink", "soft", "link", "right", "wrong"):
        assert _contrast(colours[name], colours["paper"]) > 4.5, name
        assert _contrast(colours[name], colours["faint"]) > 4.5, name
    for number in range(6):
        assert _contrast(colours[f"s{number}"], colours["paper"]) > 3


def _contrast(one, other):
    low, high = sorted(_luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour):
    digits = colour.removeprefix("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_no_temperature_is_claimed_where_none_was_chosen():
    both = measured(NAMES), measured(NAMES)
    without = replace(both[1].result.calibration, temperature=1.0, unchosen="too few classes")
    plain = replace(both[1], result=replace(both[1].result, calibration=without))
    told = [sureness(report((files(), one))) for one in (both[0], plain)]
    assert ["was chosen on validation tasks" in text for text in told] == [True, False]
    assert "at temperature" in told[0]
    assert "no temperature was chosen: too few classes" in told[1]
    assert "at temperature" not in told[1]
