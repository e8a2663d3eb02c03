"""Learners as estimators of scikit-learn."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

import fewstep
from fewstep import FewShotClassifier, FewShotRegressor, InputError
from fewstep.data.images import ImageClasses
from fewstep.predictors.adapt import adapt_regressor
from fewstep.training.load import LoadedRun
from tests.own_rows import INPUTS, rows_of_tasks
from tests.predictors.shared import COLOUR, NAMES, network, of_numbers, of_pictures, of_rows
from tests.predictors.shared import pictures as made
from tests.predictors.shared_rows import PASSED, QUERY, SCORES, SUPPORT, of_table
from tests.predictors.shared_rows import network as network_of_table
from tests.snapshot import differences, snapshot

ROWS = np.random.default_rng(0).normal(size=(12, 4)) + 4 * np.repeat(np.eye(3, 4), 4, 0)
LABELS = np.repeat(["crow", "owl", "tit"], 4)


def any_width(outputs):
    """The checks fit tables of every width; in float64, since they compare to seven digits."""
    torch.manual_seed(0)
    layers = nn.AdaptiveAvgPool1d(8), nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, outputs)
    return nn.Sequential(*layers).double()


CANNOT_APPLY = {
    "check_estimators_overwrite_params": (
        "it compares hashes of joblib, and those of two equal PyTorch tensors differ; that a "
        "learner is not changed is tested below"
    ),
    "check_array_api_input": "it asks for SciPy's experimental array API, and skips itself",
}
"""A learner of a table takes its own columns alone, so no check that makes columns can apply to it;
what the checks ask for is tested below."""
ESTIMATORS = [
    FewShotClassifier(fewstep.ProtoMAML(any_width(3), inner_lr=0.1, inner_steps=10)),
    FewShotRegressor(
        fewstep.MAML(any_width(1), inner_lr=0.1, inner_steps=40, inner_optimizer="adam", loss="mse")
    ),
]
CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check.func.__name__}")
    for one in ESTIMATORS
    for estimator, check in estimator_checks_generator(one)
    if check.func.__name__ not in CANNOT_APPLY
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
@pytest.mark.filterwarnings("ignore:.*cast.*:RuntimeWarning:sklearn")
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_rows_with_strings_as_labels():
    classifier = FewShotClassifier(of_rows())
    assert classifier.fit(ROWS, LABELS) is classifier
    assert classifier.classes_.tolist() == ["crow", "owl", "tit"]
    assert classifier.n_features_in_ == 4
    assert classifier.predict(ROWS).tolist() == LABELS.tolist()
    assert classifier.predict_proba(ROWS).shape == (12, 3)
    assert classifier.score(ROWS, LABELS) == 1
    for x, y in ((ROWS.tolist(), LABELS.tolist()), (torch.tensor(ROWS), tuple(LABELS))):
        found = FewShotClassifier(of_rows()).fit(x, y)
        assert np.allclose(found.predict_proba(x), classifier.predict_proba(ROWS), atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six pictures of three classes, a folder a class."""
    folder = tmp_path_factory.mktemp("products")
    for number, (name, picture) in enumerate(zip(NAMES, made(), strict=True)):
        (folder / name).mkdir(exist_ok=True)
        picture.save(folder / name / f"{number}.png")
    return folder


def test_tables_with_named_columns(folder):
    table = pd.DataFrame(ROWS, columns=list("abcd"))
    classifier = FewShotClassifier(of_rows()).fit(table, pd.Series(LABELS))
    assert classifier.feature_names_in_.tolist() == list("abcd")
    assert classifier.predict(table).tolist() == LABELS.tolist()
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(table[list("dcba")])
    classifier.set_params(learner=of_pictures()).fit(folder)
    assert not hasattr(classifier, "feature_names_in_")


