"""A picture of models by the rows of a new task."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fewstep.config.schema import Config
from fewstep.evaluation.by_rows import AtRows
from fewstep.evaluation.rivals import of_tables as names
from fewstep.files import write_whole
from fewstep.report.by_rows import protocol
from fewstep.report.pictures import legend_below

# Okabe and Ito's colours, with a marker each: no two models are told apart by colour alone.
_OF_RIVALS = {
    names.MIXED: ("#009E73", "^"),
    names.TUNED: ("#D55E00", "D"),
    names.POOLED: ("#E69F00", "s"),
    names.RIDGE: ("#CC79A7", "v"),
    names.LOGISTIC: ("#CC79A7", "v"),
    names.MEAN: ("#7F7F7F", "X"),
    names.MAJORITY: ("#7F7F7F", "X"),
}
_OF_RUNS = (("#0072B2", "o"), ("#000000", "P"), ("#56B4E9", "*"))
_BESIDE = 0.06  # how far models stand from one another, in columns


def draw_by_rows(path: Path, config: Config, found: Sequence[AtRows], draws: int) -> None:
    """Draw a line a model with its 95% interval, over the rows of the task, as a PNG file."""
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots()
    runs = 0
    every = list(found[0].scores)
    for number, name in enumerate(every):
        colour, marker = _OF_RIVALS.get(name) or _OF_RUNS[runs % len(_OF_RUNS)]
        is_run = name not in _OF_RIVALS
        runs += is_run
        means = [at.mean(name) for at in found]
        places = [x + _BESIDE * (number - (len(every) - 1) / 2) for x in range(len(found))]
        axes.errorbar(
            places,
            [mean.mean for mean in means],
            [mean.ci95 for mean in means],
            color=colour,
            marker=marker,
            linestyle="-" if is_run else "--",
            linewidth=2.2 if is_run else 1.2,
            markersize=7 if is_run else 5.5,
            elinewidth=1,
            capsize=2,
            zorder=3 if is_run else 2,
            label=f"model {number}",
        )
    axes.set_xticks(range(len(found)), [str(at.rows) for at in found])
    axes.set_xlabel("rows of the new task")
    axes.grid(axis="y", alpha=0.3)
    if config.score == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylabel(f"accuracy of {config.target}", parse_math=False)
    else:
        label = f"root mean squared error of {config.target}, in its unit"
        axes.set_ylabel(label, parse_math=False)
        axes.set_ylim(bottom=0)
    legend_below(figure, axes, every, columns=4)
    axes.set_title(
        f"{config.data_name}: tasks never seen, by their rows",
        fontsize=12,
        parse_math=False,
        pad=22,
    )
    lines = protocol(config, found, draws).replace("; mean", "\nmean")
    axes.text(
        0.5, 1.01, lines, fontsize=7, color="dimgrey", ha="center", transform=axes.transAxes,
        parse_math=False,
    )  # fmt: skip
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))
