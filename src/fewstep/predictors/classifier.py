"""AdaptedClassifier: a network that knows the classes of one task."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from fewstep.data.any_preparation import AnyPreparation, preparation_as_json
from fewstep.errors import InputError
from fewstep.predictors import adapted_dir
from fewstep.predictors.adapted_model import AdaptedModel
from fewstep.predictors.teaching import Source

Label = str | int | float


@dataclass(frozen=True, eq=False)
class AdaptedClassifier(AdaptedModel):
    """A network that was adapted to the classes of one task.

    Attributes:
        module: The network, in eval mode, with one output a class.
        classes: Their labels, in the order of the outputs.
        preparation: How a picture or a row of a table becomes an example; None where examples are
            neither.
        temperature: What its outputs are divided by before they become probabilities.
        threshold: The least probability of an answer that its run chose for "none of these"; only
            used where it is given to `predict`.
        about: How it came to be, as JSON values: ``example_shape``, ``protocol``, ``config``.
        teaching: What it was adapted from, for further teaching.

    >>> import torch
    >>> adapted = AdaptedClassifier(nn.Linear(2, 2), ("crow", "owl"))
    >>> adapted.predict_proba(torch.zeros(5, 2)).shape
    (5, 2)
    >>> adapted.predict(torch.zeros(1, 2), threshold=0.99)
    [None]
    """

    module: nn.Module
    classes: tuple[Label, ...]
    preparation: AnyPreparation | None = None
    temperature: float = 1.0
    threshold: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    teaching: Source = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise InputError(f"temperature is {self.temperature}; expected more than 0")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError(f"threshold is {self.threshold}; expected from 0 to 1")

    def predict_proba(self, x: Any) -> npt.NDArray[np.float64]:
        """The probability of each class.

        Args:
            x: One picture (a path, the bytes of a file, one of Pillow), a list of such or of
                arrays, an array, a tensor or a table of examples. ``uint8`` arrays are pictures.
                Rows of a table as in `AdaptedRegressor.predict`.

        Returns:
            ``float64 [examples, classes]``; the rows sum to 1.

        Raises:
            InputError: The examples do not fit.
        """
        logits = self._outputs(x)
        if logits.shape[1:] != (len(self.classes),):
            raise InputError(
                f"the network returns {list(logits.shape)} for {len(self.classes)} classes; "
                "expected one number a class"
            )
        found: npt.NDArray[np.float64] = (logits / self.temperature).softmax(1).numpy()
        return found

    def predict(self, x: Any, threshold: float = 0.0) -> list[Label | None]:
        """The label of each example.

        Args:
            x: As in `predict_proba`.
            threshold: Least probability of an answer, for "none of these"; ``adapted.threshold`` is
                the one that the run chose, if it did.

        Returns:
            One label an example; None where the largest probability is below the threshold.
        """
        return self.labels_of(self.predict_proba(x), threshold)

    def labels_of(
        self, probabilities: npt.NDArray[np.float64], threshold: float = 0.0
    ) -> list[Label | None]:
        """The labels that probabilities of `predict_proba` stand for, as `predict` gives them."""
        best = probabilities.argmax(1)
        sure = probabilities.max(1, initial=0) >= threshold
        pairs = zip(best.tolist(), sure.tolist(), strict=True)
        return [self.classes[number] if enough else None for number, enough in pairs]

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder, whole or not at all.

        It can be read by `fewstep.load`, or without fewstep as a plain state dict: its README.md
        says how.

        Raises:
            InputError: The folder cannot be written, or holds something else.
        """
        told = {
            **adapted_dir.complete(self.about),
            "kind": "classification",
            "classes": list(self.classes),
            "outputs": len(self.classes),
            "preparation": preparation_as_json(self.preparation),
            "temperature": self.temperature,
            "threshold": self.threshold,
        }
        adapted_dir.write(Path(folder), self.module, told, self.teaching)
