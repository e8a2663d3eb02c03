"""Accuracy on unseen characters against minutes of training, for fewstep and another library.

``python -m benchmarks.time_to_accuracy OUT [--minutes 15 ...] [--device cuda] [--seconds N]``
trains each contestant for so many minutes, in turns of five, so that all see the same machine (on
a GPU one after another), then evaluates the initialisations that were kept meanwhile. The same
command goes on where it was stopped, by ``--seconds``, by Ctrl-C or killed. It writes
``OUT/time_to_accuracy-MACHINE.json``, ``.md`` and ``.png``; with ``--publish`` they become those
of ``benchmarks/results`` and ``docs`` as well.

A schedule has to know the number of outer steps. A rate is measured first, and each contestant gets
the number that fits its minutes, so that each ends its schedule. Several ``--minutes`` are several
budgets, each with trainings of its own; the contestant "higher, as many steps as MAML" takes the
number of MAML instead, and the time that it needs.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import Clock
from benchmarks.report import machine, versions
from benchmarks.time_to_accuracy.accuracy import evaluated
from benchmarks.time_to_accuracy.contestants import (
    ALGORITHMS,
    AS_MANY_STEPS,
    RECIPE,
    USUAL,
    Training,
    departures,
)
from benchmarks.time_to_accuracy.page import draw, filled, page, table
from benchmarks.time_to_accuracy.points import progress_of
from fewstep.files import write_out

ROOT = Path(__file__).parents[2]
NAME = "time_to_accuracy"
TURN = 300.0
"""Seconds of a turn on a CPU."""
TRIAL, TRIAL_ON_GPU = 20, 1000
"""Outer steps of the shortest trial; on a GPU it takes so many for them to be recorded."""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train and evaluate what is missing, write the results, and return them."""
    given = _parser().parse_args(arguments)
    clock, out = Clock(given.seconds), given.out
    out.mkdir(parents=True, exist_ok=True)
    trainings = planned(given)
    _train(trainings, out, TURN if given.device == "cpu" else given.seconds, clock)
    told = _told(given, trainings, clock)
    stem = out / f"{NAME}-{slug(given.device)}"
    _write(stem, told, stem.with_suffix(".png"))
    if given.publish:
        picture = f"time-to-accuracy{'-gpu' if given.device != 'cpu' else ''}.png"
        _write(ROOT / "benchmarks" / "results" / stem.name, told, ROOT / "docs/images" / picture)
        docs = ROOT / "docs" / "time-to-accuracy.md"
        docs.write_text(filled(docs.read_text(), told, f"images/{picture}"))
    print(table(told), flush=True)
    unfinished = [run["name"] for run in told["runs"] if not run["finished"]]
    if unfinished:
        print(f"not done: {', '.join(unfinished)}; the same command goes on", flush=True)
    return told


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path, help="folder of the trainings, to go on with")
    parser.add_argument("--minutes", type=float, nargs="+", default=[15.0])
    parser.add_argument("--contestants", nargs="+", default=list(USUAL), choices=ALGORITHMS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="of the recipe")
    parser.add_argument("--tasks", type=int, default=600, help="test tasks")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many")
    parser.add_argument("--publish", action="store_true", help="into the project's results")
    return parser


def settings_of(given: argparse.Namespace) -> dict[str, Any]:
    """Settings that all trainings share."""
    told: dict[str, Any] = {"recipe": RECIPE, "device": given.device}
    for each in given.set:
        name, _, value = each.partition("=")
        try:
            told[name] = json.loads(value)
        except ValueError:
            told[name] = value
    return told


