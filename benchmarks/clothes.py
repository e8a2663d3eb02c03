"""Clothes told apart by a network that was trained on letters, and by what else one could do.

``python -m benchmarks.clothes FASHION RUN PRETRAINED`` writes ``benchmarks/results/clothes.md``.
FASHION is the folder of Debian's package ``dataset-fashion-mnist`` (its ``t10k`` files are used),
RUN a run of a MAML recipe on letters and PRETRAINED one of ``--algorithm finetune`` on the same.
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
from fewstep import ProtoNet, TaskBatch
from fewstep.data import ImageFolder
from fewstep.evaluation.evaluate import interval
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.training.runs import load_trained

RESULTS = Path(__file__).parent / "results"
NAMES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
WAYS, SHOTS, QUERIES, TASKS = 10, (1, 5, 20), 15, 200
STEPS = 20  # of fine-tuning, on tasks of letters enough for it to come to rest


def main(fashion: Path, run: Path, pretrained: Path) -> None:
    """Measure every way on the same tasks, and write the table."""
    ways = learners(run, pretrained)
    with tempfile.TemporaryDirectory() as folder:
        make_folder(fashion, Path(folder))
        images = ImageFolder(folder, size=28)
        rows = {name: [] for name in ways}
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


def learners(run: Path, pretrained: Path) -> dict[str, Callable[[TaskBatch], Tensor]]:
    """By name, functions of tasks to the accuracy of each."""
    meta, before = (load_trained(path, "cpu") for path in (run, pretrained))
    adapted, _ = for_ways(meta.learner, WAYS)
    whole, head = (for_ways(way, WAYS)[0] for way in before.learner.variants().values())
    return {
        f"meta-learned ({meta.config.algorithm})": last_step(adapted, meta.config.test_inner_steps),
        "nearest class mean, features of the meta-learned network": last_step(
            ProtoNet(meta.learner.model, norm="inductive"), 0
        ),
        "nearest class mean, features of the pre-trained network": last_step(
            ProtoNet(before.learner.few_shot().model, norm="inductive"), 0
        ),
        "nearest class mean, pixels": nearest_mean,
        "pre-trained, whole network fine-tuned": last_step(whole, STEPS),
        "pre-trained, last layer fine-tuned": last_step(head, STEPS),
    }


def last_step(learner: Learner, steps: int) -> Callable[[TaskBatch], Tensor]:
    """The accuracy of each task after so many inner steps, one picture at a time."""
    return lambda tasks: learner.evaluate(tasks, steps, "inductive").scores[:, -1]


def nearest_mean(tasks: TaskBatch) -> Tensor:
    """The accuracy of the nearest mean picture."""
    support, query = (x.flatten(2) for x in (tasks.support_x, tasks.query_x))
    belongs = torch.nn.functional.one_hot(tasks.support_y).float().mT
    means = belongs @ support / belongs.sum(-1, keepdim=True)
    return (torch.cdist(query, means).argmin(-1) == tasks.query_y).float().mean(1)


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


def page(rows: dict[str, list[tuple[float, float]]]) -> str:
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
