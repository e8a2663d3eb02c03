"""An adapted model is saved, and read back without its run."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import fewstep
from fewstep import InputError
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.loading import load_adapted
from tests.predictors.shared import (
    COLOUR,
    NAMES,
    network,
    of_numbers,
    of_pictures,
    of_run,
    pictures,
)
from tests.predictors.shared_rows import PASSED, QUERY, SCORES, SUPPORT, of_table
from tests.predictors.shared_rows import network as network_of_table


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of a run, in its folder."""
    adapted = adapt_classifier(of_run(n_way=3), pictures(), NAMES, temperature=1.5, threshold=0.2)
    folder = tmp_path_factory.mktemp("saved") / "products"
    adapted.save(folder)
    return adapted, folder


def test_it_comes_back_as_it_was(saved):
    adapted, folder = saved
    for loaded in (load_adapted(folder), fewstep.load(str(folder))):
        assert np.array_equal(loaded.predict_proba(pictures()), adapted.predict_proba(pictures()))
        for name in ("classes", "preparation", "temperature", "threshold"):
            assert getattr(loaded, name) == getattr(adapted, name)
        assert loaded.about["protocol"] == adapted.about["protocol"]
        assert not loaded.module.training


def test_a_loaded_model_can_be_saved_again(saved, tmp_path):
    adapted, folder = saved
    load_adapted(folder).save(tmp_path / "copy")
    for path in folder.iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()
    # Over itself as well, though it reads from there.
    load_adapted(tmp_path / "copy").save(tmp_path / "copy")
    assert load_adapted(tmp_path / "copy").predict(pictures()) == adapted.predict(pictures())


def test_it_is_a_plain_state_dict_of_the_network(saved):
    adapted, folder = saved
    model = fewstep.models.conv4(3, 16, 3, filters=8)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    x = torch.from_numpy(np.stack([COLOUR(p) for p in pictures()])).float() / 255
    found = (model(x) / adapted.temperature).softmax(1).detach().numpy()
    assert np.allclose(found, adapted.predict_proba(pictures()), atol=1e-6)


@pytest.mark.parametrize(
    "algorithm", ["maml", "maml++", "cavia", "imaml", "protomaml", "protonet", "finetune"]
)
def test_the_model_of_every_algorithm(algorithm, tmp_path):
    names = ["red", "green", "blue", "black", "white", "yellow"]
    adapted = adapt_classifier(of_run(algorithm), pictures(names), names)
    adapted.save(tmp_path / "model")
    loaded = load_adapted(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(pictures()), adapted.predict_proba(pictures()))


@pytest.mark.parametrize("norm", ["inductive", "transductive"])
@pytest.mark.parametrize("tracks", [True, False])
def test_norms_of_a_network_of_ones_own(norm, tracks, tmp_path):
    def model(outputs):
        torch.manual_seed(outputs)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4, track_running_stats=tracks),
            nn.InstanceNorm2d(4, track_running_stats=tracks),
            nn.Flatten(),
            nn.Linear(4 * 14 * 14, outputs),
        )

    learner = fewstep.MAML(model(3), inner_lr=0.1)
    adapted = adapt_classifier(learner, pictures(), NAMES, norm=norm, preparation=COLOUR)
    adapted.save(tmp_path / "model")
    own = model(5)
    before = [value.clone() for value in own.state_dict().values()]
    loaded = load_adapted(tmp_path / "model", own)
    assert loaded.norm == adapted.norm
    assert np.array_equal(loaded.predict_proba(pictures()), adapted.predict_proba(pictures()))
    assert all(map(torch.equal, before, own.state_dict().values()))
    # No prediction moves running statistics.
    kept = load_file(tmp_path / "model" / "model.safetensors")
    for module in (adapted.module, loaded.module):
        assert all(torch.equal(value, kept[n]) for n, value in module.state_dict().items())


