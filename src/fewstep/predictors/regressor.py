"""AdaptedRegressor: a network that knows the function of one task."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from fewstep.data.preparation import Preparation
from fewstep.predictors import adapted_dir
from fewstep.predictors.adapted_model import AdaptedModel
from fewstep.predictors.teaching import Source


@dataclass(frozen=True, eq=False)
class AdaptedRegressor(AdaptedModel):
    """A network that was adapted to the function of one task.

    Attributes:
        module: The network, in eval mode.
        preparation: How a picture becomes an example; None where examples are no pictures.
        about: How it came to be, as JSON values: ``example_shape``, ``protocol``, ``config``.
        teaching: What it was adapted from, for further teaching.

    >>> import torch
    >>> AdaptedRegressor(nn.Linear(2, 1)).predict(torch.zeros(5, 2)).shape
    (5,)
    """

    module: nn.Module
    preparation: Preparation | None = None
    about: dict[str, Any] = field(default_factory=dict)
    teaching: Source = field(default=None, repr=False)

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """The predictions, in the unit of the targets that the network was adapted on.

        Args:
            x: As in `AdaptedClassifier.predict_proba`.

        Returns:
            ``float64 [examples]``, or ``[examples, outputs]`` where there are several.

        Raises:
            InputError: The examples do not fit.
        """
        found: npt.NDArray[np.float64] = self._outputs(x).numpy()
        return found[:, 0] if found.shape[1:] == (1,) else found

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder, as `AdaptedClassifier.save` does."""
        told = {
            **adapted_dir.complete(self.about),
            "kind": "regression",
            "preparation": None if self.preparation is None else asdict(self.preparation),
        }
        adapted_dir.write(Path(folder), self.module, told, self.teaching)
