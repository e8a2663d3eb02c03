"""A source says what its tasks are made of, and the tasks of a config never change."""

import hashlib
from dataclasses import dataclass, replace

import pytest
import torch

from fewstep import InputError, TaskBatch
from fewstep.config.recipes import RECIPES, folder_config, with_budget
from fewstep.config.registry import DATA_SETS, NETWORKS
from fewstep.data import EpisodeSampler, SinusoidSampler, TaskSource, TaskSpec, load_glyphs
from fewstep.data.registry import task_sources
from fewstep.models.build import network
from tests.data.pictures import write_folder

KEPT = {
    "omniglot-20way-5shot": ("af6473e44e8d7874", "5529fcbbdf6b0e5c", "dfc9b4d5741ce0a3"),
    "glyphs-5way-1shot": ("7fe55507e7e162b9", "f38c63d3e52e7a94", "4e0dde8ee9e2a78e"),
    "sinusoid": ("42e9ebdf81597c8e", "c367f3e80e95ee06", "8af068dd8ea6232f"),
}
"""Digests of tasks by the first version: all tensors of Omniglot; the classes of glyphs, whose
pixels depend on the installed fonts and the processor; the x of the sinusoid."""


def digest(*tensors):
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


@pytest.mark.parametrize(
    "recipe", [pytest.param(r, marks=[pytest.mark.omniglot] * ("omni" in r)) for r in KEPT]
)
def test_tasks_stay_the_same_bit_for_bit(recipe, request):
    config = RECIPES[recipe].config
    config = with_budget(config, "paper") if config.budget else config
    config = replace(config, seed=3, test_k_shot=2, test_q_query=3)
    if config.data_set.has_folder:
        config = replace(config, data_dir=str(request.getfixturevalue("data_dir")))
    found = []
    for source in task_sources(config).values():
        tasks = source.batch([0, 1, 2, 1999, 7])
        tensors = {
            "omniglot": (*tasks.tensors, tasks.classes),
            "glyphs": (tasks.classes,),
            "sinusoid": (tasks.support_x,),
        }
        found.append(digest(*tensors[config.data]))
    assert tuple(found) == KEPT[recipe]


def test_pixels_and_targets_stay_the_same():
    glyphs, waves = (
        task_sources(replace(RECIPES[name].config, seed=3))["train"].batch([0, 1, 2, 1999, 7])
        for name in ("glyphs-5way-1shot", "sinusoid")
    )
    assert glyphs.query_x.mean().item() == pytest.approx(0.1282075, abs=1e-5)
    assert waves.query_x.mean().item() == pytest.approx(-0.1577137, abs=1e-5)


@pytest.mark.parametrize("name", ["glyphs", "sinusoid", "folder"])
def test_each_entry_says_what_its_sources_say(name, tmp_path):
    entry = DATA_SETS[name]
    photos = write_folder(tmp_path / "photos", classes=15, pictures=7)
    recipes = [*(r.config for r in RECIPES.values()), folder_config(str(photos), 28)]
    recipe = next(config for config in recipes if config.data == name)
    for split, source in task_sources(recipe).items():
        spec, tasks = source.spec, source.batch(range(2))
        assert (spec.kind, spec.score) == (entry.kind, entry.score)
        assert NETWORKS[recipe.model].examples == entry.examples
        assert tasks.support_x.shape[2:] == spec.example_shape
        prediction = network(recipe, spec.example_shape, spec.outputs)(tasks.query_x[0])
        assert spec.loss(prediction, tasks.query_y[0]).isfinite()
        if spec.classes is not None:
            assert tasks.classes.max() < spec.classes
        k_shot, q_query = recipe.shots(split)
        assert len(
            source.with_shots(k_shot + 1, q_query).batch([0]).support_y[0]
        ) == spec.outputs * (k_shot + 1)


def test_the_direction_of_a_score():
    assert TaskSpec.classification((3,), 5).larger_is_better
    spec = TaskSpec.regression((3,), 2)
    assert (spec.score, spec.larger_is_better) == ("mse", False)
    assert replace(spec, loss=torch.nn.functional.l1_loss).score == "loss"


def test_the_content_tells_one_changed_byte():
    images = load_glyphs()["val"]
    sampler = EpisodeSampler(images, 5, 1, 1)
    before = b"".join(map(bytes, sampler.content()))
    images.pictures[-1, 0, 0, 0] ^= 1
    assert before != b"".join(map(bytes, sampler.content()))
    assert not list(SinusoidSampler(1, 1).content())


@dataclass(frozen=True)
class Constant(TaskSource):
    k_shot: int
    q_query: int

    spec = TaskSpec.regression((2,))

    def batch(self, indices):
        def points(number):
            return torch.ones(len(indices), number, 2), torch.zeros(len(indices), number, 1)

        return TaskBatch(*points(self.k_shot), *points(self.q_query))


def test_a_source_of_ones_own():
    source = Constant(3, 4)
    assert source.with_shots(1, 2).batch([5, 6]).support_x.shape == (2, 1, 2)
    with pytest.raises(InputError, match="q_query is 0; expected 1 or more"):
        source.with_shots(1, 0)
    with pytest.raises(TypeError, match="abstract"):
        TaskSource()
