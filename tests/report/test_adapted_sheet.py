"""Query pictures stand in the row of their class, or of the predicted one."""

import numpy as np
import torch

from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.teaching import Teaching
from fewstep.report import adapted_sheet as module
from fewstep.report.predictions import Prediction
from fewstep.report.support_sheet import GREY, RIGHT, WRONG


def test_rows_of_classes(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        module, "sheet", lambda title, rows, ink: seen.update({r.name: r for r in rows}) or b""
    )
    adapted = AdaptedClassifier(torch.nn.Linear(1, 3), ("crow", "owl", "tit"))
    known = Teaching({}, torch.tensor([0, 128, 255])[:, None, None, None] / 255, torch.arange(3))
    query = np.zeros((4, 1, 1, 1), np.uint8)
    found = [
        Prediction("1", "owl", [("owl", 0.9)], "owl"),
        Prediction("2", "crow", [("crow", 0.55)], "owl"),
        Prediction("3", "tit", [("tit", 0.5)]),
        Prediction("4", None, [("tit", 0.4)]),
    ]
    module.adapted_sheet("", adapted, known, query, found)
    assert [row.support[0].pixels.item() for row in seen.values()] == [0, 128, 255]
    assert [(t.lines, t.colour) for t in seen["owl"].query] == [
        *((("owl", "90%"), RIGHT), (("crow", "55%"), WRONG))
    ]
    assert [t.colour for t in seen["tit"].query] == [GREY, GREY]
    assert seen["crow"].query == []
