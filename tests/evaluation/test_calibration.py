"""How far probabilities can be believed: cases made by hand, and what must hold of any."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep.errors import InputError
from fewstep.evaluation.calibration import (
    at_temperature,
    best_temperature,
    best_threshold,
    calibration_error,
    reliability,
)


def drawn(number, classes, seed, scale=2.0):
    """Logits, and labels drawn by the very probabilities that they stand for."""
    random = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(number, classes, generator=random, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    return logits, labels


def test_a_case_made_by_hand():
    # Bins of a fifth: two predictions of 0.7 and 0.75, one right; two of 1.0 and 0.95, both right.
    probabilities = np.array([[0.7, 0.3], [0.25, 0.75], [1.0, 0.0], [0.05, 0.95]])
    found = reliability(probabilities, [0, 0, 0, 1], bins=5)
    assert found.share == [0, 0, 0, 0.5, 0.5]
    assert found.confidence[3:] == pytest.approx([0.725, 0.975])
    assert found.accuracy[3:] == [0.5, 1.0]
    assert math.isnan(found.confidence[0])
    assert found.error == pytest.approx(0.5 * 0.225 + 0.5 * 0.025)
    assert found.overconfidence == pytest.approx(0.5 * 0.225 - 0.5 * 0.025)
    assert calibration_error(probabilities, [0, 0, 0, 1], bins=5) == found.error


def test_a_bin_has_its_upper_end():
    """Bin m of M is (m - 1) / M < confidence <= m / M, as in Guo et al."""
    probabilities = torch.tensor([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]], dtype=torch.float64)
    assert reliability(probabilities, [0, 0, 0], bins=4).share == pytest.approx(
        [0, 1 / 3, 1 / 3, 1 / 3]
    )


def test_one_that_is_sure_and_wrong_has_the_largest_error():
    assert calibration_error([[1.0, 0.0]] * 4, [1] * 4) == 1.0
    assert calibration_error([[1.0, 0.0]] * 4, [0] * 4) == 0.0


def test_tensors_of_tasks_are_flattened():
    logits, labels = drawn(60, 5, seed=0)
    flat = calibration_error(logits.softmax(1), labels)
    shaped = calibration_error(logits.softmax(1).view(4, 15, 5), labels.view(4, 15))
    assert shaped == flat
    assert calibration_error(logits.softmax(1).numpy(), labels.numpy()) == flat


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 8), st.integers(0, 10_000))
def test_probabilities_that_are_true_have_little_error(classes, seed):
    logits, labels = drawn(20_000, classes, seed)
    assert calibration_error(logits.softmax(1), labels) < 0.02


@settings(deadline=None, max_examples=10)
@given(st.integers(2, 8), st.floats(0.2, 5), st.integers(0, 10_000))
def test_the_temperature_of_scaled_logits_is_found_back(classes, scale, seed):
    logits, labels = drawn(2_000, classes, seed)
    own = best_temperature(logits, labels)
    assert own == pytest.approx(1, abs=0.15)
    assert best_temperature(scale * logits, labels) == pytest.approx(scale * own, rel=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.floats(0.3, 4), st.integers(0, 10_000))
def test_no_other_temperature_has_a_smaller_loss(classes, scale, seed):
    logits, labels = drawn(300, classes, seed)

    def loss(temperature):
        return torch.nn.functional.cross_entropy(scale * logits / temperature, labels).item()

    best = best_temperature(scale * logits, labels)
    assert loss(best) <= min(loss(best * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


@settings(deadline=None, max_examples=20)
@given(st.floats(0.05, 20), st.integers(0, 10_000))
def test_a_temperature_changes_no_prediction(temperature, seed):
    logits, _ = drawn(100, 4, seed)
    scaled = at_temperature(logits, temperature)
    assert torch.equal(scaled.argmax(1), logits.argmax(1))
    assert torch.allclose(scaled.sum(1), torch.ones(100, dtype=torch.float64))


def test_the_search_has_an_end_where_all_is_right_or_wrong():
    logits = [[3.0, 0.0], [0.0, 2.0]]
    assert best_temperature(logits, [0, 1]) == 1.0
    assert best_temperature(torch.zeros(3, 4), [0, 1, 2]) == 1.0
    assert best_temperature(logits, [1, 0]) == pytest.approx(1000)
    almost = [[1e-4, 0.0]] * 99 + [[-1e-9, 0.0]]
    assert best_temperature(almost, [0] * 100) == pytest.approx(1e-3)


def test_a_threshold_that_tells_all_apart():
    found = best_threshold([0.9, 0.8, 0.85], torch.tensor([0.3, 0.5]))
    assert found.threshold == pytest.approx(0.65)
    assert found[1:] == (1.0, 1.0)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from([0.2, 0.3, 0.5, 0.7, 0.9, 1.0]), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.2, 0.3, 0.5, 0.7, 0.9, 1.0]), min_size=1, max_size=12),
)
def test_no_other_threshold_is_better(known, absent):
    def shares(threshold):
        return (
            sum(p >= threshold for p in known) / len(known),
            sum(p < threshold for p in absent) / len(absent),
        )

    found = best_threshold(known, absent)
    assert found[1:] == pytest.approx(shares(found.threshold))
    every = [0, *known, *absent, *(p + 0.01 for p in (*known, *absent))]
    assert sum(found[1:]) >= max(sum(shares(other)) for other in every) - 1e-12


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: calibration_error([[0.5, 0.5]], [0, 1]), "expected [..., classes]"),
        (lambda: calibration_error([[0.5, 0.5]], [0.0]), "whole numbers"),
        (lambda: calibration_error(torch.zeros(0, 2), torch.zeros(0).long()), "no prediction"),
        (lambda: best_temperature([[1.0, 0.0]], [2]), "expected 0 to 1"),
        (lambda: best_temperature([[1.0, 0.0]], [-100]), "expected 0 to 1"),
        (lambda: best_temperature([[math.inf, 0.0]], [0]), "not finite"),
        (lambda: best_threshold([], [0.5]), "known has 0"),
    ],
)
def test_what_fits_nothing_is_refused(call, told):
    with pytest.raises(InputError) as refused:
        call()
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