def planned(given: argparse.Namespace) -> list[Training]:
    """The trainings with their numbers of outer steps, which are kept in ``OUT/plan.json``."""
    path, shared = given.out / "plan.json", settings_of(given)
    plan: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if plan.setdefault("settings", shared) != shared:
        sys.exit(f"{given.out} is of {plan['settings']}, and not {shared}; choose another folder")
    rates = plan.setdefault("rates", {})
    found = []
    for minutes in given.minutes:
        for name in given.contestants:
            training = Training(name, minutes, shared)
            by = "MAML" if name == AS_MANY_STEPS else name
            if by not in rates:
                print(f"{by}: the rate is measured", flush=True)
                recorded = given.device != "cpu" and not training.by_peer
                few = TRIAL_ON_GPU if recorded else TRIAL
                rates[by] = ask({"training": replace(training, name=by).as_json(), "rate": few})
                write_out(path, f"{json.dumps(plan, indent=1)}\n".encode())
            found.append(replace(training, steps=steps_in(60 * minutes, rates[by])))
    return found


def steps_in(seconds: float, rate: Mapping[str, float]) -> int:
    """Outer steps that fit into a time."""
    return max(1, round((seconds - rate["setup_seconds"]) / rate["seconds_of_a_step"]))


def ask(what: dict[str, Any]) -> Any:
    """The answer of a process of its own, if it gives one."""
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{NAME}.training"]
    process = subprocess.Popen(
        [*command, json.dumps(what)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        lines = process.communicate()[0].strip().splitlines()
    except KeyboardInterrupt:
        # It was given the signal too, and keeps what it has.
        process.wait()
        raise
    if process.returncode:
        sys.exit(f"{what['training']['name']} failed; see above")
    return json.loads(lines[-1]) if lines else None


def _train(trainings: list[Training], out: Path, turn: float, clock: Clock) -> None:
    """Train in turns until all are done or the time is over."""
    while waiting := [t for t in trainings if progress_of(out / t.folder).step < t.steps]:
        for training in waiting:
            if not clock.left():
                return
            seconds, run = min(turn, clock.left()), (out / training.folder).resolve()
            ask({"training": training.as_json(), "folder": str(run), "seconds": seconds})
            done = progress_of(run)
            told = f"{done.step:,} of {training.steps:,} outer steps, {done.seconds / 60:.1f} min"
            print(f"{training.name}: {told}", flush=True)


def _told(given: argparse.Namespace, trainings: list[Training], clock: Clock) -> dict[str, Any]:
    runs = []
    for training in trainings:
        run = given.out / training.folder
        rows = evaluated(training, run, given.tasks, clock)
        done = bool(rows) and rows[-1]["step"] == training.steps and clock.left() > 0
        runs.append(
            {**training.as_json(), "by_peer": training.by_peer, "finished": done, "points": rows}
        )
    config = Training("MAML", 1.0, settings_of(given)).config
    # Its folder is one of this machine.
    typed = ["OUT" if word == str(given.out) else word for word in sys.argv[1:]]
    peers = [training for training in trainings if training.by_peer]
    return {
        "machine": _device(given.device),
        "versions": versions(),
        "recipe": RECIPE,
        "budget": config.budget,
        "command": f"python -m benchmarks.{NAME} {shlex.join(typed)}",
        "tasks": given.tasks,
        "inner_steps": config.test_inner_steps,
        "seed": config.seed,
        "deviation": _deviation(given.out, peers),
        "departures": departures(peers[0]) if peers else [],
        "rates": json.loads((given.out / "plan.json").read_text())["rates"],
        "runs": runs,
    }


def _deviation(out: Path, peers: list[Training]) -> float | None:
    """That of the peer's gradient, which is measured once."""
    if not peers:
        return None
    from benchmarks.time_to_accuracy.peer import deviation

    path = out / "deviation.json"
    if not path.exists():
        write_out(path, json.dumps(deviation(peers[0].config)).encode())
    return float(json.loads(path.read_text()))


def _device(device: str) -> str:
    return machine() if device == "cpu" else torch.cuda.get_device_name()


def slug(device: str) -> str:
    """The machine in the name of a file."""
    if device == "cpu":
        return f"{platform.machine()}-{torch.get_num_threads()}-threads"
    return torch.cuda.get_device_name().lower().replace(" ", "-")


def _write(stem: Path, told: dict[str, Any], picture: Path) -> None:
    stem.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    stem.with_suffix(".md").write_text(page(told))
    draw(picture, told)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on")
