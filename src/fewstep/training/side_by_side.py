"""Runs beside one another: what they are adapted as, measured by, and whether they compare."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewstep.choices import Norm
from fewstep.config.algorithms import steps_in_words
from fewstep.config.schema import Config, with_random_weights
from fewstep.distributed.ranks import ranks
from fewstep.errors import InputError
from fewstep.evaluation.figures import Figures
from fewstep.evaluation.measurements import measure
from fewstep.learners.any_ways import for_ways
from fewstep.learners.build import learner_for
from fewstep.training.checkpoint import Progress
from fewstep.training.lock import trainer
from fewstep.training.metrics_log import read_metrics
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run, is_finished
from fewstep.training.split_file import names_in


def untrained(run: Run) -> Run:
    """The same network and tasks, with the initial weights of the run's seed."""
    config, spec = with_random_weights(run.config), run.tasks["train"].spec
    if config.kind == "classification":
        spec = replace(spec, outputs=config.n_way)
    new = learner_for(config, spec)
    one, _ = for_ways(new, config.test_n_way)
    return Run(config, one, new, run.tasks, Progress(), Progress())


def ways_to_adapt(runs: dict[str, Run]) -> dict[str, Run]:
    """All runs by name; twice one that is pre-trained: the whole network and the head only."""
    return {
        f"{name}, {way}" if way else name: replace(run, learner=variant)
        for name, run in runs.items()
        for way, variant in run.learner.variants().items()
    }


def diagnose(run: Run, path: Path, steps: int, norm: Norm, tasks: int) -> Figures:
    """Measure what the diagnosis of a run rests on, with the metrics of its run directory.

    Raises:
        InputError: There are no validation tasks of this size.
    """
    config, last, validation = run.config, run.trained, run.tasks["val"]
    metrics, unread = ranks().from_first(lambda: _metrics(RunDir(path).metrics, last.step))
    finished = is_finished(last, config)
    training = None
    with suppress(InputError):
        # Of the size of validation tasks: only then do their scores compare.
        training = run.tasks["train"].with_shots(*config.shots("val"))
        if config.test_n_way:
            training = replace(training, n_way=config.test_n_way)  # type: ignore[type-var]
    found = measure(
        run.learner,
        training,
        validation,
        steps,
        norm,
        tasks,
        larger_is_better=validation.spec.larger_is_better,
        metrics=metrics,
        kept_at=run.progress.step,
        planned=None if finished else config.steps,
        settings=_settings_of_network(config),
    )
    by = None if finished else ranks().from_first(lambda: trainer(path))
    return replace(found, trained=last.step, trainer=by, unread=unread)


def _metrics(path: Path, until: int) -> tuple[list[dict[str, Any]], str]:
    """The figures of the training, and why there are none where they cannot be read."""
    try:
        return read_metrics(path, until), ""
    except InputError as error:
        return [], str(error)


def _settings_of_network(config: Config) -> frozenset[str]:
    """Those of the network and the tasks that a diagnosis may advise to change."""
    settings = {*config.network.settings}
    # A linear model has none, and the networks of series have one at least.
    if config.model != "mlp" or not config.layers:
        settings.discard("layers")
    if config.model == "mlp" and not config.layers:
        settings.discard("width")
    if config.table and config.min_k_shot is None and config.k_shot > 2:
        settings.add("min_k_shot")
    return frozenset(settings)


def check_comparable(runs: dict[str, Run]) -> None:
    """See that all runs are evaluated on the same tasks."""
    first_name, first = next(iter(runs.items()))
    predicts = {"classification": "classes", "regression": "numbers"}
    for name, run in runs.items():
        if run.config.kind != first.config.kind:
            raise InputError(
                f"{name} predicts {predicts[run.config.kind]} and {first_name} "
                f"{predicts[first.config.kind]}; expected runs that are evaluated on the same tasks"
            )
        theirs = _test_tasks(run.config)
        for setting, value in _test_tasks(first.config).items():
            if value != theirs[setting]:
                raise InputError(
                    f"{name} has {setting} = {theirs[setting]} and {first_name} {value}; expected "
                    "runs that are evaluated on the same tasks"
                )
        keeping = [r for r in (first, run) if r.config.data_set.keeps_split]
        kept = [list(names_in(r.tasks["test"])) for r in keeping]
        if kept and kept[0] != kept[-1]:
            of = "tasks" if run.config.table else "classes"
            raise InputError(
                f"{name} and {first_name} have other test {of}; expected runs that are evaluated "
                "on the same tasks"
            )


def steps_for_all(runs: Iterable[Run], wanted: int) -> int:
    """So many inner steps, or as many as each run can take: some learned theirs one by one."""
    return min([wanted, *(r.config.inner_steps for r in runs if r.config.learns_per_step)])


def check_inner_steps(runs: dict[str, Run], steps: int) -> None:
    """See that every run can take so many inner steps."""
    most = steps_for_all(runs.values(), steps)
    if most < steps:
        name = next(name for name, run in runs.items() if steps_for_all([run], steps) == most)
        raise InputError(
            f"{name} learned step sizes or batch norm for {steps_in_words(None, most)} and cannot "
            f"take {steps}; use --inner-steps {most}"
        )


def _test_tasks(config: Config) -> dict[str, object]:
    k_shot, q_query = config.shots("test")
    told = {"data": config.data, "n_way": config.ways("test"), "k_shot": k_shot, "q_query": q_query}
    return {**told, "seed": config.seed, "target": config.target}
