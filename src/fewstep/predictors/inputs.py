"""Examples of any kind as one tensor: paths, bytes, pictures of Pillow, arrays, tables, lists."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from fewstep.data.preparation import Preparation
from fewstep.errors import InputError, first_line

PICTURES = (str, Path, bytes, Image.Image)
_CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency
_NUMBERS = 2**20  # in the examples of a batch; what a network makes of them is many times that
_MOST = 1024


@dataclass(frozen=True)
class ExampleForm:
    """The form of a network's examples.

    Attributes:
        preparation: How a picture becomes an example; None where the examples are no pictures, or
            nobody knows.
        shape: Of one example; None where nobody knows yet.
        dtype: Of the network.
    """

    preparation: Preparation | None = None
    shape: tuple[int, ...] | None = None
    dtype: torch.dtype = torch.float32

    def tensor(self, x: Any) -> Tensor:
        """All examples, ``[examples, ...]``.

        Raises:
            InputError: They are none, do not fit, or are not finite.
        """
        return torch.cat(list(self.batches(x, _MOST)))

    def batches(self, x: Any, most: int | None = None) -> Iterator[Tensor]:
        """The same in parts of bounded size, in order; files are read when their part is due."""
        given = gathered(x)
        if len(given) == 0:
            raise InputError("there are no examples; expected at least one")
        self._check_several(given)
        most = most or self._many(given)
        for start in range(0, len(given), most):
            yield self._tensor(given[start : start + most])

    def _many(self, given: Any) -> int:
        """How many examples make a batch."""
        how = self.preparation
        if isinstance(given, list):
            shape: Sequence[int] = (how.channels, how.size, how.size) if how else (_NUMBERS,)
        else:
            shape = given.shape[1:]
        return max(1, min(_MOST, _NUMBERS // max(1, math.prod(shape))))

    def _tensor(self, given: Any) -> Tensor:
        if isinstance(given, list):
            pixels = [self._pixels(picture) for picture in given]
            if len({one.shape for one in pixels}) > 1:
                raise InputError(
                    "the pictures have different sizes; give preparation=Preparation(size, "
                    "channels), which makes them alike"
                )
            return self._checked(self._scaled(np.stack(pixels)))
        if self._are_pictures(given):
            array = given.cpu().numpy() if isinstance(given, Tensor) else given
            return self._checked(self._scaled(np.stack([self._pixels(one) for one in array])))
        if isinstance(given, Tensor):
            # Whole numbers in a tensor are what the network takes, such as tokens.
            floats = given.is_floating_point() or given.dtype in (torch.uint8, torch.bool)
            return self._checked(given.detach().to(self.dtype) if floats else given.detach())
        if given.dtype.kind not in "fiub":
            raise InputError(f"the examples are {given.dtype}; expected numbers")
        return self._checked(torch.from_numpy(np.array(given, order="C")).to(self.dtype))

    def _are_pictures(self, given: Any) -> bool:
        is_bytes = given.dtype in (np.uint8, torch.uint8)
        flat = self.preparation is None and self.shape is not None and len(self.shape) != 3
        return is_bytes and given.ndim in (3, 4) and not flat

    def _check_several(self, given: Any) -> None:
        """See that an array of pictures is not a single one, whose rows would be pictures."""
        how = self.preparation
        if how is None or isinstance(given, list) or given.ndim != 3:
            return
        is_one = how.channels == 3 and tuple(given.shape) == (3, how.size, how.size)
        if self._are_pictures(given) and (is_one or given.shape[2] in (3, 4)):
            raise InputError(
                f"x is uint8 {list(given.shape)}, a picture or {given.shape[0]} grey ones; give a "
                "list of pictures, as in [x]"
            )

    def _pixels(self, picture: Any) -> npt.NDArray[np.uint8]:
        """One picture as bytes ``[channels, height, width]``, prepared where that is known."""
        if not isinstance(picture, PICTURES):
            array = self._channels_first(np.asarray(picture))
            if self.preparation is None:
                return array
            last = array[0] if len(array) == 1 else array.transpose(1, 2, 0)
            picture = Image.fromarray(np.ascontiguousarray(last))
        if self.preparation is None:
            what = picture if isinstance(picture, str | Path) else "a picture"
            raise InputError(
                f"{what} is given, and it is not known how pictures are prepared for this network; "
                "give preparation=Preparation(size, channels), or arrays that are examples already"
            )
        return self.preparation(picture)

    def _channels_first(self, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        shape = array.shape
        if array.dtype != np.uint8 or array.ndim not in (2, 3):
            raise InputError(
                f"a picture is {array.dtype} {list(shape)}; expected uint8 [height, width], "
                "[height, width, channels] or [channels, height, width]"
            )
        if array.ndim == 2:
            return array[None]
        how = self.preparation
        expected = (how.channels, how.size, how.size) if how else self.shape
        first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
        if not first and not last:
            raise InputError(
                f"a picture is {list(shape)}, of neither 1, 3 nor 4 channels; expected [height, "
                "width, channels] or [channels, height, width]"
            )
        if first and (not last or shape == expected):
            return array
        return array.transpose(2, 0, 1)

    def _scaled(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        return (torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255).to(self.dtype)

    def _checked(self, x: Tensor) -> Tensor:
        how = self.preparation
        expected = (how.channels, how.size, how.size) if how else self.shape
        if expected is not None and tuple(x.shape[1:]) != tuple(expected):
            raise InputError(
                f"an example is {list(x.shape[1:])}; the network takes {list(expected)} (of "
                f"several examples [examples, {', '.join(map(str, expected))}])"
            )
        if x.dim() < 2 or 0 in x.shape:
            raise InputError(f"the examples are {list(x.shape)}; expected [examples, ...]")
        if x.is_floating_point() and not bool(x.isfinite().all()):
            row = int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
            raise InputError(
                f"an example holds NaN or infinity (number {row} of its batch); fill in or leave "
                "out what is missing"
            )
        return x


def gathered(x: Any) -> Any:
    """A list of pictures, or else an array or a tensor with an example a row."""
    if isinstance(x, PICTURES):
        return [x]
    if isinstance(x, Tensor):
        return x if x.dim() else x[None]
    if hasattr(x, "to_numpy"):  # tables of pandas and polars
        x = x.to_numpy()
    if isinstance(x, np.ndarray) and x.dtype.kind in "OUS":
        x = list(x.ravel() if x.ndim == 2 and x.shape[1] == 1 else x)
    if isinstance(x, np.ndarray):
        return x if x.ndim else x[None]
    if not isinstance(x, list | tuple):
        raise InputError(
            f"x is a {type(x).__name__}; expected pictures (paths, bytes, of Pillow), arrays, a "
            "tensor or a table"
        )
    return _of_list(list(x))


def _of_list(items: list[Any]) -> Any:
    pictures = sum(isinstance(item, PICTURES) for item in items)
    arrays = [np.asarray(item) for item in items if hasattr(item, "__array__")]
    of_bytes = bool(arrays) and all(a.dtype == np.uint8 and a.ndim in (2, 3) for a in arrays)
    if pictures and pictures + (len(arrays) if of_bytes else 0) < len(items):
        other = next(item for item in items if not isinstance(item, PICTURES))
        raise InputError(
            f"x holds pictures beside a {type(other).__name__}; expected examples of one kind"
        )
    if pictures or (of_bytes and len(arrays) == len(items)):
        return items
    if items and all(isinstance(item, Tensor) for item in items):
        _check_alike([tuple(item.shape) for item in items])
        return torch.stack(items)
    try:
        return np.array(items, dtype=None if arrays else np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"x is a list that makes no array ({first_line(error)}); expected pictures, or rows "
            "of numbers of the same length"
        ) from error


def _check_alike(shapes: list[tuple[int, ...]]) -> None:
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise InputError(
                f"example {number} is {list(shape)} and example 0 {list(shapes[0])}; expected the "
                "same shape"
            )


def is_rows_of_numbers(x: Any) -> bool:
    """Whether examples are rows of numbers, as scikit-learn knows them."""
    values = x.to_numpy() if hasattr(x, "to_numpy") else x
    if isinstance(values, Tensor):
        return values.dim() <= 2 and values.is_floating_point()
    if isinstance(values, np.ndarray):
        if values.ndim > 2:
            return False
        first = values.flat[0] if values.size else None
        return not isinstance(first, (*PICTURES, np.ndarray, Tensor))
    if isinstance(values, list | tuple) and len(values):
        first = values[0]
        nested = isinstance(first, list | tuple) and len(first) > 0
        deep = nested and isinstance(first[0], list | tuple | np.ndarray | Tensor)
        return not (isinstance(first, PICTURES) or deep or getattr(first, "ndim", 0) > 1)
    return not isinstance(values, PICTURES)