def test_a_support_set_in_every_form(folder):
    paths = sorted(folder.glob("*/*.png"))
    names = [path.parent.name for path in paths]
    learner = of_pictures()
    expected = FewShotClassifier(learner).fit(paths, names).predict_proba(paths)
    opened = [Image.open(path).convert("RGB") for path in paths]
    by_label = {name: [str(p) for p in paths if p.parent.name == name] for name in sorted({*names})}
    pixels = np.stack([COLOUR(path) for path in paths])
    images = ImageClasses(pixels, ("blue", "green", "red"), np.array([2, 2, 2]), COLOUR)
    for support in (folder, str(folder), by_label, images):
        found = FewShotClassifier(learner).fit(support)
        assert np.allclose(found.predict_proba(paths), expected, atol=1e-5)
        assert found.score(support) == found.score(paths, names) == 1
    for x in (list(map(str, paths)), opened, pixels, pixels.transpose(0, 2, 3, 1)):
        found = FewShotClassifier(learner).fit(x, names)
        assert np.allclose(found.predict_proba(x), expected, atol=1e-6)
        assert found.n_features_in_ == 3 * 16 * 16
    assert found.predict(str(paths[0])).tolist() == ["blue"]


def test_from_a_folder_to_a_saved_model(folder, tmp_path):
    images = fewstep.data.ImageFolder(folder, size=16)
    learner = fewstep.MAML(network(2), inner_lr=0.1)
    fewstep.fit(learner, images.tasks(n_way=2, k_shot=1, q_query=1), steps=2, meta_batch=2)
    assert learner.preparation == images.preparation
    classifier = fewstep.FewShotClassifier(learner).fit(images)
    paths = sorted(folder.glob("*/*.png"))
    assert classifier.predict(paths[0]).tolist() == ["blue"]
    classifier.save(tmp_path / "products")
    loaded = fewstep.load(tmp_path / "products", network(2))
    assert np.array_equal(loaded.predict_proba(paths), classifier.predict_proba(paths))
    # The pictures know it, where the learner does not.
    learner.preparation = None
    assert FewShotClassifier(learner).fit(images).predict(paths[0]).tolist() == ["blue"]


def test_clones_pipelines_and_searches(folder):
    classifier = FewShotClassifier(of_rows(), steps=2)
    copied = clone(classifier)
    assert copied.steps == 2
    assert copied.learner is not classifier.learner
    assert "steps=2" in repr(copied)
    pipeline = make_pipeline(StandardScaler(), classifier)
    assert cross_val_score(pipeline, ROWS, LABELS, cv=2).mean() > 0.5
    search = GridSearchCV(classifier, {"steps": [0, 1, 5]}, cv=2).fit(ROWS, LABELS)
    assert search.best_params_["steps"] in (0, 1, 5)
    assert search.best_estimator_.adapted_.about["protocol"]["inner_steps"] in (0, 1, 5)
    paths = sorted(map(str, folder.glob("*/*.png")))
    names = [path.split("/")[-2] for path in paths]
    scores = cross_val_score(FewShotClassifier(of_pictures()), paths, names, cv=2)
    assert scores.tolist() == [1, 1]
    regressor = FewShotRegressor(of_numbers(width=4))
    assert len(cross_val_score(make_pipeline(StandardScaler(), regressor), ROWS, ROWS[:, 0])) == 5


def test_steps_and_temperature_have_an_effect():
    def proba(**settings):
        return FewShotClassifier(of_rows(), **settings).fit(ROWS, LABELS).predict_proba(ROWS)

    usual = proba()
    assert not np.allclose(usual, proba(steps=20))
    cool = proba(temperature=3.0)
    logits = np.log(usual) / 3
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(cool, expected, atol=1e-6)


def test_the_learner_is_not_changed(folder):
    for estimator, x, y in (
        (FewShotClassifier(of_pictures(outputs=5)), sorted(folder.glob("*/*.png")), sorted(NAMES)),
        (FewShotRegressor(of_numbers(width=4)), ROWS, ROWS[:, 0]),
    ):
        model = estimator.learner.model
        before = snapshot(model)
        estimator.fit(x, y).predict(x)
        assert differences(before, snapshot(model)) == []
        assert estimator.learner.model is model


def test_a_regression_is_in_the_unit_of_its_targets():
    learner = fewstep.MAML(nn.Linear(1, 1), inner_lr=0.1, inner_steps=200, loss="mse")
    x = np.arange(4.0)[:, None]
    regressor = FewShotRegressor(learner).fit(x, 100 * x[:, 0] + 50)
    assert np.allclose(regressor.predict(x), 100 * x[:, 0] + 50, atol=1)
    assert regressor.score(x, 100 * x[:, 0] + 50) > 0.99
    two = FewShotRegressor(of_numbers(outputs=2, width=1)).fit(x, np.hstack([x, x]))
    assert two.predict(x).shape == (4, 2)


