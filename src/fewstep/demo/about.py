"""Numbers that the page asks for before it asks anything else."""

from collections.abc import Sequence
from typing import Any

from fewstep.demo.question import MOST_CLASSES, MOST_PICTURES
from fewstep.demo.starts import STEPS, Start


def about_of(starts: Sequence[Start], ways: int, steps: int) -> dict[str, Any]:
    """The starts and limits of a demonstration, as JSON values.

    Args:
        starts: Initialisations side by side. The first decides whether one draws.
        ways: Classes that the page begins with.
        steps: Inner steps that its slider begins with.
    """
    how = starts[0].preparation
    return {
        "starts": [start.name for start in starts],
        "ways": min(ways, MOST_CLASSES),
        "steps": min(steps, STEPS),
        "most_steps": STEPS,
        "most_classes": MOST_CLASSES,
        "most_pictures": MOST_PICTURES,
        "draws": how.ink,
        "side": min(512, max(128, 4 * how.size)),
    }
