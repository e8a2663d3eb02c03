"""Charts: every finite point is inside of the field, and nothing else is drawn."""

import math
import re

import pytest

from fewstep.report.page.chart import HEIGHT, WIDTH, Axes, Line, line_chart
from fewstep.report.page.scale import Scale, bounds, ticks
from tests.report.page.parsed import parsed

AXES = Axes("steps", "loss")


def drawn(lines, axes=AXES):
    (chart,) = parsed(line_chart(lines, axes, "a chart")).every("svg")
    return chart


def numbers(chart):
    paths = [
        e.attributes["d"] for e in chart.every("path") if "marker" not in e.attributes["class"]
    ]
    return [[float(n) for n in re.findall(r"-?\d+\.?\d*", path)] for path in paths]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [-3.0, 5.0, math.nan], [1e-9, 1e9], []])
@pytest.mark.parametrize("axes", [AXES, Axes("rows", "accuracy", percent=True)])
def test_all_is_inside_of_the_picture(values, axes):
    chart = drawn([Line("a", range(len(values)), values, [abs(v) for v in values])], axes)
    for text in chart.every("text"):
        assert 0 <= float(text.attributes["x"]) <= WIDTH
        assert 0 <= float(text.attributes["y"]) <= HEIGHT
    for path in numbers(chart):
        assert all(-1 <= number <= WIDTH for number in path)
    assert not re.search("nan|inf", str(chart).lower().replace("inferno", ""))


def test_lines_are_told_apart_without_colour():
    chart = drawn([Line(str(n), [0, 1], [n, n + 1], style=n) for n in range(8)])
    markers = [e.attributes for e in chart.every("path") if "marker" in e.attributes["class"]]
    looks = {(m["d"], m["class"]) for m in markers}
    assert len(looks) == 8
    assert len({m["d"] for m in markers}) == 6


def test_a_value_that_is_not_finite_leaves_a_gap_in_no_other():
    chart = drawn([Line("a", [0, 1, 2], [1.0, math.inf, 3.0])])
    (line,) = [e for e in chart.every("path") if e.attributes["class"].startswith("line")]
    assert line.attributes["d"].count("L") == 1


def test_many_points_have_a_band_and_few_markers():
    chart = drawn([Line("a", range(100), [1.0] * 100, [0.1] * 100)])
    classes = [e.attributes["class"].split()[0] for e in chart.every("path")]
    assert classes.count("band") == 1
    assert 5 <= classes.count("marker") <= 12


def test_outer_steps_have_whole_ticks():
    texts = [t.text for t in drawn([Line("a", [100], [0.5])]).every("text")]
    assert "100" in texts
    assert not any("99." in text for text in texts)


def test_losses_of_many_powers_of_ten_are_drawn_by_their_logarithm():
    texts = [t.text for t in drawn([Line("a", [0, 1, 2], [100.0, 1.0, 0.01])]).every("text")]
    assert {"0.01", "1", "100"} <= {*texts}


def test_scales():
    assert Scale(0, 10, 0, 100)(-5) == 0
    assert Scale(0.01, 100, 0, 4, logarithmic=True)(1.0) == pytest.approx(2)
    assert bounds([math.nan], zero=True) == (0.0, 1.05)
    assert bounds([0.2, 1.0], zero=True, most=1.02) == (0.0, 1.02)
    for low, high in ((0, 1e-7), (3, 3.001), (-5, 1e6)):
        found = ticks(low, high)
        assert 3 <= len(found) <= 8
        assert low - 1e-9 <= found[0] <= found[-1] <= high + 1e-9
