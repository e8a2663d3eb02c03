"""Rows of the table of results, trained within some seconds, and further in the next call.

``python -m benchmarks.gpu.accuracy OUT SECONDS [--go-on FOLDER] [--cells RECIPE/ALGORITHM ...]``
trains the recipes with the fast budget, one after another, each in a run directory that is packed
as ``OUT/RECIPE-ALGORITHM.tar.gz``: few files, for machines that give few back. Those that are in
``FOLDER``, or in ``OUT``, go on from there. It prints one JSON object: how far each is. A run that
is done becomes part of the results by ``python -m scripts.results RUN_DIR``.

What follows ``--`` is for ``fewstep train``, such as smaller sizes for a trial.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

CELLS = (
    "omniglot-5way-1shot/maml",
    "omniglot-20way-1shot/maml++",
    "omniglot-20way-5shot/maml++",
    "omniglot-5way-5shot/maml",
    "omniglot-20way-1shot/maml",
    "omniglot-20way-5shot/maml",
    "omniglot-5way-1shot/maml++",
    "omniglot-5way-5shot/maml++",
)
"""The most important ones first."""
STOPPING = 20.0
"""Seconds that a training may take to stop, and what it has to be packed."""
SMALL = (
    *("--steps", "3", "--val-every", "2", "--val-tasks", "2", "--test-tasks", "2", "--filters"),
    *("4", "--meta-batch", "1", "--workers", "1"),
)
"""For a trial without a GPU."""


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train what is not done, the first cell first, and return how far each is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--began", type=float, help="when they began, in time.time(); now")
    parser.add_argument("--go-on", type=Path, help="folder with what an earlier call packed")
    parser.add_argument("--cells", nargs="+", default=list(CELLS), metavar="RECIPE/ALGORITHM")
    words = sys.argv[1:] if arguments is None else arguments
    own = words[: words.index("--")] if "--" in words else words
    given, flags = parser.parse_args(own), words[len(own) + 1 :]
    end = (given.began or time.time()) + given.seconds
    given.out.mkdir(parents=True, exist_ok=True)
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        for cell in given.cells:
            run = Path(folder, name_of(cell))
            unpack(run, [given.out, *([given.go_on] if given.go_on else [])])
            left = end - time.time() - STOPPING
            if left > 0 and not (run / "summary.json").exists():
                train(cell, run, left, ["--device", given.device, *flags])
                pack(run, given.out)
            told[cell] = state_of(run)
            print(f"{cell}: {told[cell]}", flush=True)
    print(json.dumps(told), flush=True)
    return told


def name_of(cell: str) -> str:
    """Of the run of a cell, as a file has it."""
    return cell.replace("/", "-").replace("++", "-plus-plus")


def train(cell: str, run: Path, seconds: float, flags: list[str]) -> None:
    """Train a cell, from where its run is, for so many seconds at most, and test it at the end."""
    recipe, algorithm = cell.split("/")
    command = ["-m", "fewstep", "train", recipe, "--algorithm", algorithm, "--budget", "fast"]
    process = subprocess.Popen(
        [sys.executable, *command, "--run-dir", str(run), *flags], stdin=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOPPING / 2)
        except subprocess.TimeoutExpired:
            # It goes on from its last checkpoint.
            process.kill()
            process.wait()


def pack(run: Path, out: Path) -> None:
    """Pack a run directory, without what can be made again."""
    if run.exists():
        part = out / f"{run.name}.part"
        with tarfile.open(part, "w:gz") as archive:
            for path in sorted(run.iterdir()):
                if path.name != "tensorboard":
                    archive.add(path, f"{run.name}/{path.name}")
        part.replace(out / f"{run.name}.tar.gz")


def unpack(run: Path, folders: list[Path]) -> None:
    """Unpack a run directory from the first of some folders that has it, if one does."""
    for folder in folders:
        path = folder / f"{run.name}.tar.gz"
        if path.exists():
            with tarfile.open(path) as archive:
                archive.extractall(run.parent, filter="data")
            return


def state_of(run: Path) -> dict[str, Any]:
    """How far a run is, and its result if it has one."""
    metrics, summary = run / "metrics.jsonl", run / "summary.json"
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    told: dict[str, Any] = {"outer_steps": json.loads(lines[-1])["step"] if lines else 0}
    scores = [line["val/score"] for line in map(json.loads, lines) if "val/score" in line]
    if scores:
        told["best_validation"] = max(scores)
    if summary.exists():
        result = json.loads(summary.read_text())
        told["seconds"] = result["training_seconds"]
        told["accuracy"] = {
            norm: list(of["accuracy"]["mean"].values())[-1] for norm, of in result["norms"].items()
        }
    return told


if __name__ == "__main__":
    main()
