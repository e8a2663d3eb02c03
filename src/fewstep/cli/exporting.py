"""From a run or an adapted model to what is exported of it."""

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fewstep.choices import What
from fewstep.config.file import check_not_several
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.source import TaskSpec
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import evaluate
from fewstep.evaluation.numbers import in_percent, shown
from fewstep.export.eight_bits import rounded
from fewstep.export.source import Adapted, Export, export_of, network_of
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.predictors.adapted_dir import is_adapted, teaching_of
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.loading import load_adapted
from fewstep.predictors.outputs import dtype_of
from fewstep.training.adaptable import adapted_of
from fewstep.training.described import is_made_by_fit
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run, load_trained

TASKS = 100  # on which the loss of eight bits is measured


@dataclass(frozen=True)
class Chosen:
    """The object of an export.

    Attributes:
        export: Its programs.
        of: The learner, or the adapted model.
        note: What stands in for a last layer of other classes, if anything does.
        n_way: The number of classes where it is not that of the run.
    """

    export: Export
    of: Learner | Adapted
    note: str = ""
    n_way: int | None = None


def to_export(path: Path, what: What | None, n_way: int | None) -> Chosen:
    """The export of a run, or of the folder of an adapted model.

    Raises:
        InputError: It is neither, or has no such export.
    """
    if is_adapted(path):
        if n_way is not None:
            raise InputError(
                f"{path} is an adapted model, whose classes are known; leave --n-way out"
            )
        return _of_adapted(path, what or "adapted")
    if not (path / "config.json").is_file():
        check_not_several(path)
        raise InputError(
            f"{path} has no config.json; expected a run directory of fewstep train, or the folder "
            "of an adapted model, as fewstep adapt --out makes it"
        )
    if what == "adapted":
        raise InputError(
            f"{path} is a run, which is not adapted yet; give the folder that fewstep adapt --out "
            "made, or choose --what meta-learned or adaptation"
        )
    return _of_run(path, what or "adaptation", n_way)


def _of_adapted(path: Path, what: What) -> Chosen:
    if what == "meta-learned":
        raise InputError(
            f"{path} is an adapted model; give the run that it came from for --what meta-learned"
        )
    if what == "adapted":
        adapted = load_adapted(path)
        return Chosen(export_of(adapted, what), adapted)
    adapted, learner = adapted_of(path)
    known = teaching_of(adapted.teaching)
    assert known is not None
    learner.preparation = adapted.preparation
    if not isinstance(adapted, AdaptedClassifier):
        export = export_of(learner, what, known.support_x, known.support_y)
        return Chosen(_with(export, half_width=adapted.half_width), learner)
    learner.temperature = adapted.temperature
    fitting, note = learner, ""
    if not isinstance(adapted.preparation, TablePreparation):
        fitting, note = _for_ways(learner, len(adapted.classes))
    export = export_of(fitting, what, known.support_x, known.support_y)
    return Chosen(_with(export, classes=list(adapted.classes)), fitting, note)


def _of_run(path: Path, what: What, n_way: int | None) -> Chosen:
    if is_made_by_fit(RunDir(path).config):
        raise InputError(
            f"{path} was made by fewstep.fit with a network of your own; export it in Python, as "
            f'in fewstep.export.to_onnx(fewstep.load("{path}", model).learner, "file.onnx", x=x, '
            "y=y)"
        )
    run = load_trained(path, "cpu")
    spec, how, learner, note = run.form.spec, run.form.preparation, run.learner, ""
    own = spec.kind == "classification" and not isinstance(how, TablePreparation)
    if n_way is not None and not own:
        raise InputError(f"{path} is a run without classes of a task's own; leave --n-way out")
    n_way = n_way or run.config.test_n_way
    if n_way is not None:
        learner, note = _for_ways(learner, n_way)
    x, y = _like_a_task(spec, n_way or spec.outputs, dtype_of(learner))
    export = export_of(learner, what, x, y)
    if isinstance(how, TablePreparation) and spec.kind == "classification":
        export = _with(export, classes=list(how.classes))
    return Chosen(_with(export, threshold=run.threshold), learner, note, n_way)


def _for_ways(learner: Learner, n_way: int) -> tuple[Learner, str]:
    found, note = for_ways(learner, n_way)
    for name in ("preparation", "config", "temperature"):
        setattr(found, name, getattr(learner, name))
    return found, note


def _like_a_task(spec: TaskSpec, ways: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Examples and targets of the shape and the type of a task's."""
    generator = torch.Generator().manual_seed(0)
    of_classes = spec.kind == "classification"
    many = ways if of_classes else 2
    x = torch.rand((many, *spec.example_shape), generator=generator).to(dtype)
    return x, torch.arange(many) if of_classes else torch.zeros(many, ways).to(dtype)


def _with(export: Export, **told: Any) -> Export:
    more = {name: json.dumps(value) for name, value in told.items()}
    return replace(export, about={**export.about, **more})


def loss_of_bits(chosen: Chosen, path: Path, folder: str | None, moved: str | None) -> str:
    """The cost of eight bits, in one line."""
    if isinstance(chosen.of, Learner):
        if is_adapted(path):
            return "8 bits: the loss is measured on the tasks of a run; export the run"
        return _loss_in_tasks(chosen, chosen.of, path, folder, moved)
    return _change_of_predictions(chosen.of)


def _loss_in_tasks(
    chosen: Chosen, learner: Learner, path: Path, folder: str | None, moved: str | None
) -> str:
    try:
        run = load_run(path, folder, "cpu", {"n_way": chosen.n_way}, moved)
        tasks = run.tasks["test"]
    except InputError as error:
        return f"8 bits: the loss is not measured ({error})"
    steps, metric, found = run.config.test_inner_steps, "", []
    for one in (learner, _in_eight_bits(learner)):
        result = evaluate(one, tasks, steps=steps, n=TASKS, norm="inductive")
        metric = next(iter(result.metrics))
        found.append(result.score.mean[-1])
    before, after = (shown(metric, value) for value in found)
    return f"8 bits: {metric} {before} becomes {after} on {TASKS} test tasks (inductive)"


def _in_eight_bits(learner: Learner) -> Learner:
    found = copy.copy(learner)
    name = "wide" if isinstance(learner, FineTune) else "model"
    found._modules = {**learner._modules, name: rounded(network_of(learner))}
    return found


def _change_of_predictions(adapted: Adapted) -> str:
    known = teaching_of(adapted.teaching)
    if known is None:
        return "8 bits: the loss is not measured (the model keeps no examples)"
    with torch.no_grad():
        one, other = (m(known.support_x) for m in (adapted.module, rounded(adapted.module)))
    if isinstance(adapted, AdaptedClassifier):
        right = [
            float((found.argmax(1) == known.support_y).double().mean()) for found in (one, other)
        ]
        moved = (one.softmax(1) - other.softmax(1)).abs().max()
        return (
            f"8 bits: accuracy on its own {len(known.support_x)} examples {in_percent(right[0])} "
            f"becomes {in_percent(right[1])}; no probability moves by more than {float(moved):.2g}"
        )
    moved = (one - other).abs().max() / one.std().clamp(min=1e-9)
    return (
        f"8 bits: no prediction for its own {len(known.support_x)} examples moves by more than "
        f"{float(moved):.2g} of their standard deviation"
    )
