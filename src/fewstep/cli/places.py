"""The places of an adaptation: what is adapted, to what, and where the result goes."""

import os
from dataclasses import dataclass
from pathlib import Path

from fewstep.errors import InputError
from fewstep.predictors.adapted_dir import check_place


@dataclass(frozen=True)
class Places:
    """The run or adapted model, the examples, and the model to save."""

    run: Path
    support: Path
    query: Path | None = None
    out: Path | None = None


def check_out(places: Places, *, add: bool) -> None:
    """See that the model can be saved, and not where something else is."""
    if places.out is None:
        return
    target = Path(os.path.realpath(places.out))
    others = {"run": places.run, "support": places.support, "query": places.query}
    for name, path in others.items():
        inside = path is not None and target.is_relative_to(os.path.realpath(path))
        # An adapted model may be replaced by what it learned.
        if inside and not (add and name == "run" and target == Path(os.path.realpath(places.run))):
            raise InputError(
                f"{places.out} is inside the {name} folder {path}; choose a folder of its own for "
                "the adapted model"
            )
    check_place(places.out)
