"""AdaptedRegressor: a network that knows the function of one task."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from fewstep.data.any_preparation import AnyPreparation, preparation_as_json
from fewstep.data.columns.preparation import TablePreparation
from fewstep.errors import InputError
from fewstep.predictors import adapted_dir
from fewstep.predictors.adapted_model import AdaptedModel
from fewstep.predictors.teaching import Source


@dataclass(frozen=True, eq=False)
class AdaptedRegressor(AdaptedModel):
    """A network that was adapted to the function of one task.

    Attributes:
        module: The network, in eval mode.
        preparation: How a picture or a row of a table becomes an example, and how predictions get
            the unit of a table's target; None where examples are neither.
        about: How it came to be, as JSON values: ``example_shape``, ``protocol``, ``config``.
        teaching: What it was adapted from, for further teaching.
        half_width: Of the 95% interval of a prediction, in the unit of the predictions: measured
            on validation tasks with as many support rows, or fewer; None where it is not known.

    >>> import torch
    >>> AdaptedRegressor(nn.Linear(2, 1)).predict(torch.zeros(5, 2)).shape
    (5,)
    """

    module: nn.Module
    preparation: AnyPreparation | None = None
    about: dict[str, Any] = field(default_factory=dict)
    teaching: Source = field(default=None, repr=False)
    half_width: float | None = None

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """The predictions, in the unit of the targets that the network was adapted on.

        Args:
            x: As in `AdaptedClassifier.predict_proba`. Rows of a table may be a frame of pandas or
                polars, the path of a file, ``{column: values}``, a list of ``{column: value}``, or
                an array of the input columns in order.

        Returns:
            ``float64 [examples]``, or ``[examples, outputs]`` where there are several.

        Raises:
            InputError: The examples do not fit.
        """
        found: npt.NDArray[np.float64] = self._outputs(x).numpy()
        if isinstance(self.preparation, TablePreparation):
            found = self.preparation.unscaled(found)
        return found[:, 0] if found.shape[1:] == (1,) else found

    def predict_interval(self, x: Any) -> npt.NDArray[np.float64]:
        """The 95% interval of each prediction, as far as validation tasks tell.

        Args:
            x: As in `predict`.

        Returns:
            ``float64 [examples, 2]``, the lower and the upper end.

        Raises:
            InputError: The examples do not fit, or the half width of the interval is not known.

        >>> import torch
        >>> AdaptedRegressor(nn.Linear(2, 1), half_width=2.0).predict_interval([[0, 1]]).shape
        (1, 2)
        """
        return self.interval_of(self.predict(x))

    def interval_of(self, predictions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The intervals around predictions of `predict`, as `predict_interval` gives them."""
        if self.half_width is None:
            note = self.about.get("protocol", {}).get("note")
            raise InputError(
                note
                or "the interval of a prediction is not known: it is measured when a run of a "
                "table is tested, as fewstep train does at its end"
            )
        return np.stack([predictions - self.half_width, predictions + self.half_width], -1)

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder, as `AdaptedClassifier.save` does."""
        told = {
            **adapted_dir.complete(self.about),
            "kind": "regression",
            "preparation": preparation_as_json(self.preparation),
            "half_width": self.half_width,
        }
        adapted_dir.write(Path(folder), self.module, told, self.teaching)
