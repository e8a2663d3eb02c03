"""The start and the support set of an adapted model, from which further teaching begins."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Teaching:
    """The support set and the initialisation.

    Attributes:
        start: The state of the learner, by name.
        support_x: ``[examples, ...]``, as the network took them.
        support_y: ``[examples, ...]``, their targets; in a classification the places of their
            classes among the sorted ones.
    """

    start: dict[str, Tensor]
    support_x: Tensor
    support_y: Tensor

    def support(self) -> dict[str, Tensor]:
        """The support set as it is kept: pictures as the bytes that they were made of."""
        pixels = (255 * self.support_x).round().clamp(0, 255).to(torch.uint8)
        was = (pixels.float() / 255).to(self.support_x.dtype)
        are_pictures = self.support_x.is_floating_point() and bool((was == self.support_x).all())
        return {"x": pixels if are_pictures else self.support_x, "y": self.support_y}


Source = Teaching | Path | None
"""The teaching itself, the folder that keeps it, or nothing where it is not known."""
