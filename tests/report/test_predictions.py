"""Predictions as text, JSON values and CSV."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fewstep.data.own_pictures import Pictures
from fewstep.data.preparation import Preparation
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.report.predictions import Prediction, as_csv, prediction_lines, predictions_of

OWL = Prediction("in/owl.png", "owl", [("owl", 0.75), ("crow", 0.25)], "owl")
NOBODY = Prediction("in/fog, thick.png", None, [("crow", 0.5000000123)])


def test_json_values():
    told = OWL.as_json()
    assert (told["label"], told["probability"], told["right"]) == ("owl", 0.75, True)
    assert told["top"][1] == {"label": "crow", "probability": 0.25}
    assert NOBODY.as_json() == {
        **{"file": "in/fog, thick.png", "label": None, "probability": 0.5},
        "top": [{"label": "crow", "probability": 0.5}],
    }


def test_text_marks_what_is_wrong():
    wrong = Prediction("in/a.png", "crow", [("crow", 0.6)], "owl")
    lines = list(prediction_lines([OWL, wrong], 80, Path("in")))
    assert lines[1].split() == ["owl.png", "owl", "75.0%", "crow", "25.0%"]
    assert lines[2].split() == ["a.png", "crow", "60.0%", "wrong"]
    assert "none of these  50.0% crow" in list(prediction_lines([NOBODY], 80))[1]


def test_csv_is_read_back():
    strange = Prediction("in/\udcff\n.png", 3, [(3, 0.9)])
    text = as_csv([NOBODY, strange]).decode(errors="surrogateescape")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["file", "label", "probability"]
    assert rows[1] == ["in/fog, thick.png", "", "0.5"]
    assert rows[2] == ["in/\udcff\n.png", "3", "0.9"]


@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_labels_come_by_probability(threshold):
    how = Preparation(2, 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    adapted = AdaptedClassifier(model, ("a", "b", "c"), how)
    pixels = torch.randint(0, 256, (5, 1, 2, 2), dtype=torch.uint8).numpy()
    files = [Path(f"{n}.png") for n in range(5)]
    found = predictions_of(adapted, Pictures(files, pixels, [""] * 5), 2, threshold)
    probabilities = adapted.predict_proba(torch.from_numpy(pixels).float() / 255)
    for one, row in zip(found, probabilities, strict=True):
        assert [p for _, p in one.best] == sorted(row, reverse=True)[:2]
        likeliest = adapted.classes[int(np.argmax(row))]
        assert one.best[0][0] == likeliest
        assert one.label == (likeliest if row.max() >= threshold else None)
