"""A task as pictures: what was learned from, and what was made of the rest."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from PIL import Image
from torch import Tensor

from fewstep.evaluation.by_task import Answers
from fewstep.report.page.html import Html, element
from fewstep.tasks import TaskBatch

SIDE = 84  # most pixels along a side: twice those that are shown
MOST_CLASSES, MOST_SUPPORT, MOST_QUERY = 10, 3, 6


@dataclass(frozen=True)
class Shown:
    """A picture as a file's content, and what is told of it."""

    content: bytes
    label: str
    predicted: str | None = None  # of a query picture

    @property
    def is_right(self) -> bool:
        """Whether what was predicted is what it is."""
        return self.predicted == self.label


@dataclass(frozen=True)
class TaskPictures:
    """A task of pictures.

    Attributes:
        number: By which its source makes it again.
        right: How many query pictures were right.
        queries: Of how many.
        support: Of each class some pictures that were learned from.
        query: Some query pictures; those that are wrong come first.
        left_out: How many classes are not among them.
    """

    number: int
    right: int
    queries: int
    support: list[Shown] = field(default_factory=list)
    query: list[Shown] = field(default_factory=list)
    left_out: int = 0

    @property
    def size(self) -> int:
        """Bytes of all its pictures."""
        return sum(len(one.content) for one in (*self.support, *self.query))


def task_pictures(
    number: int, task: TaskBatch, answers: Answers, names: Sequence[str], *, ink: bool
) -> TaskPictures:
    """The pictures of a task.

    Args:
        number: The task's.
        task: A batch of it alone.
        answers: What was predicted.
        names: Of the classes of the data set, by number.
        ink: Grey 1 is ink, and is drawn dark.
    """
    own = [names[int(c)] for c in answers.classes]
    support_x, query_x = (cast(Tensor, part)[0] for part in (task.support_x, task.query_x))
    wrong = answers.labels != answers.predicted
    # The classes with mistakes first: they are the ones to look at.
    mistakes = [int((wrong & (answers.labels == way)).sum()) for way in range(len(own))]
    ways = sorted(range(len(own)), key=lambda way: -mistakes[way])[:MOST_CLASSES]
    support, query = [], []
    for way in ways:
        learned = (task.support_y[0] == way).nonzero()[:, 0].tolist()[:MOST_SUPPORT]
        support += [Shown(content(support_x[n], ink), own[way]) for n in learned]
        asked = (answers.labels == way).nonzero()[:, 0].tolist()
        asked.sort(key=lambda n: not wrong[n])
        query += [
            Shown(content(query_x[n], ink), own[way], own[int(answers.predicted[n])])
            for n in asked[:MOST_QUERY]
        ]
    right = int((~wrong).sum())
    left_out = len(own) - len(ways)
    return TaskPictures(number, right, len(wrong), support, query, left_out)


def content(picture: Tensor, ink: bool) -> bytes:
    """The content of a small file, PNG where it is grey and JPEG where it has colours.

    Args:
        picture: ``[channels, height, width]`` from 0 to 1.
        ink: Turn dark and light.
    """
    values = (255 * picture).round().clamp(0, 255).numpy().astype(np.uint8)
    values = 255 - values if ink else values
    grey = len(values) != 3
    image = Image.fromarray(values[0] if grey else values.transpose(1, 2, 0))
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True) if grey else image.save(file, "JPEG", quality=80)
    return file.getvalue()


def tile(one: Shown) -> Html:
    """An element of a list: the picture, and below it what it is or was taken for."""
    kind = "png" if one.content.startswith(b"\x89PNG") else "jpeg"
    source = f"data:image/{kind};base64,{b64encode(one.content).decode()}"
    if one.predicted is None:
        told, under, class_ = one.label, one.label, None
    elif one.is_right:
        told, under, class_ = f"{one.label}, predicted right", f"✓ {one.label}", "right"
    else:
        told = f"{one.label}, predicted {one.predicted}, which is wrong"
        under, class_ = f"✗ {one.predicted}, is {one.label}", "wrong"
    picture = element("img", src=source, alt=told, width=64, height=64)
    # The picture's own text tells the same to who hears it.
    return element("li", picture, element("span", under, aria_hidden="true"), class_=class_)
