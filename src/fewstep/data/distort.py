"""Random affine and elastic distortion of pictures, as another hand would draw them."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 1000
TURN = 0.25
"""Largest rotation in radians."""
SIZE = (0.8, 1.1)
SHEAR = 0.2
SHIFT = 0.12
"""Largest shift, in half widths of the picture."""
ELASTIC = 0.07
"""Standard deviation of the elastic displacement, in half widths of the picture."""


def distort(
    pictures: npt.NDArray[np.uint8], side: int, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Turn, scale, shear, shift and bend each picture in its own way, ink 255 on 0.

    ``uint8 [pictures, 2 * side, 2 * side]`` to ``uint8 [pictures, side, side]``.
    """
    parts = [
        _distort(torch.from_numpy(pictures[start : start + CHUNK]), side, random)
        for start in range(0, len(pictures), CHUNK)
    ]
    return torch.cat(parts).numpy()


def _distort(pictures: Tensor, side: int, random: np.random.Generator) -> Tensor:
    shape = (len(pictures), 1, 2 * side, 2 * side)
    where = F.affine_grid(_affine(len(pictures), random), list(shape), align_corners=False)
    bend = torch.from_numpy(random.normal(0, ELASTIC, (len(pictures), 2, 5, 5))).float()
    bend = F.interpolate(bend, shape[2:], mode="bilinear", align_corners=True)
    where = where + bend.movedim(1, -1)
    bent = F.grid_sample(pictures[:, None].float(), where, align_corners=False)
    return F.avg_pool2d(bent, 2)[:, 0].round().clamp(0, 255).to(torch.uint8)


def _affine(number: int, random: np.random.Generator) -> Tensor:
    """``float32 [number, 2, 3]``: where each point of the result comes from."""
    angle = random.uniform(-TURN, TURN, number)
    scale = 1 / random.uniform(*SIZE, (2, number))
    shear = random.uniform(-SHEAR, SHEAR, number)
    shift = random.uniform(-SHIFT, SHIFT, (2, number))
    cos, sin = np.cos(angle), np.sin(angle)
    rows = [
        [scale[0] * cos, scale[0] * (shear * cos - sin), shift[0]],
        [scale[1] * sin, scale[1] * (shear * sin + cos), shift[1]],
    ]
    return torch.from_numpy(np.array(rows)).permute(2, 0, 1).float()
