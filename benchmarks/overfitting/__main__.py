"""Reproduce the failure, undo its causes one by one, and show the cure.

``python -m benchmarks.overfitting`` trains what ``runs/overfitting`` does not hold yet, in two
processes of one thread, and writes ``docs/images/overfitting.png`` and ``docs/overfitting.json``.
It prints the table of ``docs/overfitting.md``. Names of variants after it (``failure cure``) train
those alone. FEWSTEP_DATA is the folder that holds ``omniglot/``; without it that is downloaded.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.overfitting.report import draw, table
from benchmarks.overfitting.runs import VARIANTS, Budget, data_folder, record

ROOT = Path(__file__).parents[2]
RUNS, DOCS = ROOT / "runs" / "overfitting", ROOT / "docs"
PROCESSES = 2


Job = tuple[str, int, Path, Path | None, Budget]
Each = Callable[[Callable[..., Any], list[Job]], Iterable[Any]]


def side_by_side(function: Callable[..., Any], jobs: list[Job]) -> Iterator[Any]:
    """Map like `itertools.starmap`, in two processes."""
    # Spawned, because a process that has used threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        yield from pool.map(function, *zip(*jobs, strict=True))


def main(
    names: list[str],
    runs: Path = RUNS,
    docs: Path = DOCS,
    budget: Budget | None = None,
    each: Each = side_by_side,
) -> None:
    """Train the variants of these names, all of them where none is given; then report on all."""
    budget = budget or Budget()
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        sys.exit(f"unknown variant {unknown[0]!r}; expected one of {', '.join(VARIANTS)}")
    todo = [
        (name, seed, path, data_folder(), budget)
        for name in names or VARIANTS
        for seed in range(VARIANTS[name].seeds)
        if not (path := runs / f"{name}-{seed}.json").exists()
    ]
    runs.mkdir(parents=True, exist_ok=True)
    # Of another module: a process that is spawned by ``python -m`` does not have this one's.
    for name, seed, seconds in each(record, todo):
        print(f"{name}, seed {seed}: {seconds:.0f} s", flush=True)
    told = read(runs)
    if told:
        (docs / "images").mkdir(parents=True, exist_ok=True)
        (docs / "overfitting.json").write_text(json.dumps(told) + "\n", encoding="utf-8")
        draw(docs / "images" / "overfitting.png", told, budget)
        print(table(told))


def read(runs: Path) -> dict[str, list[dict[str, object]]]:
    """The record: the runs of each variant, in their order."""
    found = {
        name: [
            json.loads(path.read_text(encoding="utf-8"))
            for seed in range(variant.seeds)
            if (path := runs / f"{name}-{seed}.json").exists()
        ]
        for name, variant in VARIANTS.items()
    }
    return {name: of_variant for name, of_variant in found.items() if of_variant}


if __name__ == "__main__":
    main(sys.argv[1:])
