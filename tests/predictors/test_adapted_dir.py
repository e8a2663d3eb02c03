"""The files of an adapted model."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from fewstep import InputError
from fewstep.predictors.adapt import adapt_classifier
from fewstep.predictors.adapted_dir import teaching_of
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.loading import load_adapted
from fewstep.predictors.teaching import Teaching
from tests.predictors.shared import NAMES, of_run, pictures


def test_the_json_tells_all_that_a_reader_needs(tmp_path):
    learner = of_run(n_way=3)
    learner.config = replace(learner.config, data_dir="/home/someone/data")
    adapt_classifier(learner, pictures(), NAMES, threshold=0.3).save(tmp_path / "model")
    told = json.loads((tmp_path / "model" / "adapted.json").read_text())
    assert told["classes"] == ["blue", "green", "red"]
    assert told["example_shape"] == [3, 16, 16]
    assert told["preparation"] == {"size": 16, "channels": 3, "ink": False, "fit": "crop"}
    assert (told["temperature"], told["threshold"]) == (1.0, 0.3)
    assert told["protocol"]["shots"] == [2, 2, 2]
    assert told["config"]["model"] == "conv4"
    assert set(told["versions"]) == {"fewstep", "torch", "numpy"}
    # A model is given away, a path is not.
    assert "someone" not in (tmp_path / "model" / "adapted.json").read_text()


def test_the_support_set_is_kept_as_bytes(tmp_path):
    adapted = adapt_classifier(of_run(n_way=3), pictures(), NAMES)
    adapted.save(tmp_path / "model")
    known = teaching_of(tmp_path / "model")
    assert adapted.teaching.support()["x"].dtype == torch.uint8
    assert torch.equal(known.support_x, adapted.teaching.support_x)
    assert torch.equal(known.support_y, adapted.teaching.support_y)
    assert all(torch.equal(v, adapted.teaching.start[n]) for n, v in known.start.items())


def test_numbers_are_kept_as_they_are():
    x = torch.randn(4, 2)
    assert torch.equal(Teaching({}, x, torch.zeros(4)).support()["x"], x)


def test_a_model_without_more_than_itself(tmp_path):
    adapted = AdaptedClassifier(nn.Linear(2, 2), (0, 1))
    adapted.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "adapted.json",
        "model.safetensors",
        "README.md",
    }
    assert teaching_of(tmp_path / "model") is None


def test_a_state_that_is_no_tensors(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"version": 3}

        def set_extra_state(self, state):
            pass

    with pytest.raises(InputError, match="has '_extra_state', a dict; a saved model holds tensors"):
        AdaptedClassifier(Odd(2, 2), (0, 1)).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("blocks", "shown"), [(1, True), (20, False)])
def test_the_card_shows_a_network_that_fits(blocks, shown, tmp_path):
    layers = (nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(blocks))
    network = nn.Sequential(*layers)
    AdaptedClassifier(network, (0, 1)).save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert (f"```\n{network}\n```" in card) == shown
    assert "with 2 outputs" in card


def test_the_card_says_how_to_load_it(tmp_path):
    adapt_classifier(of_run(), pictures(), NAMES, temperature=2.0).save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    for words in (
        "meta-learned by maml",
        "| 0 | blue | 2 |",
        'fewstep.load("FOLDER")',
        "model.load_state_dict(load_file(",
        "divided by 255",
        "(model(x) / 2).softmax(1)",
        "mean features of each of the 3",
        "3, 16, 16",
    ):
        assert words in card, words


def test_classes_whose_names_are_no_text(tmp_path):
    names = ("two\nlines", "no text \udcff")
    AdaptedClassifier(nn.Linear(2, 2), names).save(tmp_path / "model")
    assert load_adapted(tmp_path / "model", nn.Linear(2, 2)).classes == names
    assert "| 0 | two lines |" in (tmp_path / "model" / "README.md").read_text()
