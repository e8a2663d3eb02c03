"""The reliability picture: how often predictions are right, by how sure they are."""

from pathlib import Path
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fewstep.choices import Split
from fewstep.config.schema import Config, batch_norm
from fewstep.errors import InputError
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.calibration import Reliability
from fewstep.evaluation.evaluate import Results
from fewstep.files import write_whole
from fewstep.report.pictures import COLOURS, in_width
from fewstep.report.table import protocol

BEFORE, AFTER = (COLOURS[1], "o-"), (COLOURS[0], "s-")


def draw_reliability(path: Path, config: Config, results: Results, split: Split) -> None:
    """Draw accuracy over confidence, before and after a temperature if one was chosen, as PNG.

    A column for each norm that has a calibration; below, the shares of the predictions. Points on
    the diagonal are right as often as they are sure. `InputError` where there is no calibration.
    """
    found = {norm: r.calibration for norm, r in results.items() if r.calibration}
    if not found:
        raise InputError(
            f"{path} is not drawn, since some probabilities are not numbers; take fewer inner steps"
        )
    figure = Figure(figsize=(4.4 * len(found) + 1.2, 6.6), layout="constrained")
    grid = figure.subplots(
        2, len(found), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for (above, below), (norm, one) in zip(grid.T, found.items(), strict=True):
        above.set_title(
            f"{batch_norm(config, norm)}, {one.predictions:,} predictions\n"
            + "\n".join(wrap(f"expected calibration error {one.told()}", 60)),
            fontsize=9,
        )
        _draw_accuracy(above, one)
        _draw_shares(below, one)
    grid[0, 0].set_ylabel("accuracy")
    grid[1, 0].set_ylabel("share of predictions")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(
        f"{config.data_name}: how often predictions are right, by how sure they are\n\n",
        parse_math=False,
    )
    line = in_width(protocol(config, results, split), figure.get_figwidth())
    figure.text(0.5, 0.96, line, fontsize=7, color="grey", ha="center", va="top", parse_math=False)
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))


def _draw_accuracy(axes: Axes, one: Calibration) -> None:
    axes.plot((0, 1), (0, 1), ":", color="grey", label="as sure as right")
    for label, found, (colour, line) in _both(one):
        points = found.points(one.predictions)
        sure, right = ([point[part] for point in points] for part in (0, 1))
        (drawn,) = axes.plot(
            sure, right, line, color=colour, label=label, markersize=4, linewidth=1
        )
        # A point at 100% is drawn whole. No points count as one at the corner of the figure.
        drawn.set_clip_on(not points)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)


def _draw_shares(axes: Axes, one: Calibration) -> None:
    for label, found, (colour, _) in _both(one):
        bins = len(found.share)
        edges = [number / bins for number in range(bins + 1)]
        axes.stairs(found.share, edges, color=colour, label=label, fill=True, alpha=0.4)
    axes.set_xlabel("confidence, the largest probability")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)


def _both(one: Calibration) -> list[tuple[str, Reliability, tuple[str, str]]]:
    assert one.bins is not None
    before, after = one.bins
    drawn = [("as predicted", before, BEFORE), ("at the temperature", after, AFTER)]
    return drawn if one.has_temperature else drawn[:1]
