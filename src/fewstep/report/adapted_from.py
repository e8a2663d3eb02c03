"""The protocol of an adaptation as JSON values, of pictures and of rows alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewstep.config.schema import Config


def protocol_as_json(
    config: Config, protocol: Mapping[str, Any], run: Path, out: Path | None
) -> dict[str, Any]:
    """The values that belong to a number: shots, steps, norm, model, seed, and where it is from.

    Args:
        config: Of the run.
        protocol: Of the adapted model.
        run: The run or adapted model that was adapted.
        out: Where the result is saved, if it is.
    """
    return {
        "shots": protocol["shots"],
        "steps": protocol["inner_steps"],
        "norm": protocol["norm"],
        "note": protocol["note"],
        "models": 1,
        "recipe": config.recipe,
        "algorithm": config.algorithm,
        "seed": config.seed,
        "run": str(run),
        "out": None if out is None else str(out),
    }
