"""A folder of pictures on the command line: its defaults, and what is told of it."""

from pathlib import Path

from rich.console import Console

from fewstep.config.file import read_config
from fewstep.config.recipes import folder_config
from fewstep.config.schema import Config
from fewstep.data.folder_listing import by_folder
from fewstep.data.folder_tasks import open_folder, split_folder
from fewstep.data.source import KeptSplit
from fewstep.errors import InputError
from fewstep.report.contact_sheet import draw_contact_sheet
from fewstep.training.runs import Tasks
from fewstep.training.split_file import images_of
from fewstep.whole_numbers import counted

SHOWN = 20  # files that are listed, at most
WAYS, QUERIES = 5, 5  # at most, unless asked for


def defaults(given: Config, run_dir: Path, ways_are_given: bool) -> Config:
    """The defaults by what is in the folder, and by the settings that were given.

    A run that goes on has its own, whatever has come to the folder.
    """
    folder, ways = str(given.folder), given.n_way
    if (run_dir / "config.json").exists():
        own = read_config(run_dir / "config.json")
        return folder_config(folder, own.image_size, own.n_way, own.q_query)
    if Path(folder).resolve() in run_dir.resolve().parents:
        raise InputError(
            f"run directory {run_dir} is inside the folder of pictures {folder}, and its pictures "
            "would count; choose one outside with --run-dir"
        )
    parts = split_folder(open_folder(given), ways if ways_are_given else 0, given.seed).values()
    if not ways_are_given:
        ways = max(2, min(WAYS, *map(len, parts)))
    fewest = min(int(part.images.counts.min(initial=2**31)) for part in parts)
    queries = max(1, min(QUERIES, fewest - given.k_shot))
    return folder_config(folder, given.image_size, ways, queries)


def tell(config: Config, kept: KeptSplit | None, to: Console) -> None:
    """Print what was understood of the folder, what is left out, and what its classes allow."""
    images = open_folder(config, kept)
    parts = split_folder(images, config.n_way, config.seed, kept)

    def say(line: str) -> None:
        to.print(line, soft_wrap=True)

    counts, how = images.images.counts, images.images.preparation
    ink = ", taken as ink on paper" if how is not None and how.ink else ""
    few, many = int(counts.min()), int(counts.max())
    each = f"{few}" if few == many else f"{few} to {many}"
    say(f"{images.folder}: {str(images)[1:-1]}{ink}; {each} of each class")
    left_out = sum(problem.left_out for problem in images.problems)
    if images.problems:
        say(f"left out: {left_out}; these are not as they should be:")
    lines = by_folder(images.problems)
    for line in lines[:SHOWN]:
        say(f"  {line}")
    if len(lines) > SHOWN:
        more = f"fewstep.data.ImageFolder({str(images.folder)!r}, {config.image_size}).problems"
        say(f"  and {len(lines) - SHOWN} more, in {more}")
    sizes = [len(part) for part in parts.values()]
    used, ways = sum(sizes), min(sizes)
    of_parts = f"{sizes[0]} train, {sizes[1]} validation, {sizes[2]} test"
    told = f"{counted(used, 'class', 'classes')}: {of_parts}; so at most"
    # Tasks of more ways are refused as soon as they are made.
    tasks = f", and tasks are {config.n_way}-way {config.k_shot}-shot"
    say(f"{told} {ways}-way{tasks if config.n_way <= ways else ''}")
    if ways < WAYS:
        fits = used // len(sizes)
        by_split = [f"--n-way {fits} with fewer classes to train on"] if fits > ways else []
        by_more = [f"{len(sizes) * WAYS} classes for {WAYS}-way"] if fits < WAYS else []
        if images.parts is not None:
            by_split, by_more = [], [f"{WAYS} classes in each part for {WAYS}-way"]
        say(
            f"for more ways: {', or '.join(by_split + by_more)}; adapting to any number of classes "
            "needs none of it"
        )


def draw(path: Path, config: Config, tasks: Tasks, to: Console) -> None:
    """Draw a contact sheet of the pictures as they are learned, and say where it is."""
    splits = {split: images_of(source) for split, source in tasks.items()}
    draw_contact_sheet(path, splits, f"{config.data_name}, {config.image_size} pixels")
    to.print(f"contact sheet: {path}", soft_wrap=True)
