"""The field's standard sets of photographs, with their usual split by class, from a local folder.

Nothing is downloaded: the pictures are their authors', and none may be handed on with a library.
"""

import csv
import json
import logging
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.episodes import episodes
from fewstep.data.folder import prepared
from fewstep.data.folder_listing import File, Listing, Problem, list_folder, walk
from fewstep.data.images import ImageClasses
from fewstep.data.source import SPLITS, TaskSource
from fewstep.errors import InputError

Names = Mapping[Split, Sequence[str]]
_SPLITS = Path(__file__).parent / "splits"
_log = logging.getLogger("fewstep")


SIZES = {"mini-imagenet": 84, "cifar-fs": 32, "fc100": 32, "cub": 84}
"""Height and width of the pictures of each set, in pixels."""


def load_standard(name: str, data_dir: str | Path | None) -> dict[str, ImageClasses]:
    """The pictures of a standard set by split, pressed into squares as in the papers.

    They are read once and then kept in the cache. Of what stands in ``data_dir / name`` only the
    classes of the split count: a folder a class, in any folder above it, or for mini-ImageNet the
    usual ``train.csv``, ``val.csv`` and ``test.csv`` beside ``images/``, with the columns
    ``filename`` and ``label``.

    Args:
        name: ``"mini-imagenet"`` (84x84, the split of Ravi and Larochelle 2017), ``"cifar-fs"``
            (32x32, Bertinetto et al. 2019), ``"fc100"`` (32x32, Oreshkin et al. 2018) or ``"cub"``
            (84x84, Chen et al. 2019).
        data_dir: The folder that holds a folder of this name.

    Raises:
        InputError: The folder or a class is missing, or a table is damaged.

    >>> len(load_standard("mini-imagenet", Path("data"))["train"])  # doctest: +SKIP
    64
    """
    if name not in SIZES:
        raise InputError(f"no standard set is named {name!r}; choose one of {', '.join(SIZES)}")
    split = class_names(name)
    folder = Path(data_dir or ".") / name
    if data_dir is None or not folder.is_dir():
        raise InputError(
            f"{name} needs its pictures, and {_where(name, data_dir)}; put a folder a class "
            f"(as {split['train'][0]}/){_or_tables(name)} there: nothing is downloaded"
        )
    by_tables = name == "mini-imagenet" and (folder / "train.csv").exists()
    listing = _of_split(_by_tables(folder) if by_tables else list_folder(folder), split)
    images, problems = prepared(listing, SIZES[name], 3, False, "stretch")
    left_out = [problem for problem in problems if problem.left_out]
    if left_out:
        _log.warning("%s: %d left out, as %s", folder, len(left_out), left_out[0])
    number = {class_name: i for i, class_name in enumerate(images.names)}
    _check_complete(folder, split, number)
    return {part: images.subset([number[n] for n in split[part]]) for part in SPLITS}


def sources(config: Config, data_dir: Path | None) -> Mapping[Split, TaskSource]:
    """The tasks of each split's classes."""
    return episodes(load_standard(config.data, data_dir), config)


def class_names(name: str) -> Names:
    """The names of the classes of each split of a standard set."""
    split = _read(name)
    if name == "fc100":
        # It is split by superclass.
        pairs = list(chain(*_read("cifar-fs").values()))
        return {part: [c for s, c in pairs if s in split[part]] for part in SPLITS}
    return {part: [n if isinstance(n, str) else n[1] for n in split[part]] for part in SPLITS}


def _read(name: str) -> dict[Split, list[Any]]:
    split: dict[Split, list[Any]] = json.loads((_SPLITS / f"{name}.json").read_text("utf-8"))
    return split


def _where(name: str, data_dir: str | Path | None) -> str:
    if data_dir is None:
        return f"no data folder is given; name one that holds {name}/ by --data-dir or FEWSTEP_DATA"
    return f"{Path(data_dir, name)} is not there"


def _or_tables(name: str) -> str:
    return ", or train.csv, val.csv and test.csv beside images/," if name == "mini-imagenet" else ""


def _of_split(listing: Listing, split: Names) -> Listing:
    """The classes of the split alone, by the last part of their paths."""
    wanted = {name for names in split.values() for name in names}
    classes: dict[str, list[File]] = {}
    for path, files in listing.classes.items():
        name = path.rpartition("/")[2]
        if name in wanted:
            classes.setdefault(name, []).extend(files)
    _check_complete(listing.folder, split, classes)
    used = {file.path for files in classes.values() for file in files}
    tops = {os.path.dirname(path) for path in used}
    problems = [p for p in listing.problems if os.path.dirname(p.path) in tops]
    return Listing(listing.folder, dict(sorted(classes.items())), problems)


def _check_complete(folder: Path, split: Names, there: Mapping[str, object]) -> None:
    missing = [name for part in SPLITS for name in split[part] if name not in there]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        whole = sum(map(len, split.values()))
        raise InputError(
            f"{folder} lacks {len(missing)} of the {whole} classes of the split: "
            f"{', '.join(missing[:3])}{more}; expected a folder of pictures for each"
        )


def _by_tables(folder: Path) -> Listing:
    """The pictures of ``images/`` by the labels that the three tables give them."""
    bad: list[Problem] = []
    there = {
        os.path.basename(file.path): file
        for _, files in walk(os.path.realpath(folder), "images", bad)
        for file in files
    }
    reasons = {problem.path: problem for problem in bad}
    classes: dict[str, list[File]] = {}
    problems = []
    for part in SPLITS:
        table = folder / f"{part}.csv"
        try:
            with table.open(newline="", encoding="utf-8") as lines:
                for row in csv.DictReader(lines, strict=True):
                    name, label = str(row["filename"]), str(row["label"])
                    if name in there:
                        classes.setdefault(label, []).append(there[name])
                    else:
                        path = f"images/{name}"
                        alone = Problem(path, f"is not there, and is named in {table.name}")
                        problems.append(reasons.get(path, alone))
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} has train.csv and no {table.name}; put all three tables there"
            ) from error
        except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{table} is no table with the columns filename and label ({error}); get it again"
            ) from error
    return Listing(folder, classes, problems)
