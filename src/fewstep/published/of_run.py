"""The results of a run of a recipe, from the summary that it wrote."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fewstep.choices import Budget
from fewstep.config.budgets import budgets_of
from fewstep.config.file import decisive, read_config, training_digest
from fewstep.config.recipes import find_recipe, with_algorithm, with_budget
from fewstep.config.schema import Config, has_batch_norm
from fewstep.errors import InputError
from fewstep.files import read_json_object
from fewstep.published.files import ALGORITHMS, NORMS, ResultFile

FEWEST = 600
"""Test tasks that a published result rests on."""


def cell_config(recipe: str, algorithm: str, budget: Budget) -> Config:
    """The settings of a row of the table.

    Raises:
        InputError: There is no such recipe, or it has no such budget.
    """
    return with_algorithm(with_budget(find_recipe(recipe).config, budget), algorithm)


def command(config: Config) -> str:
    """The command line that trains a row again.

    >>> command(cell_config("omniglot-5way-1shot", "maml", "paper"))
    'fewstep train omniglot-5way-1shot --algorithm maml --budget paper --seed 0'
    """
    on = "" if config.device == "cpu" else f" --device {config.device}"
    return (
        f"fewstep train {config.recipe} --algorithm {config.algorithm} --budget {config.budget} "
        f"--seed {config.seed}{on}"
    )


def settings_of(config: Config) -> str:
    """A digest of the settings of a training, but for the seed."""
    return f"{training_digest(replace(config, seed=0))}-{config.steps}"


def results_of_run(run_dir: Path, fewest: int = 1) -> list[ResultFile]:
    """Read from a finished run its results: each norm, of the one model and of the average.

    Args:
        run_dir: Of ``fewstep train`` or ``fewstep reproduce``.
        fewest: Test tasks that it has to rest on.

    Raises:
        InputError: It is not finished, or no row of the table by its settings.
    """
    config, path = read_config(run_dir / "config.json"), run_dir / "summary.json"
    again = f"train it to its end: fewstep train {config.recipe} ... --run-dir {run_dir}"
    try:
        told = read_json_object(path, again)
    except OSError as error:
        raise InputError(f"{run_dir} has no test result yet; {again}") from error
    _check_is_row(config, run_dir)
    _check_is_test(config, told, path, again)
    try:
        found = _measured(config, told)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or of an earlier version ({error}); remove it, and {again}"
        ) from error
    if {one.norm for one in found if one.models == 1} != {*NORMS}:
        raise InputError(f"{path} has no row of both norms; remove it, and {again}")
    done = found[0].outer_steps
    if done != config.steps:
        # It goes on, or patience ended it.
        raise InputError(
            f"{run_dir} was tested after {done:,} of {config.steps:,} outer steps; {again}"
        )
    if found[0].tasks < fewest:
        raise InputError(
            f"{run_dir} was tested on {found[0].tasks} tasks; expected {fewest} at least, as with "
            f"--test-tasks {fewest}"
        )
    return found


def _check_is_row(config: Config, run_dir: Path) -> None:
    """See that a run is trained by the settings of its budget, but for the seed."""
    if config.budget is None or not budgets_of(config.recipe):
        raise InputError(
            f"{run_dir} is a run of {config.recipe} without a budget; the table has runs with "
            "--budget alone"
        )
    if config.algorithm not in ALGORITHMS:
        raise InputError(f"the table has no rows of {config.algorithm}, as {run_dir} is")
    row = cell_config(config.recipe, config.algorithm, config.budget)
    for name in ("steps", *decisive()):
        given, expected = getattr(config, name), getattr(row, name)
        if given != expected and name != "seed":
            raise InputError(
                f"{run_dir} was trained with {name} = {given}, and {config.recipe} with budget "
                f"{config.budget} has {expected}; train it by the recipe alone"
            )


def _check_is_test(config: Config, told: dict[str, Any], path: Path, again: str) -> None:
    """See that a summary is of the run beside it, tested as the row says."""
    k_shot, q_query = config.shots("test")
    expected = {
        "seed": config.seed,
        "split": "test",
        "n_way": config.ways("test"),
        "k_shot": k_shot,
        "q_query": q_query,
    }
    for name, value in expected.items():
        if told.get(name) != value:
            raise InputError(
                f"{path} has {name} = {told.get(name)}, and its run {value}; remove it, and {again}"
            )


def _measured(config: Config, told: dict[str, Any]) -> list[ResultFile]:
    versions = dict(told["versions"])
    common = {
        "recipe": config.recipe,
        "algorithm": config.algorithm,
        "budget": config.budget,
        "tasks": told["tasks"],
        "seed": told["seed"],
        "outer_steps": told["outer_steps"],
        "wall_seconds": told["wall_seconds"],
        "device": _device(told),
        "command": command(config),
        "settings": settings_of(config),
        "commit": versions.pop("commit", ""),
        "versions": versions,
    }
    found = []
    of_batch = has_batch_norm(config)
    chosen = told.get("calibration", {})
    errors = {norm: chosen.get(norm, {}).get("ece_before") for norm in told["norms"]}
    average = told.get("average")
    single = {"models": 1, "outer_steps": [told["outer_step"]], "norms": told["norms"]}
    for tested in [{**single, "calibration_error": errors}, *([average] if average else [])]:
        models, kept = tested["models"], sorted(tested["outer_steps"])
        # The one test of a network without batch norm stands for both norms.
        tests = [*tested["norms"]]
        for norm in tests if of_batch else NORMS:
            test = norm if of_batch else tests[0]
            used = f"{norm} batch norm" if of_batch else "no batch norm, so both norms are one"
            one = {"models": models, "norm": norm, "kept_after": kept}
            one["calibration_error"] = tested["calibration_error"][test]
            protocol = _protocol(told, used, models)
            found.append(
                ResultFile(**common, **one, **_by_steps(tested["norms"][test]), protocol=protocol)
            )
    return found


def _by_steps(figures: dict[str, Any]) -> dict[str, Any]:
    return {"accuracy": figures["accuracy"]["mean"], "ci95": figures["accuracy"]["ci95"]}


def _protocol(told: dict[str, Any], norm: str, models: int) -> str:
    size = f"{told['n_way']}-way {told['k_shot']}-shot {told['q_query']}-query"
    which = "one model" if models == 1 else f"mean of the logits of the {models} best checkpoints"
    return (
        f"{told['tasks']} test tasks of classes never seen, {size}; mean ± 95% interval over "
        f"tasks; {norm}; {which}, seed {told['seed']}"
    )


def _device(told: dict[str, Any]) -> str:
    """Where it was trained, for people."""
    on = told["trained_on"]
    if on["device"] != "cpu":
        return str(on["device"])
    ranks = int(on["ranks"])
    shared = f"{ranks} processes" if ranks > 1 else f"{on['threads']} threads"
    shared = "1 thread" if shared == "1 threads" else shared
    return f"{str(on['processor']).partition(',')[0]}, {shared}"
