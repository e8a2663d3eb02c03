"""Where tasks come from: task number i of a seed is always the same task.

- `Augmentation`: random changes of training pictures.
- `EpisodeSampler`: N-way K-shot tasks, drawn from pictures in memory.
- `ImageClasses`: pictures by class, ``uint8 [pictures, channels, height, width]``.
- `ImageFolder`: a folder of your own pictures, with a folder a class.
- `ImageSet`: classes of pictures, to be split and to draw tasks from; a folder is one.
- `Preparation`: how a picture of any kind becomes an example.
- `SinusoidSampler`: the MAML paper's regression, y = A sin(x - phase).
- `Table`: a table of rows of many tasks, to be split and to draw tasks from.
- `TablePreparation`: how a row of a table becomes an example.
- `TableTasks`: draws rows of a table's tasks.
- `TaskSource`: the base class of all that draw tasks, for a data set of your own.
- `TaskSpec`: the form of a source's tasks: shapes, loss, metrics.
- `load_glyphs`: letters of the world's scripts, rendered here, by split.
- `load_omniglot`: handwritten characters, read or downloaded, by split.
- `load_standard`: mini-ImageNet, CIFAR-FS, FC100 or CUB from a local folder, by split.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewstep.data.augmentation import Augmentation
    from fewstep.data.columns.preparation import TablePreparation
    from fewstep.data.episodes import EpisodeSampler
    from fewstep.data.folder import ImageFolder
    from fewstep.data.glyphs import load_glyphs
    from fewstep.data.image_set import ImageSet
    from fewstep.data.images import ImageClasses
    from fewstep.data.omniglot import load_omniglot
    from fewstep.data.preparation import Preparation
    from fewstep.data.sinusoid import SinusoidSampler
    from fewstep.data.source import TaskSource, TaskSpec
    from fewstep.data.standard import load_standard
    from fewstep.data.tables.table import Table
    from fewstep.data.tables.tasks import TableTasks

_HOMES = {
    "Augmentation": "augmentation",
    "EpisodeSampler": "episodes",
    "ImageClasses": "images",
    "ImageFolder": "folder",
    "ImageSet": "image_set",
    "Preparation": "preparation",
    "SinusoidSampler": "sinusoid",
    "Table": "tables.table",
    "TablePreparation": "columns.preparation",
    "TableTasks": "tables.tasks",
    "TaskSource": "source",
    "TaskSpec": "source",
    "load_glyphs": "glyphs",
    "load_omniglot": "omniglot",
    "load_standard": "standard",
}
__all__ = [
    "Augmentation",
    "EpisodeSampler",
    "ImageClasses",
    "ImageFolder",
    "ImageSet",
    "Preparation",
    "SinusoidSampler",
    "Table",
    "TablePreparation",
    "TableTasks",
    "TaskSource",
    "TaskSpec",
    "load_glyphs",
    "load_omniglot",
    "load_standard",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: letters need Matplotlib, and Omniglot a downloader.
    if name not in _HOMES:
        raise AttributeError(f"module 'fewstep.data' has no attribute {name!r}")
    return getattr(import_module(f"fewstep.data.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
