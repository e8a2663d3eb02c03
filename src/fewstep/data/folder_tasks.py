"""The tasks of a folder of pictures, split by class: as its run kept it, or else by the seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.class_split import draw_split, usual_sizes
from fewstep.data.episodes import episodes
from fewstep.data.folder import ImageFolder
from fewstep.data.image_set import ImageSet
from fewstep.data.preparation import Preparation
from fewstep.data.source import SPLITS, KeptSplit, TaskSource
from fewstep.errors import InputError
from fewstep.whole_numbers import counted

LEAST = 2  # classes of each part: a task tells at least two apart


def sources(
    config: Config, _: Path | None, kept: KeptSplit | None = None
) -> Mapping[Split, TaskSource]:
    """The tasks of each split of the config's folder."""
    images = open_folder(config, kept)
    parts = split_folder(images, config.n_way, config.seed, kept)
    return episodes({split: part.images for split, part in parts.items()}, config)


def open_folder(config: Config, kept: KeptSplit | None = None) -> ImageFolder:
    """The config's folder, its pictures prepared as those of a run were."""
    folder = str(config.folder)
    images = ImageFolder(folder, config.image_size)
    how = kept.preparation if kept else None
    if not isinstance(how, Preparation) or images.preparation == how:
        return images
    # Coloured pictures may have come to grey ones, say.
    return ImageFolder(folder, how.size, channels=how.channels, ink=how.ink, fit=how.fit)


def split_folder(
    images: ImageFolder, n_way: int, seed: int, kept: KeptSplit | None = None
) -> dict[Split, ImageSet]:
    """The parts of a folder: those of a run, or of the folder itself, or else drawn by the seed.

    Raises:
        InputError: There are too few classes.
    """
    if kept:
        parts = images.split_by_name(kept.classes)
    elif images.parts is not None:
        _check_parts(images.folder, images.parts)
        parts = images.split(seed=seed)
    else:
        least = LEAST * len(SPLITS)
        if len(images) < least:
            raise InputError(
                f"{images.folder} has {counted(len(images), 'class', 'classes')}; training needs "
                f"{least}, {LEAST} each for training, validation and test: add classes, or adapt a "
                "run on other pictures to these (fewstep adapt)"
            )
        sizes = usual_sizes(len(images), max(n_way, LEAST))
        parts = images.split_into(draw_split(sizes, len(images), seed))
    return dict(zip(SPLITS, parts, strict=True))


def _check_parts(folder: Path, parts: Mapping[Split, Sequence[str]]) -> None:
    """See that each part of a folder has classes for a task, also where training gives some."""
    lacking = [split for split in SPLITS if not parts[split]]
    for split in ("val", "test"):
        if len(parts[split]) == 1:
            raise InputError(
                f"{folder}: {split}/ has 1 class, and a task tells {LEAST} apart; add a class to "
                f"{split}/, or remove it, and classes of train/ take its place"
            )
    given, needed = len(parts["train"]), LEAST * len(lacking)
    if given < LEAST + needed:
        of = " and ".join({"val": "validation", "test": "the test"}[split] for split in lacking)
        told = f", of which {needed} are needed for {of}" if lacking else ""
        more = LEAST + needed - given
        add = "a class" if more == 1 else f"{more} classes"
        folders = "".join(f", or a {split}/ folder" for split in lacking)
        raise InputError(
            f"{folder}: train/ has {counted(given, 'class', 'classes')}{told}, and a task tells "
            f"{LEAST} apart; add {add} to train/{folders}"
        )
