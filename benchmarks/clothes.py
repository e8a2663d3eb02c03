"""Clothes told apart by networks that were trained on letters, and by what else one could do.

``python -m benchmarks.clothes FASHION RUN ...`` writes ``benchmarks/results/clothes.md``. FASHION
is the folder of Debian's package ``dataset-fashion-mnist``, whose ``t10k`` files are used; each RUN
is a run directory on letters, pre-trained ones (``--algorithm finetune``) among them.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.report import machine, versions
from fewstep import FineTune, ProtoNet, TaskBatch
from fewstep.data import ImageFolder
from fewstep.evaluation.evaluate import interval
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.predictors.rivals import nearest_mean_of_pixels
from fewstep.training.runs import load_trained

RESULTS = Path(__file__).parent / "results"
NAMES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
WAYS, SHOTS, QUERIES, TASKS = 10, (1, 5, 20), 15, 100
STEPS = 30  # of fine-tuning, as in fewstep adapt
Rows = dict[str, list[tuple[float, float]]]  # mean and half the 95% interval, by shots
Score = Callable[[TaskBatch], Tensor]  # the accuracy of each task


def main(fashion: Path, *runs: Path) -> None:
    """Measure every way on the same tasks, and write the table."""
    ways = {"nearest class mean, pixels": nearest_mean}
    for run in runs:
        ways |= ways_of(run)
    with tempfile.TemporaryDirectory() as folder:
        make_folder(fashion, Path(folder))
        images = ImageFolder(folder, size=28)
        rows: Rows = {name: [] for name in ways}
        for shots in SHOTS:
            tasks = images.tasks(n_way=WAYS, k_shot=shots, q_query=QUERIES)
            batches = [tasks.batch(range(i, i + 10)) for i in range(0, TASKS, 10)]
            for name, score in ways.items():
                scores = torch.cat([score(batch) for batch in batches])
                rows[name].append((scores.mean().item(), interval(scores).item()))
                print(name, shots, rows[name][-1], flush=True)
    (RESULTS / "clothes.md").write_text(page(rows))
    told = {"machine": machine(), "versions": versions(), "accuracy": rows}
    (RESULTS / "clothes.json").write_text(json.dumps(told, indent=2) + "\n")


def ways_of(run: Path) -> dict[str, Score]:
    """By name, the ways in which a run adapts, and the nearest mean of its features."""
    trained = load_trained(run, "cpu")
    learner, algorithm = trained.learner, trained.config.algorithm
    if isinstance(learner, FineTune):
        told = {f"pre-trained, {part} fine-tuned": one for part, one in learner.variants().items()}
        found = {name: last_step(for_ways(one, WAYS)[0], STEPS) for name, one in told.items()}
        network = learner.few_shot().model
        algorithm = "pre-training"
    else:
        adapted, _ = for_ways(learner, WAYS)
        found = {f"meta-learned, {algorithm}": last_step(adapted, adapted.inner_steps)}
        network = learner.model
    if algorithm != "protonet":
        found[f"nearest class mean, features of {algorithm}"] = last_step(ProtoNet(network), 0)
    return found


def last_step(learner: Learner, steps: int) -> Score:
    """The accuracy of each task after so many inner steps, one picture at a time."""
    return lambda tasks: learner.evaluate(tasks, steps, "inductive").scores[:, -1]


def nearest_mean(tasks: TaskBatch) -> Tensor:
    """The accuracy of the nearest mean of pixels."""
    shares = []
    for number in range(len(tasks)):
        x, y, query_x, query_y = tasks.task(number)
        shares.append((nearest_mean_of_pixels(x, y, query_x) == query_y).float().mean())
    return torch.stack(shares)


def make_folder(fashion: Path, folder: Path) -> None:
    """Write the 10,000 test photographs as a folder a class."""
    pictures, labels = (
        np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)
        for path, offset in (
            (fashion / "t10k-images-idx3-ubyte.gz", 16),
            (fashion / "t10k-labels-idx1-ubyte.gz", 8),
        )
    )
    for name in NAMES:
        (folder / name).mkdir()
    for number, (picture, label) in enumerate(
        zip(pictures.reshape(-1, 28, 28), labels, strict=True)
    ):
        Image.fromarray(picture).save(folder / NAMES[label] / f"{number:05}.png")


def page(rows: Rows) -> str:
    """The table as Markdown, the best of each column in bold."""
    best = [max(row[i][0] for row in rows.values()) for i in range(len(SHOTS))]
    lines = [
        "# Clothes, by networks trained on letters",
        "",
        f"Fashion-MNIST, {WAYS}-way, {QUERIES} queries a class, {TASKS} tasks, accuracy in % with "
        "95% interval over tasks; every picture is classified by itself (inductive).",
        "",
        "| | " + " | ".join(f"{k}-shot" for k in SHOTS) + " |",
        "|---" * (len(SHOTS) + 1) + "|",
    ]
    for name, row in rows.items():
        cells = [
            f"**{100 * m:.1f} ± {100 * c:.1f}**" if m == b else f"{100 * m:.1f} ± {100 * c:.1f}"
            for (m, c), b in zip(row, best, strict=True)
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
