"""Tasks are what they claim to be, and task i of seed s is always the same task."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep import InputError
from fewstep.data.episodes import EpisodeSampler
from fewstep.data.images import ImageClasses


def marked_classes(counts):
    """Pictures of 2 x 2 whose first pixel is the class and whose second is the drawing."""
    pictures = [[[[c, d], [0, 0]]] for c, count in enumerate(counts) for d in range(count)]
    names = tuple(f"class {c}" for c in range(len(counts)))
    return ImageClasses(np.array(pictures, dtype=np.uint8), names, np.array(counts))


def values(pictures):
    """Class and drawing of each picture that was not turned."""
    return (pictures[:, 0, 0] * 255).round().int()


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(4, 9), min_size=5, max_size=12),
    n_way=st.integers(1, 5),
    k_shot=st.integers(1, 2),
    q_query=st.integers(1, 2),
    seed=st.integers(0, 5),
)
def test_support_and_query_share_classes_but_no_picture(counts, n_way, k_shot, q_query, seed):
    sampler = EpisodeSampler(marked_classes(counts), n_way, k_shot, q_query, seed)
    tasks = sampler.batch([3, 0])
    assert tasks.support_x.shape == (2, n_way * k_shot, 1, 2, 2)
    assert tasks.query_x.shape == (2, n_way * q_query, 1, 2, 2)
    for t in range(2):
        support, query = values(tasks.support_x[t]), values(tasks.query_x[t])
        assert (support[:, 0] == tasks.classes[t][tasks.support_y[t]]).all()
        assert (query[:, 0] == tasks.classes[t][tasks.query_y[t]]).all()
        assert len(set(tasks.classes[t].tolist())) == n_way
        pictures = {tuple(row) for row in torch.cat([support, query]).tolist()}
        assert len(pictures) == n_way * (k_shot + q_query)
        assert tasks.support_y[t].bincount().tolist() == [k_shot] * n_way


def test_a_task_depends_on_its_number_seed_and_split_alone():
    images = marked_classes([6] * 30)

    def first(index, **changes):
        return EpisodeSampler(images, 5, 1, 2, **changes).batch(index).support_x[-1]

    alone = first([7])
    assert torch.equal(alone, first([1, 4, 7]))
    assert not torch.equal(alone, first([8]))
    assert not torch.equal(alone, first([7], seed=1))
    assert not torch.equal(alone, first([7], split="test"))


def test_rotations_are_classes_of_their_own():
    images = marked_classes([4] * 2)
    sampler = EpisodeSampler(images, 8, 1, 1, rotations=True)
    assert sampler.classes == 8
    task = sampler.batch([0])
    assert sorted(task.classes[0].tolist()) == list(range(8))
    for number, picture in zip(task.classes[0], task.support_x[0], strict=True):
        upright = torch.rot90(picture, -(int(number) % 4), (1, 2))
        assert round(float(upright[0, 0, 0]) * 255) == int(number) // 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ((6, 1, 1), "n_way is 6, but the train split has 5 classes"),
        ((5, 2, 3), "k_shot 2 + q_query 3 = 5 pictures of each class, but 'class 2' has 4"),
        ((5, 0, 1), "k_shot is 0; expected 1 or more"),
        ((5, 2.5, 1), "k_shot is 2.5, a float; expected a whole number"),
        ((5, 1, 1, "2"), "seed is '2', a str; expected a whole number"),
        ((5, 1, 1, -1), "seed is -1; expected 0 or more"),
        ((5, 1, 0), "q_query is 0; expected 1 or more"),
        ((0, 1, 1), "n_way is 0; expected 1 or more"),
    ],
)
def test_too_few_classes_or_pictures(settings, told):
    with pytest.raises(InputError, match=told.replace("+", r"\+")):
        EpisodeSampler(marked_classes([6, 5, 4, 5, 6]), *settings)