def test_a_saved_regressor(tmp_path):
    regressor = FewShotRegressor(of_numbers(width=4)).fit(ROWS, ROWS[:, 0])
    regressor.save(tmp_path / "model")
    loaded = fewstep.load(tmp_path / "model", of_numbers(width=4).model)
    assert np.array_equal(loaded.predict(ROWS), regressor.predict(ROWS))


def classify(learner=None, x=ROWS, y=LABELS, **settings):
    return FewShotClassifier(learner or of_rows(), **settings).fit(x, y)


def loaded_run():
    return LoadedRun(of_table(), None, None)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: classify(y=["owl"] * 12), "all 12 labels are 'owl', one class"),
        (lambda: classify(y=LABELS[:5]), "there are 12 examples and 5 labels"),
        (lambda: classify(y=["owl", 1] * 6), "labels are strings and numbers"),
        (lambda: classify(x=np.where(ROWS > 4, np.nan, ROWS)), "Input X contains NaN"),
        (lambda: classify(y=None), "y is None and x is a ndarray"),
        (lambda: classify(x=ROWS[:, :3]), r"the model does not take support examples of"),
        (lambda: classify(of_rows().model), r"learner is a Sequential; expected a learner"),
        (
            lambda: FewShotRegressor(loaded_run()).fit(SUPPORT[INPUTS], SUPPORT.score),
            r"learner is a LoadedRun; expected a learner, as in run\.learner",
        ),
        (lambda: classify(of_numbers(width=4)), "of a regression by its loss; use FewShotReg"),
        (lambda: classify(steps=-1), "steps is -1; expected 0 or more"),
        (lambda: classify(norm="batch"), "norm is 'batch'; expected one of"),
        (lambda: classify(temperature=0), "temperature is 0; expected more than 0"),
        (lambda: classify(x=["a.png"] * 12), "a.png is given, and it is not known how pictures"),
        (lambda: classify().predict(ROWS[:, :2]), "X has 2 features, but FewShotClassifier is"),
        (
            lambda: FewShotRegressor(of_rows()).fit(ROWS, ROWS[:, 0]),
            "of a classification by its loss; use FewShotClassifier",
        ),
        (
            lambda: FewShotRegressor(of_numbers(width=4)).fit(ROWS, np.full(12, np.nan)),
            "Input y contains NaN",
        ),
        (lambda: FewShotRegressor(of_numbers()).fit(ROWS, None), "the target y is None"),
    ],
)
def test_mistakes_are_told(act, told):
    with pytest.raises(ValueError, match=told):
        act()


def test_before_fit():
    for estimator in (FewShotClassifier(of_rows()), FewShotRegressor(of_numbers())):
        for act in (lambda e: e.predict(ROWS), lambda e: e.save("model")):
            with pytest.raises(NotFittedError):
                act(estimator)
    with pytest.raises(NotFittedError):
        FewShotClassifier(of_rows()).predict_proba(ROWS)


