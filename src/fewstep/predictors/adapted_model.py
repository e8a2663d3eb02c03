"""The part that adapted models of classes and of numbers have in common."""

from typing import Any

from torch import Tensor, nn

from fewstep.data.any_preparation import AnyPreparation
from fewstep.predictors import adapted_dir
from fewstep.predictors.forms import Form, form_of
from fewstep.predictors.outputs import dtype_of, outputs


class AdaptedModel:
    """A network that was adapted to one task, and the form of its examples."""

    module: nn.Module
    preparation: AnyPreparation | None
    about: dict[str, Any]

    @property
    def form(self) -> Form:
        """The form of its examples."""
        shape = self.about.get("example_shape")
        known = None if shape is None else tuple(shape)
        return form_of(self.preparation, known, dtype_of(self.module))

    @property
    def norm(self) -> str:
        """``"inductive"``, or ``"transductive"`` where a prediction depends on those beside it."""
        return "transductive" if adapted_dir.by_batch(self.module) else "inductive"

    def _outputs(self, x: Any) -> Tensor:
        """The network's output for each example, float64 on the CPU."""
        return outputs(self.module, self.form, x, together=self.norm == "transductive")
