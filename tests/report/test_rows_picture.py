"""The picture of models by rows: every name is legible and stands for a line of its own."""

import numpy as np
import pytest
from matplotlib import image

from fewstep.config.recipes import table_config
from fewstep.evaluation.by_rows import AtRows
from fewstep.evaluation.rivals import of_tables as names
from fewstep.report import rows_picture
from fewstep.report.rows_picture import draw_by_rows

NAMES = ("_run", "$other$", names.POOLED, names.TUNED, names.MIXED, names.RIDGE, names.MEAN)


@pytest.mark.parametrize(("n_way", "tasks"), [(1, 5), (2, 1)])
def test_lines_labels_and_legend(tmp_path, monkeypatch, n_way, tasks):
    drawn = []
    figure = rows_picture.Figure
    monkeypatch.setattr(
        rows_picture, "Figure", lambda **given: drawn.append(figure(**given)) or drawn[-1]
    )
    config = table_config(
        "/data/a_$b$.csv", n_way, algorithm="maml", task="school", target="score_$x$"
    )
    random = np.random.default_rng(0)
    found = [
        AtRows(rows, {name: random.uniform(0.4, 0.6, tasks) for name in NAMES}, False, {})
        for rows in (1, 2, 5)
    ]
    path = tmp_path / "picture.png"
    draw_by_rows(path, config, found, 60)
    assert image.imread(path).shape[2] == 4
    axes, legend = drawn[0].axes[0], drawn[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == list(NAMES)
    styles = {(c[0].get_color(), c[0].get_marker()) for c in axes.containers}
    assert len(styles) == len(axes.containers) == len(NAMES)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "5"]
    assert ("accuracy" if n_way == 2 else "root mean squared error") in axes.get_ylabel()
    assert "score_$x$" in axes.get_ylabel()
    assert axes.get_xlabel() == "rows of the new task"
