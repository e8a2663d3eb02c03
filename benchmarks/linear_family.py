"""A family of which the best possible predictor is known: how near it do learners come?

``python -m benchmarks.linear_family`` writes ``benchmarks/results/linear_family.md``. A task is
y = w x + noise with 4 inputs of unit spread, w normal around a mean that all tasks share with
deviation 0.5, and noise of 0.3. Who knows all that predicts by the mean of w given the support
rows (the Bayes-optimal predictor, a ridge regression towards the common mean). Errors are measured
against noisy targets, so that nobody comes below 0.3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.report import machine
from fewstep import MAML, R2D2, TaskBatch, fit
from fewstep.learners.base import Learner

RESULTS = Path(__file__).parent / "results"
INPUTS, DEVIATION, NOISE = 4, 0.5, 0.3
ROWS, TASKS, SEEDS = (5, 10), 2000, 3
STEPS, LR = 1500, 0.03

LEARNERS: dict[str, Callable[[nn.Module], Learner]] = {
    "R2D2": lambda model: R2D2(model, penalty=1.0),
    "MAML, 1 inner step": partial(MAML, inner_lr=0.1, loss="mse"),
    "MAML, 5 inner steps": partial(MAML, inner_lr=0.1, inner_steps=5, loss="mse"),
    "MAML, 5 inner steps, a step size by tensor and step": partial(
        MAML, inner_lr=0.1, inner_steps=5, loss="mse", step_sizes="per-step"
    ),
    "MAML, 5 inner steps, a step size by number": partial(
        MAML, inner_lr=0.1, inner_steps=5, loss="mse", step_sizes="per-element"
    ),
}


def main() -> None:
    """Train each learner on a linear model with several seeds, and write the table."""
    rows = {name: [measure(make, seed) for seed in range(SEEDS)] for name, make in LEARNERS.items()}
    text = page(rows)
    (RESULTS / "linear_family.md").write_text(text)
    print(text)


def draw(mean: Tensor, tasks: int, rows: int, queries: int, seed: int) -> TaskBatch:
    """Tasks of so many support rows."""
    random = torch.Generator().manual_seed(seed)
    weights = mean + DEVIATION * torch.randn(tasks, INPUTS, generator=random)
    x = torch.randn(tasks, rows + queries, INPUTS, generator=random)
    noise = NOISE * torch.randn(tasks, rows + queries, 1, generator=random)
    y = x @ weights[..., None] + noise
    return TaskBatch(x[:, :rows], y[:, :rows], x[:, rows:], y[:, rows:])


def best_possible(mean: Tensor, tasks: TaskBatch) -> float:
    """The RMSE of the posterior mean of w."""
    x, y, query_x, query_y = (tensor.double() for tensor in tasks.tensors)
    precision = x.mT @ x / NOISE**2 + torch.eye(INPUTS).double() / DEVIATION**2
    towards = x.mT @ y / NOISE**2 + mean.double()[:, None] / DEVIATION**2
    return rmse((query_x @ torch.linalg.solve(precision, towards) - query_y).square())


def measure(make: Callable[[nn.Module], Learner], seed: int) -> dict[int, tuple[float, float]]:
    """The RMSE of a learner and the best possible one, by support rows."""
    torch.manual_seed(seed)
    mean = torch.randn(INPUTS)
    learner = make(nn.Linear(INPUTS, 1))
    optimizer = torch.optim.Adam(learner.parameters(), LR)

    def train(step: int) -> TaskBatch:
        return draw(mean, 32, ROWS[step % len(ROWS)], 20, 1_000_000 * (seed + 1) + step)

    began = time.monotonic()
    fit(
        learner,
        train,
        validation=draw(mean, 400, ROWS[0], 20, 100 + seed),
        steps=STEPS,
        optimizer=optimizer,
        callbacks=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS),
        ema_decay=0.98,
    )
    found = {}
    for rows in ROWS:
        test = draw(mean, TASKS, rows, 50, 10 + seed)
        found[rows] = rmse(learner.evaluate(test).losses[:, -1]), best_possible(mean, test)
    print(seed, found, f"{time.monotonic() - began:.0f} s", flush=True)
    return found


def rmse(squares: Tensor) -> float:
    """The root of the mean over all rows of all tasks."""
    return squares.double().mean().sqrt().item()


def page(rows: dict[str, list[dict[int, tuple[float, float]]]]) -> str:
    """The table as Markdown."""
    lines = [
        "# A linear family with a known optimum",
        "",
        f"RMSE on {TASKS:,} new tasks of 50 query rows each, against noisy targets, mean of "
        f"{SEEDS} seeds, with the largest ratio to the Bayes-optimal predictor's; {STEPS:,} outer "
        f"steps; {machine()}, torch {torch.__version__}.",
        "",
        "    python -m benchmarks.linear_family",
        "",
        "| | " + " | ".join(f"{k} rows | of the best possible" for k in ROWS) + " |",
        "|---" * (1 + 2 * len(ROWS)) + "|",
    ]
    first = next(iter(rows.values()))
    best = {k: sum(seed[k][1] for seed in first) / len(first) for k in ROWS}
    lines.append("| Bayes-optimal | " + " | ".join(f"{best[k]:.4f} | 1" for k in ROWS) + " |")
    for name, seeds in rows.items():
        cells = []
        for k in ROWS:
            mean = sum(seed[k][0] for seed in seeds) / len(seeds)
            worst = max(seed[k][0] / seed[k][1] for seed in seeds)
            cells.append(f"{mean:.4f} | {worst:.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
