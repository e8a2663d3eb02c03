"""Speakers told apart by one utterance each, none of them heard in training: MAML and fine-tuning.

``python -m benchmarks.vowels AEON.whl`` writes ``benchmarks/results/vowels.md`` and ``.json``; with
the name of a network it measures that one again, and keeps the other. The wheel, as ``pip download
--no-deps aeon`` gets it, is read and not installed: its pins do not suit ours.

Of nine speakers three are held out in turn. Both ways choose their settings by the same rule: of
the six training speakers one half trains and the other is told apart, and then the other way round.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor, nn

from benchmarks.report import machine, versions
from benchmarks.speakers import (
    FEATURES,
    LENGTH,
    SpeakerTasks,
    Utterances,
    prepared,
    read,
    with_mixtures,
)
from fewstep import MAML, FineTune
from fewstep.learners.base import Learner
from fewstep.models import conv1d, lstm

RESULTS = Path(__file__).parent / "results"
WAYS, SHOTS, QUERIES = 3, 1, 10
META_BATCH, OUTER_LR = 8, 3e-3
OUTER_STEPS = (50, 100)
INNER_STEPS = 3  # in MAML's training
TEST_STEPS = 20  # at most
VAL_TASKS, TEST_TASKS = 40, 100
MAML_LRS, FINE_TUNE_LRS = (0.1, 0.3), (0.01, 0.03, 0.1)
T_8 = 2.306  # of Student's t, for 95% and nine speakers
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: conv1d(LENGTH, FEATURES, WAYS, layers=2, width=32),
    "LSTM": lambda: lstm(FEATURES, WAYS, layers=1, width=32),
}


@dataclass(frozen=True)
class Settings:
    """The settings chosen on validation tasks."""

    outer_steps: int
    inner_lr: float
    new_head: str = ""

    def __str__(self) -> str:
        head = f", new last layer {self.new_head}" if self.new_head else ""
        return f"{self.outer_steps} outer steps, inner_lr {self.inner_lr}{head}"


Adapting = Iterator[tuple[Settings, MAML]]
Way = Callable[[Callable[[], nn.Module], SpeakerTasks], Adapting]


def maml(make: Callable[[], nn.Module], tasks: SpeakerTasks) -> Adapting:
    """The learners of exact MAML, by their settings."""
    for inner_lr in MAML_LRS:
        learner = MAML(_initial(make), inner_lr, INNER_STEPS)
        for outer_steps in _training(learner, tasks):
            yield Settings(outer_steps, inner_lr), learner


def fine_tuning(make: Callable[[], nn.Module], tasks: SpeakerTasks) -> Adapting:
    """Pre-trained networks under a new last layer, by the settings of fine-tuning."""
    learners = {}
    for new_head in ("random", "zeros"):
        torch.manual_seed(1)
        classes = len(tasks.utterances)
        learners[new_head] = FineTune(_initial(make), classes, new_head=new_head)
    for both in zip(*(_training(one, tasks) for one in learners.values()), strict=True):
        for new_head, learner in learners.items():
            network = learner.few_shot().model
            for inner_lr in FINE_TUNE_LRS:
                yield Settings(both[0], inner_lr, new_head), MAML(network, inner_lr)


WAYS_TO_LEARN: dict[str, Way] = {"MAML, exact": maml, "pre-trained, fine-tuned": fine_tuning}


def main(wheel: str, *networks: str) -> None:
    """Measure some networks, or all, keep the rest, and write the table."""
    of, results = read(Path(wheel)), RESULTS / "vowels.json"
    kept = json.loads(results.read_text()) if networks and results.exists() else {}
    rows: dict[str, dict[str, float]] = kept.get("accuracy", {})
    chosen: dict[str, list[str]] = kept.get("chosen", {})
    for network in networks or NETWORKS:
        for name, way in WAYS_TO_LEARN.items():
            both = f"{network}, {name}"
            rows[both], chosen[both] = {}, []
            for held in folds(list(of)):
                scores, settings = on_held_out(of, held, NETWORKS[network], way)
                rows[both] |= scores
                chosen[both].append(settings)
                print(both, settings, scores, flush=True)
        told = {"machine": machine(), "versions": versions(), "accuracy": rows, "chosen": chosen}
        results.write_text(json.dumps(told, indent=2) + "\n")
        results.with_suffix(".md").write_text(page(rows, chosen))


def folds(speakers: list[str]) -> list[list[str]]:
    """The speakers in three parts."""
    return [speakers[first::3] for first in range(3)]


def on_held_out(
    of: Utterances, held: list[str], make: Callable[[], nn.Module], way: Way
) -> tuple[dict[str, float], str]:
    """The accuracy for each speaker that is held out, and the settings that were chosen."""
    rest = [name for name in of if name not in held]
    halves = rest[::2], rest[1::2]
    found: dict[Settings, Tensor] = {}
    for training, validation in (halves, halves[::-1]):
        train, val = _tasks(of, training), _tasks(of, validation, training)
        batch = val.batch(range(VAL_TASKS))
        for settings, learner in way(make, train):
            scores = learner.evaluate(batch, TEST_STEPS).scores.mean(0)
            found[settings] = found.get(settings, 0) + scores
    best = max(found, key=lambda settings: float(found[settings].max()))
    steps = int(found[best].argmax())
    for settings, learner in way(make, _tasks(of, rest)):
        if settings == best:
            return by_speaker(
                learner, _tasks(of, held, rest), steps
            ), f"{best}, {steps} inner steps"
    raise AssertionError


def by_speaker(learner: MAML, tasks: SpeakerTasks, steps: int) -> dict[str, float]:
    """The accuracy for each speaker after so many inner steps, the mean over tasks."""
    metrics = {str(label): partial(_of_label, label) for label in range(WAYS)}
    one = MAML(learner.model, learner.inner_lr, metrics=metrics)
    batch = tasks.batch(range(TEST_TASKS))
    found = one.evaluate(batch, steps).metrics
    names, scores = list(tasks.utterances), torch.stack([of[:, -1] for of in found.values()], 1)
    assert batch.classes is not None
    return {
        name: float(scores[batch.classes == number].mean()) for number, name in enumerate(names)
    }


def _of_label(label: int, prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction.argmax(1) == target)[target == label].float().mean()


def _tasks(of: Utterances, speakers: list[str], training: list[str] | None = None) -> SpeakerTasks:
    """Training tasks, or those of speakers that were not in training."""
    utterances = prepared(of, speakers, training or speakers)
    if training is None:
        return SpeakerTasks(with_mixtures(utterances), WAYS, SHOTS, QUERIES)
    return SpeakerTasks(utterances, WAYS, SHOTS, QUERIES, split="unseen")


def _initial(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()


def _training(learner: Learner, tasks: SpeakerTasks) -> Iterator[int]:
    """The outer steps that were made, at each of `OUTER_STEPS`."""
    optimizer = torch.optim.Adam(learner.parameters(), OUTER_LR)
    for step in range(max(OUTER_STEPS)):
        optimizer.zero_grad()
        learner(tasks.batch(range(META_BATCH * step, META_BATCH * (step + 1)))).backward()
        optimizer.step()
        if step + 1 in OUTER_STEPS:
            yield step + 1


def page(rows: Mapping[str, Mapping[str, float]], chosen: Mapping[str, list[str]]) -> str:
    """The table as Markdown."""
    speakers = sorted(next(iter(rows.values())))
    lines = [
        "# Speakers never heard, told apart by one utterance each",
        "",
        f"JapaneseVowels (nine speakers), {WAYS}-way, {SHOTS}-shot, {TEST_TASKS} tasks of "
        f"{QUERIES} queries a speaker in each of three folds of three held-out speakers; accuracy "
        "in %, mean and 95% interval over the nine speakers; no batch norm, seed 0.",
        "",
        f"| | mean | {' | '.join(speakers)} |",
        "|---" * (2 + len(speakers)) + "|",
    ]
    for name, row in rows.items():
        cells = " | ".join(f"{100 * row[speaker]:.1f}" for speaker in speakers)
        lines.append(f"| {name} | {_interval([*row.values()])} | {cells} |")
    lines.append("")
    for network in [name for name in NETWORKS if any(row.startswith(name) for row in rows)]:
        first, second = (rows[f"{network}, {name}"] for name in WAYS_TO_LEARN)
        gains = [first[speaker] - second[speaker] for speaker in speakers]
        told = f"MAML less fine-tuning, {network}: {_interval(gains)} points"
        settled = abs(fmean(gains)) > _half(gains)
        lines.append(told + ("." if settled else ", which nine speakers do not settle."))
    lines += ["", "Settings, chosen on the training speakers of each fold:", ""]
    lines += [f"- {name}: {'; '.join(of)}" for name, of in chosen.items()]
    told = ", ".join(f"{name} {versions()[name]}" for name in ("python", "torch", "fewstep"))
    lines += ["", f"By `python -m benchmarks.vowels AEON.whl`. {machine()}; {told}.", ""]
    return "\n".join(lines)


def _interval(values: list[float]) -> str:
    return f"{100 * fmean(values):.1f} ± {100 * _half(values):.1f}"


def _half(values: list[float]) -> float:
    """Half the 95% interval of the mean."""
    return T_8 * stdev(values) / math.sqrt(len(values))


if __name__ == "__main__":
    main(*sys.argv[1:])
