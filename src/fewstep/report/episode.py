"""A picture of one task: support set, query set and predictions."""

from pathlib import Path
from typing import cast

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fewstep.choices import Norm
from fewstep.evaluation.evaluate import device_of
from fewstep.evaluation.numbers import shown
from fewstep.files import write_whole
from fewstep.learners.base import Learner
from fewstep.tasks import TaskBatch

RIGHT, WRONG = ("#0072B2", "✓"), ("#D55E00", "✗")


def draw_task(
    path: Path, learner: Learner, task: TaskBatch, steps: int, norm: Norm, told: str
) -> None:
    """Draw a row a class: its support pictures, then its query pictures with what was predicted.

    The pictures of a class lie side by side in the one task; ``told`` says in words what ``norm``
    batch norm uses.
    """
    support_x, support_y, query_x, _ = task.to(device_of(learner)).task(0)
    adapted = learner.adapt(support_x, support_y, steps, norm)
    with torch.no_grad():
        predicted = adapted(query_x).argmax(1).cpu()
    pictures, asked = cast(tuple[Tensor, Tensor], (task.support_x, task.query_x))
    ways = int(task.support_y.max()) + 1
    shots, queries = len(task.support_y[0]) // ways, len(task.query_y[0]) // ways
    widths = [1] * shots + [0.4] + [1] * queries
    figure = Figure(figsize=(0.9 * (shots + queries) + 1.2, ways + 0.9), layout="constrained")
    grid = figure.subplots(ways, len(widths), squeeze=False, width_ratios=widths)
    for way in range(ways):
        for k in range(shots):
            _show(grid[way, k], pictures[0, way * shots + k], "black", f"class {way}")
        grid[way, shots].axis("off")
        for q in range(queries):
            index = way * queries + q
            guess = int(predicted[index])
            colour, mark = RIGHT if guess == way else WRONG
            _show(grid[way, shots + 1 + q], asked[0, index], colour, f"{mark} {guess}")
    right = (predicted == task.query_y[0]).float().mean().item()
    figure.suptitle(
        f"support set (left) and query set (right) after {steps} inner steps: "
        f"{shown('accuracy', right)} right ({told})",
        fontsize=9,
    )
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))


def _show(axes: Axes, picture: Tensor, colour: str, label: str) -> None:
    axes.imshow(picture.movedim(0, -1).squeeze(-1).numpy(), cmap="gray_r", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(label, color=colour, fontsize=8, labelpad=2)
    for edge in axes.spines.values():
        edge.set_color(colour)
        edge.set_linewidth(1.5)
