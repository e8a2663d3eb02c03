"""The exactness suite on a GPU: every layer, algorithm and path beside the loop on the CPU.

Where there is no GPU, ``-m cuda`` runs it on the CPU, to try it.
"""

import functools

import pytest
import torch

from fewstep import TaskBatch
from fewstep.execution.recordings import WORTH_RECORDING
from tests.exactness.cases import CASES
from tests.exactness.family import CASE, FAMILY, OUTER_STEP, STEPS, family_learner
from tests.exactness.paths import PATHS, TOLERANCE
from tests.exactness.plain_loop import PlainLoop
from tests.exactness.real_models import MODELS
from tests.execution.recorded import Recorded
from tests.plain import deviation
from tests.slopes import relative_error, slopes_of

pytestmark = pytest.mark.cuda

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
EAGER = {n: s for n, s in PATHS.items() if n != "auto"} | {"chunked": {"execution": "chunked"}}
"""Paths that compile nothing."""
BY_NAME = {case.name: case for case in CASES}
COMPILED = ("tanh", "convolutional-block", "layer-norm", "transformer")
"""A sample: each takes a compiler a quarter of a minute."""
BY_SLOPES = (
    *("convolutional-block", "first-block", "layer-norm", "attention-weights", "attention-fused"),
    *("transformer", "transformer-dropout", "dropout", "lstm", "gru", "rnn", "lstm-dropout"),
)
REAL = (
    *("resnet", "vit-sdpa", "squeeze-and-excite", "bert-eager", "bert-sdpa", "llama"),
    *("tcn-weight-norm", "spectral-norm", "physics-informed", "features-by-hooks", "lstm", "gru"),
)
STEADY = [(case, norm) for case in CASES if case.vectorised for norm in case.norms]
RANDOM = [case for case in CASES if not case.vectorised]


def _id(value):
    return getattr(value, "name", str(value))


def _gradient(learner, tasks, device=DEVICE, outer_step=0):
    """On a device, brought back."""
    torch.manual_seed(2)
    found = learner.to(device).meta_gradient(tasks.to(device), outer_step)[1]
    return {name: value.cpu() for name, value in found.items()}


@functools.cache
def _expected(case, norm, steps):
    return _gradient(case.learner(steps, norm=norm, execution="loop"), case.tasks(), "cpu")


@functools.cache
def _expected_of_family(name):
    return _gradient(family_learner(name, execution="loop"), CASE.tasks(), "cpu", OUTER_STEP)


@pytest.mark.parametrize("path", EAGER)
@pytest.mark.parametrize(("case", "norm"), STEADY, ids=_id)
def test_every_layer_on_every_path(case, norm, path):
    for steps in (1, 3):
        learner = case.learner(steps, norm=norm, **EAGER[path])
        found = _gradient(learner, case.tasks())
        assert deviation(found, _expected(case, norm, steps)) < 1e-10


@pytest.mark.parametrize("case", RANDOM, ids=_id)
def test_random_layers_draw_the_same_on_every_path(case):
    found = [_gradient(case.learner(3, **PATHS[p]), case.tasks()) for p in ("loop", "flat")]
    assert deviation(*found) < 1e-10


@pytest.mark.parametrize("name", BY_SLOPES)
def test_finite_differences(name):
    case = BY_NAME[name]
    first, exact = (case.learner(2, order=o, execution="loop") for o in ("first", "exact"))
    first.to(DEVICE)
    tasks = case.tasks().to(DEVICE)

    def loss():
        torch.manual_seed(2)
        return first.meta_gradient(tasks)[0].item()

    slopes = slopes_of(loss, dict(first.named_parameters()))
    for direction, _ in slopes:
        direction.update({name: value.cpu() for name, value in direction.items()})
    assert relative_error(_gradient(exact, tasks), slopes) < TOLERANCE


@pytest.mark.parametrize("path", EAGER)
@pytest.mark.parametrize("name", FAMILY)
def test_every_algorithm_on_every_path(name, path):
    learner = family_learner(name, **EAGER[path])
    found = _gradient(learner, CASE.tasks(), outer_step=OUTER_STEP)
    assert deviation(found, _expected_of_family(name)) < 1e-10


@pytest.mark.parametrize("name", FAMILY)
def test_evaluation_is_the_same(name):
    expected = family_learner(name, execution="loop").evaluate(CASE.tasks(), STEPS)
    for path in ("loop", "vectorised"):
        learner = family_learner(name, **PATHS[path]).to(DEVICE)
        found = learner.evaluate(CASE.tasks().to(DEVICE), STEPS)
        torch.testing.assert_close(found.losses.cpu(), expected.losses, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(found.scores.cpu(), expected.scores)


@pytest.mark.parametrize("path", ["loop", "flat", "vectorised"])
@pytest.mark.parametrize("case", [case for case in CASES if case.single], ids=_id)
def test_single_precision_works_too(case, path):
    """PyTorch picks its fused kernels by the type; float32 has some that float64 has not."""
    tasks = case.tasks()
    single = TaskBatch(
        tasks.support_x.float(), tasks.support_y, tasks.query_x.float(), tasks.query_y
    )
    found = _gradient(case.learner(2, case.model().float(), **PATHS[path]), single)
    assert deviation(found, _expected(case, "transductive", 2)) < 1e-4


@pytest.mark.parametrize("case", [case for case in MODELS if case.name in REAL], ids=_id)
def test_models_of_real_packages(case):
    expected = PlainLoop(case).gradient()
    for path in ("loop", "flat", "vectorised")[: 3 if case.vectorised else 2]:
        found = _gradient(case.learner(case.model(), **PATHS[path]), case.tasks())
        # Llama turns by angles in float32 whatever its type, and a GPU's cosine is another.
        assert deviation(found, expected) < (1e-6 if case.name == "llama" else 1e-10), path


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name):
    """The plan that it chooses by itself, which on a GPU is compiled and recorded."""
    case = BY_NAME[name]
    learner = case.learner(2)
    learner.expect(WORTH_RECORDING)
    found = _gradient(learner, case.tasks())
    assert deviation(found, _expected(case, "transductive", 2)) < 1e-10


@pytest.mark.parametrize("name", ["maml++", "meta-sgd", "adam"])
def test_algorithms_compiled_and_recorded(name):
    learner = family_learner(name).to(DEVICE)
    on_gpu = DEVICE == "cuda"
    recorded = Recorded(learner, compiled=on_gpu, recorded=on_gpu)
    # Twice, since only the second is of the recording alone.
    for _ in range(2):
        found = recorded(CASE.tasks().to(DEVICE), OUTER_STEP).gradient
        found = {name: value.cpu() for name, value in found.items()}
        assert deviation(found, _expected_of_family(name)) < 1e-10
