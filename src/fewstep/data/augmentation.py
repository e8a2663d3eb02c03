"""Augmentation: random changes of training pictures that leave their classes as they are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewstep.data.preparation import Pixels
from fewstep.errors import InputError

Integers = npt.NDArray[np.int64]
Moves = tuple[Integers, Integers, Integers]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, as Pillow's grey


@dataclass(frozen=True)
class Augmentation:
    """Random changes of pictures, each drawn for itself.

    Attributes:
        flip: Mirror half of them, left and right exchanged.
        crop: Pad with so many black pixels on each side, and cut the old size out anywhere.
        colour: Multiply brightness, contrast and saturation by 1 - colour to 1 + colour each.

    Raises:
        InputError: ``crop`` is below 0, or ``colour`` not from 0 to 1.

    >>> pictures = np.full((10, 3, 84, 84), 128, np.uint8)
    >>> changed = Augmentation(flip=True, crop=8, colour=0.4)(pictures, np.random.default_rng(0))
    >>> changed.shape, bool((changed == pictures).all())
    ((10, 3, 84, 84), False)
    """

    flip: bool = False
    crop: int = 0
    colour: float = 0.0

    def __post_init__(self) -> None:
        if self.crop < 0:
            raise InputError(f"crop is {self.crop}; expected 0 or more pixels")
        if not 0 <= self.colour <= 1:
            raise InputError(f"colour is {self.colour}; expected 0 to 1")

    def __call__(self, pictures: Pixels, random: np.random.Generator) -> Pixels:
        """Change ``[pictures, channels, height, width]``; the result may be the argument."""
        mirrored, top, left = self.moves(len(pictures), random)
        if self.flip:
            pictures = np.where(mirrored[:, None, None, None] > 0, pictures[..., ::-1], pictures)
        if self.crop:
            pictures = _cropped(pictures, self.crop, top, left)
        if self.colour:
            pictures = _coloured(pictures, self.colour, random)
        return pictures

    def moves(self, pictures: int, random: np.random.Generator) -> Moves:
        """Which of so many pictures are mirrored, and where from each is cut, its top and left.

        They are drawn before colours, and zero where nothing is moved.
        """
        mirrored, corner = np.zeros(pictures, np.int64), np.zeros((2, pictures), np.int64)
        if self.flip:
            mirrored = (random.random(pictures) < 0.5).astype(np.int64)
        if self.crop:
            corner = random.integers(0, 2 * self.crop + 1, corner.shape)
        return mirrored, *corner


UNCHANGED = Augmentation()


def _cropped(pictures: Pixels, padding: int, top: Integers, left: Integers) -> Pixels:
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    views = np.lib.stride_tricks.sliding_window_view(
        np.pad(pictures, sides), pictures.shape[-2:], (-2, -1)
    )
    cut: Pixels = views[np.arange(len(pictures)), :, top, left]
    return cut


def _coloured(pictures: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Brightness is towards black, contrast towards the mean grey, saturation towards grey."""
    factors = random.uniform(1 - strength, 1 + strength, (3, len(pictures), 1, 1, 1))
    brightness, contrast, saturation = factors.astype(np.float32)
    x = _in_range(pictures * brightness)
    mean = _grey(x).mean((-2, -1), keepdims=True)
    x = _in_range(mean + contrast * (x - mean))
    if pictures.shape[1] == len(_LUMA):
        grey = _grey(x)
        x = _in_range(grey + saturation * (x - grey))
    return x.round().astype(np.uint8)


def _grey(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One channel in the place of all."""
    if x.shape[1] != len(_LUMA):
        mean: npt.NDArray[np.float32] = x.mean(1, keepdims=True)
        return mean
    grey: npt.NDArray[np.float32] = np.einsum("nchw,c->nhw", x, _LUMA)[:, None]
    return grey


def _in_range(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    np.clip(x, 0, 255, out=x)
    return x
