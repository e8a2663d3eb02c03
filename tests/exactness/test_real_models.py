"""Models of real packages: exact on every path that takes them, and left as they are."""

import functools

import pytest

from fewstep import InputError
from tests.exactness.paths import LOOPS, PATHS
from tests.exactness.plain_loop import PlainLoop
from tests.exactness.real_models import MODELS, OUTPUTS, STEPS, RealModel
from tests.plain import deviation
from tests.slopes import relative_error, slopes_of
from tests.snapshot import differences, snapshot

TOLERANCE, TO_SLOPES = 1e-10, 1e-6


def _id(value):
    return getattr(value, "name", str(value))


each_model = pytest.mark.parametrize("case", MODELS, ids=_id)


@functools.cache
def _plain(case: RealModel, smooth: bool = False) -> PlainLoop:
    return PlainLoop(case, smooth=smooth and case.smooth is not None)


@functools.cache
def _reference(case: RealModel):
    return _plain(case).gradient()


@functools.cache
def _outer_step(case: RealModel, path: str, smooth: bool = False):
    """The meta-gradient or why there is none, and what it changed of the model and the tasks."""
    model, tasks = case.model(smooth), case.tasks()
    before = snapshot(model), snapshot(tasks)
    try:
        found = case.learner(model, **PATHS[path]).meta_gradient(tasks)[1]
    except InputError as error:
        found = error
    changed = differences(before[0], snapshot(model)) + differences(before[1], snapshot(tasks))
    return found, changed


def _gradient(case: RealModel, path: str, smooth: bool = False):
    found, _ = _outer_step(case, path, smooth)
    if isinstance(found, InputError):
        raise found
    return found


@pytest.mark.parametrize("path", LOOPS)
@each_model
def test_plain_loop(case, path):
    assert _gradient(case, path).keys() == _reference(case).keys()
    assert deviation(_gradient(case, path), _reference(case)) < TOLERANCE


@each_model
def test_vectorised_or_refused(case):
    """Refused is right as well, where nothing says that it has to be vectorised."""
    refusal = ""
    try:
        gradient = _gradient(case, "vectorised")
    except InputError as error:
        refusal = str(error)
    if refusal:
        assert not case.vectorised, refusal
        assert "cannot be vectorised over tasks" in refusal
    else:
        assert deviation(gradient, _reference(case)) < TOLERANCE


@each_model
def test_central_differences(case):
    loop = _plain(case, smooth=True)
    # Narrower than usual: batch norm of a few examples bends the loss a lot.
    slopes = slopes_of(
        lambda: float(loop.losses(exact=False).detach().mean()), loop.start, width=3e-7
    )
    gradient = _gradient(case, "loop", smooth=case.smooth is not None)
    assert relative_error(gradient, slopes) < TO_SLOPES


@each_model
def test_the_second_derivative_matters(case):
    """Or else the other tests would show nothing."""
    assert deviation(_plain(case).gradient(exact=False), _reference(case)) > 1e-3


@each_model
def test_evaluate_and_adapt(case):
    """They end where the plain loop ends, without dropout."""
    learner, tasks, loop = case.learner(case.model()), case.tasks(), _plain(case)
    found = learner.evaluate(tasks, STEPS).losses[:, STEPS].tolist()
    assert found == pytest.approx(loop.losses(exact=False).tolist(), rel=1e-9)
    # On the support set, whose statistics batch norm uses in either protocol.
    expected = loop.losses(exact=False, on="support").tolist()
    for x, y, loss in zip(tasks.support_x, tasks.support_y, expected, strict=True):
        found = case.loss(learner.adapt(x.clone(), y)(x.clone()), y)
        assert found.item() == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("path", [*LOOPS, "vectorised"])
@each_model
def test_an_outer_step_leaves_it_as_it_is(case, path):
    """Refused or not, and whatever is wrong with the gradient: that is for other tests to see."""
    assert _outer_step(case, path)[1] == []


@pytest.mark.parametrize("call", ["evaluate", "adapt"])
@each_model
def test_left_as_it_is(case, call):
    model, tasks = case.model(), case.tasks()
    learner = case.learner(model)
    before = snapshot(model), snapshot(tasks)
    if call == "adapt":
        learner.adapt(tasks.support_x[0], tasks.support_y[0])
    else:
        learner.evaluate(tasks, STEPS)
    assert differences(before[0], snapshot(model)) == []
    assert differences(before[1], snapshot(tasks)) == []


@pytest.mark.parametrize("path", LOOPS)
@pytest.mark.parametrize("case", OUTPUTS, ids=_id)
def test_named_inputs_and_outputs(case, path):
    assert deviation(_gradient(case, path), _reference(case)) < TOLERANCE