def test_fewstep_works_without_scikit_learn():
    """In a process of its own, which has none, and which does not ask for it."""
    code = """
import sys
sys.modules["sklearn"] = sys.modules["pandas"] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "sklearn" else found(name, *a)
import inspect, fewstep
import fewstep.predictors.loading, fewstep.predictors.further
from fewstep import *
inspect.getmembers(fewstep)
assert "FewShotClassifier" not in dir(fewstep)
try:
    fewstep.FewShotClassifier
except fewstep.InputError as error:
    assert "pip install 'fewstep[tables]'" in str(error) and "\\n" not in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mistakes_are_input_errors():
    with pytest.raises(InputError, match="one class"):
        classify(y=["owl"] * 12)


def test_the_columns_of_a_table_are_found_by_name():
    regressor = FewShotRegressor(of_table()).fit(SUPPORT, SUPPORT.score)
    assert regressor.feature_names_in_.tolist() == INPUTS
    assert regressor.n_features_in_ == 2
    expected = adapt_regressor(of_table(), SUPPORT, SUPPORT.score).predict(QUERY)
    assert np.allclose(regressor.predict(QUERY), expected)
    assert np.allclose(regressor.predict(QUERY[["colour", "hours"]]), expected)
    assert np.allclose(regressor.predict(QUERY[INPUTS].to_numpy()), expected)
    assert np.isfinite(regressor.score(QUERY, QUERY.score))
    by_array = FewShotRegressor(of_table()).fit(SUPPORT[INPUTS].to_numpy(), SUPPORT.score.tolist())
    assert np.allclose(by_array.predict(QUERY), expected)
    assert np.allclose(regressor.predict_interval(QUERY)[:, 0], expected - 4)
    assert clone(regressor).fit(SUPPORT, SUPPORT.score).predict(QUERY).shape == (20,)


def test_the_classes_of_a_table():
    classifier = FewShotClassifier(of_table(PASSED)).fit(SUPPORT, SUPPORT.passed)
    assert classifier.classes_.tolist() == ["no", "yes"]
    assert classifier.predict(QUERY).tolist() == classifier.adapted_.predict(QUERY)
    assert 0 <= classifier.score(QUERY, QUERY.passed) <= 1
    one = FewShotClassifier(of_table(PASSED)).fit(SUPPORT[:1], SUPPORT.passed[:1])
    assert one.predict_proba(QUERY).shape == (20, 2)
    assert one.classes_.tolist() == ["no", "yes"]


def test_from_a_table_to_a_saved_model(tmp_path):
    table = fewstep.data.Table(rows_of_tasks(), task="school", target="score", inputs=INPUTS)
    train, val, _ = table.split(0.6, 0.2, 0.2, seed=0)
    tasks = train.tasks(k_shot=4, q_query=4)
    learner = fewstep.MAML(network_of_table(train.preparation), inner_lr=0.1, loss="mse")
    fewstep.fit(learner, tasks, validation=val.tasks(k_shot=4, q_query=4), steps=2, meta_batch=2)
    assert learner.preparation == train.preparation
    regressor = FewShotRegressor(learner).fit(SUPPORT, SUPPORT.score)
    regressor.save(tmp_path / "model")
    loaded = fewstep.load(tmp_path / "model", network_of_table(train.preparation))
    assert np.array_equal(loaded.predict(QUERY), regressor.predict(QUERY))


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (SUPPORT[["hours"]], SUPPORT.score, "has no column 'colour'"),
        (SUPPORT[INPUTS].to_numpy()[:, :1], SUPPORT.score, "expected a table with the columns"),
        (SUPPORT, SUPPORT.score[:3], "there are 6 rows and targets of"),
        (SUPPORT.assign(hours="many"), SUPPORT.score, "'many' is no number"),
        (SUPPORT, None, "the target y is None"),
    ],
)
def test_mistakes_of_a_table_are_told(x, y, told):
    with pytest.raises(InputError, match=told):
        FewShotRegressor(of_table()).fit(x, y)


def test_rows_unlike_those_of_training_are_warned():
    regressor = FewShotRegressor(of_table()).fit(SUPPORT, SUPPORT.score)
    with pytest.warns(UserWarning, match="standard deviations from the mean"):
        regressor.predict(QUERY.assign(hours=10 * QUERY.hours))


def test_it_is_shown_in_a_line():
    regressor = fewstep.FewShotRegressor(fewstep.MAML(nn.Linear(1, 1), loss="mse"), 3)
    assert repr(regressor) == "FewShotRegressor(learner=MAML(...), steps=3)"
    assert repr(clone(regressor)) == repr(regressor)
    assert repr(fewstep.FewShotClassifier(fewstep.ProtoNet(any_width(2)))) == (
        "FewShotClassifier(learner=ProtoNet(...))"
    )


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (
            "score",
            r"y is 'score'; expected the targets; give the column itself, as in x\['score'\]",
        ),
        ("scor", "y is 'scor'; expected the targets; give one number an example"),
        (["1.5"] * 5 + ["many"], "y has 'many'; expected numbers"),
    ],
)
def test_texts_are_no_targets_of_a_regression(y, told):
    with pytest.raises(InputError, match=told):
        FewShotRegressor(of_table()).fit(SUPPORT, y)


@pytest.mark.parametrize("steps", [-1, 2.5, "3"])
def test_steps_are_a_whole_number(steps):
    """Of a learner that solves in closed form as well, which takes no number of them."""
    learner = fewstep.R2D2(network_of_table())
    learner.preparation = SCORES
    with pytest.raises(InputError, match=f"steps is {steps!r}"):
        FewShotRegressor(learner, steps=steps).fit(SUPPORT, SUPPORT.score)