def test_tensors_that_share_their_memory(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.two(self.one(x))

    x = [[0.0, 1.0], [1.0, 0.0]]
    adapted = adapt_classifier(fewstep.MAML(Tied()), x, ["owl", "crow"])
    adapted.save(tmp_path / "model")
    loaded = load_adapted(tmp_path / "model", Tied())
    assert np.array_equal(loaded.predict_proba(x), adapted.predict_proba(x))


def test_a_regression(tmp_path):
    x, y = [[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0]
    adapted = adapt_regressor(of_numbers(), x, y)
    adapted.save(tmp_path / "model")
    assert np.array_equal(
        load_adapted(tmp_path / "model", of_numbers().model).predict(x), adapted.predict(x)
    )


def test_a_network_of_ones_own_has_to_be_given(tmp_path):
    adapted = adapt_classifier(of_pictures(), pictures(), NAMES)
    adapted.save(tmp_path / "model")
    for model, told in {
        None: "holds a model with a network of your own; give it",
        nn.Linear(2, 3): r"model.safetensors lacks 'weight'",
        network(3, channels=1): r"shape \[8, 3, 3, 3\] where the network's is \[8, 1, 3, 3\]",
        "conv4": "model is a str; expected a torch.nn.Module",
    }.items():
        with pytest.raises(InputError, match=told) as caught:
            fewstep.load(tmp_path / "model", model)
        assert "\n" not in str(caught.value)
    loaded = fewstep.load(tmp_path / "model", network(outputs=7))
    assert loaded.predict(pictures()) == adapted.predict(pictures())


def damage(folder, name):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change(folder, **values):
    path = folder / "adapted.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_protocol(folder, **values):
    told = json.loads((folder / "adapted.json").read_text())
    change(folder, protocol=told["protocol"] | values)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: damage(f, "model.safetensors"), "model.safetensors is damaged, or not of"),
        (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors; restore it"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors is damaged"),
        (lambda f: (f / "adapted.json").write_text("{"), "adapted.json is not JSON"),
        (lambda f: (f / "adapted.json").write_text("[]"), "holds no JSON object"),
        (lambda f: (f / "adapted.json").unlink(), "expected the folder of an adapted model"),
        (lambda f: change(f, format=2), "has format 2, expected 1; use a newer fewstep"),
        (lambda f: change(f, format=None), "has format None, expected 1; restore it"),
        (lambda f: change(f, preparation={"sizes": 3}), "does not describe an adapted model"),
        (lambda f: change(f, classes=3), "does not describe an adapted model"),
        (lambda f: change(f, outputs="many"), "does not describe an adapted model"),
        (lambda f: change(f, sha256=None), "model.safetensors is damaged, or not of"),
        (lambda f: change(f, config=3), "does not describe an adapted model"),
        (lambda f: change(f, config={"future": 1}), "adapted.json has unknown key future"),
        (lambda f: change(f, temperature="warm"), "does not describe an adapted model"),
        (lambda f: change(f, batch_statistics=["no"]), "tells of a part 'no', which the network"),
        (lambda f: change(f, classes=["owl"]), "1 classes and 3 outputs"),
        (lambda f: change(f, classes=["owl", "owl", "tit"]), "does not describe an adapted model"),
        (lambda f: change(f, classes=["owl", None, "tit"]), "does not describe an adapted model"),
        (lambda f: change(f, protocol=None), "does not describe an adapted model"),
        (lambda f: change(f, protocol={}), "does not describe an adapted model"),
        (lambda f: change(f, protocol={"norm": 1, "inner_steps": 3}), "does not describe an adap"),
        (lambda f: change(f, protocol={"norm": "inductive", "inner_steps": -1}), "does not descr"),
        (lambda f: change(f, training_classes="x"), "does not describe an adapted model"),
        (lambda f: change(f, kind=None), "does not describe an adapted model"),
        (lambda f: change(f, preparation={"size": 8, "channels": 3}), "does not describe an ad"),
        (lambda f: change_protocol(f, shots=[None]), "does not describe an adapted model"),
        (lambda f: change_protocol(f, note=True), "does not describe an adapted model"),
        (lambda f: change(f, preparation={"size": "16", "channels": 3}), "does not describe an ad"),
        (lambda f: change(f, preparation={"size": 16, "channels": 2}), "does not describe an ada"),
        (lambda f: change(f, preparation={"size": 16, "channels": 3, "fit": "x"}), "does not des"),
    ],
)
def test_a_damaged_folder_is_told_in_a_line(saved, spoil, told, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved[1], folder)
    spoil(folder)
    with pytest.raises(InputError, match=told) as caught:
        load_adapted(folder)
    assert "\n" not in str(caught.value)


def test_tensors_of_another_network(saved, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved[1], folder)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("0.0.weight")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"model.safetensors is damaged, or not of"):
        load_adapted(folder)


def test_what_is_no_folder(tmp_path):
    for path in (tmp_path / "no", tmp_path):
        with pytest.raises(InputError, match=r"has no adapted.json"):
            load_adapted(path)


def test_a_model_made_by_hand_comes_back(tmp_path):
    made = AdaptedClassifier(network(), ("a", "b", "c"), COLOUR)
    made.save(tmp_path / "model")
    loaded = load_adapted(tmp_path / "model", network())
    assert (loaded.predict_proba(pictures()) == made.predict_proba(pictures())).all()


def test_a_model_of_a_table_comes_back(tmp_path):
    for how, adapt in ((SCORES, adapt_regressor), (PASSED, adapt_classifier)):
        adapted = adapt(of_table(how), SUPPORT, SUPPORT[how.target])
        adapted.save(tmp_path / how.target)
        loaded = load_adapted(tmp_path / how.target, network_of_table(how))
        assert loaded.preparation == how
        assert np.array_equal(loaded.predict(QUERY), adapted.predict(QUERY))
        assert {path.suffix for path in (tmp_path / how.target).iterdir()} == {
            *(".json", ".safetensors", ".md")
        }
        loaded.save(tmp_path / "again")
        for path in (tmp_path / how.target).iterdir():
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    scores = load_adapted(tmp_path / "score", network_of_table())
    assert (scores.half_width, scores.about["half_widths"]) == (4.0, {"5": 4.0, "10": 3.0})


@pytest.mark.parametrize(
    "changes",
    [
        {"half_width": "wide"},
        {"half_width": -1},
        {"half_widths": {"few": 3}},
        {"half_widths": {"5": None, "6": "wide"}},
        {"kind": "classification", "classes": ["a"]},
        {"preparation": {"target": "score"}},
        {"preparation": {**SCORES.as_json(), "forms": SCORES.as_json()["forms"][:1]}},
    ],
)
def test_a_damaged_model_of_a_table(changes, tmp_path):
    adapt_regressor(of_table(), SUPPORT, SUPPORT.score).save(tmp_path / "model")
    change(tmp_path / "model", **changes)
    with pytest.raises(InputError, match="does not describe an adapted model"):
        load_adapted(tmp_path / "model", network_of_table())
