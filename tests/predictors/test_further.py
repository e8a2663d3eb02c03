"""An adapted model learns further classes and examples."""

import numpy as np
import pytest
import torch

import fewstep
from fewstep import InputError
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.further import with_more
from fewstep.predictors.loading import load_adapted
from tests.predictors.shared import NAMES, of_numbers, of_pictures, of_run, pictures
from tests.predictors.shared_rows import NEW, PASSED, QUERY, SCORES, SUPPORT, network, of_table

MORE = ["white", "red", "white"]


@pytest.mark.parametrize("algorithm", ["maml", "maml++", "protomaml", "finetune"])
def test_it_is_adapted_again_on_all_examples(algorithm, tmp_path):
    adapted = adapt_classifier(of_run(algorithm), pictures(), NAMES, temperature=2.0, steps=2)
    adapted.save(tmp_path / "model")
    x = [*pictures(), *pictures(MORE)]
    expected = adapt_classifier(of_run(algorithm), x, NAMES + MORE, steps=2)
    for before in (adapted, load_adapted(tmp_path / "model")):
        after = with_more(before, pictures(MORE), MORE)
        assert after.classes == ("blue", "green", "red", "white")
        assert after.about["protocol"]["shots"] == [2, 2, 3, 2]
        assert after.temperature == 2.0
        found = after.module(after.form.tensor(x))
        assert torch.allclose(found, expected.module(after.form.tensor(x)), atol=1e-6)
    # And again, from what was saved.
    after.save(tmp_path / "model")
    last = with_more(load_adapted(tmp_path / "model"), pictures(["black"]), ["black"])
    assert last.about["protocol"]["shots"] == [1, 2, 2, 3, 2]
    assert before.classes == ("blue", "green", "red")


def test_a_learner_of_ones_own_has_to_be_given(tmp_path):
    adapt_classifier(of_pictures(), pictures(), NAMES).save(tmp_path / "model")
    loaded = load_adapted(tmp_path / "model", of_pictures().model)
    with pytest.raises(InputError, match=r"adapted from a learner of your own; give it"):
        with_more(loaded, pictures(), NAMES)
    other = of_pictures()
    torch.nn.init.ones_(other.model[0][0].weight)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    after = with_more(loaded, pictures(), NAMES, learner=other)
    expected = adapt_classifier(of_pictures(), pictures() * 2, NAMES * 2)
    assert np.allclose(
        after.predict_proba(pictures()), expected.predict_proba(pictures()), atol=1e-6
    )
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regression(outputs):
    x, y = np.eye(2), np.ones((2, outputs))
    learner = of_numbers(outputs)
    after = with_more(adapt_regressor(learner, x, y), [[1.0, 1.0]], y[:1], learner=learner)
    assert after.about["protocol"]["shots"] == [3]
    with pytest.raises(InputError, match="a target has 3 numbers and those before"):
        with_more(after, [[1.0, 1.0]], [[1.0, 1.0, 1.0]], learner=learner)


def test_mistakes():
    adapted = adapt_classifier(of_run(), pictures(), NAMES)
    with pytest.raises(InputError, match="labels are strings and numbers"):
        with_more(adapted, pictures(["white"]), [3])
    with pytest.raises(InputError, match="7 examples and 8 labels"):
        with_more(adapted, pictures(["white"]), ["white", "white"])
    bare = AdaptedClassifier(torch.nn.Linear(2, 2), (0, 1))
    with pytest.raises(InputError, match="does not know what it was adapted from"):
        with_more(bare, [[0.0, 1.0]], [1])
    with pytest.raises(InputError, match=r"the state lacks"):
        with_more(adapted, pictures(["white"]), ["white"], learner=fewstep.MAML(bare.module))


@pytest.mark.parametrize("how", [SCORES, PASSED])
def test_more_rows_of_a_table(how, tmp_path):
    adapt = adapt_regressor if how is SCORES else adapt_classifier
    learner = of_table(how)
    adapted = adapt(learner, SUPPORT, SUPPORT[how.target])
    expected = adapt(learner, NEW[:12], NEW[how.target][:12])
    adapted.save(tmp_path / "model")
    for before in (adapted, load_adapted(tmp_path / "model", network(how))):
        after = with_more(before, NEW[6:12], NEW[how.target][6:12], learner=learner)
        found, wanted = (
            one.predict(QUERY) if how is SCORES else one.predict_proba(QUERY)
            for one in (after, expected)
        )
        assert np.allclose(found, wanted, atol=1e-4)
    assert getattr(after, "half_width", 3.0) == 3.0
