"""Where tasks come from: task number i of a seed is always the same task.

- `EpisodeSampler`: N-way K-shot tasks, drawn from pictures in memory.
- `ImageClasses`: pictures by class, ``uint8 [pictures, channels, height, width]``.
- `SinusoidSampler`: the MAML paper's regression, y = A sin(x - phase).
- `TaskSource`: the base class of both, for a data set of your own.
- `TaskSpec`: the form of a source's tasks: shapes, loss, metrics.
- `load_glyphs`: letters of the world's scripts, rendered here, by split.
- `load_omniglot`: handwritten characters, read or downloaded, by split.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewstep.data.episodes import EpisodeSampler
    from fewstep.data.glyphs import load_glyphs
    from fewstep.data.images import ImageClasses
    from fewstep.data.omniglot import load_omniglot
    from fewstep.data.sinusoid import SinusoidSampler
    from fewstep.data.source import TaskSource, TaskSpec

__all__ = [
    "EpisodeSampler",
    "ImageClasses",
    "SinusoidSampler",
    "TaskSource",
    "TaskSpec",
    "load_glyphs",
    "load_omniglot",
]
_MODULES = ("episodes", "images", "sinusoid", "source", "source", "glyphs", "omniglot")


def __getattr__(name: str) -> Any:
    # Loaded on first use: letters need Matplotlib, and Omniglot a downloader.
    if name not in __all__:
        raise AttributeError(f"module 'fewstep.data' has no attribute {name!r}")
    return getattr(import_module(f"fewstep.data.{_MODULES[__all__.index(name)]}"), name)


def __dir__() -> list[str]:
    return __all__
