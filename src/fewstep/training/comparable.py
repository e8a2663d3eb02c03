"""Whether runs can be compared: only where all are evaluated on the same tasks."""

from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.training.runs import Run
from fewstep.training.split_file import names_in


def check_comparable(runs: dict[str, Run]) -> None:
    """See that all runs are evaluated on the same tasks."""
    first_name, first = next(iter(runs.items()))
    for name, run in runs.items():
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


def _test_tasks(config: Config) -> dict[str, object]:
    k_shot, q_query = config.shots("test")
    told = {"data": config.data, "n_way": config.n_way, "k_shot": k_shot, "q_query": q_query}
    return {**told, "seed": config.seed, "target": config.target}
