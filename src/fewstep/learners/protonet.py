"""Prototypical networks (Snell, Swersky and Zemel 2017, arXiv 1703.05175)."""

from collections.abc import Mapping

from torch import Tensor, nn

from fewstep.choices import Execution, Norm, Precision
from fewstep.learners.base import Evaluation
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.untraced import untraced
from fewstep.metagrad.metrics import Metric
from fewstep.tasks import Inputs, TaskBatch
from fewstep.whole_numbers import check_whole


class ProtoNet(ProtoMAML):
    """Classifies by the squared distance to the mean of each class; no inner loop.

    -|f - c_k|^2 = 2 c_k f - |c_k|^2 - |f|^2, and the last term is the same for every class, so
    this is a linear layer with weight 2 c_k and bias -|c_k|^2 (section 2.4): `ProtoMAML` before
    its first inner step. The features f are what the model's last ``nn.Linear`` sees.

    Args:
        model: A classifier whose last layer is an ``nn.Linear``. That layer is not learned.
        metrics, execution, precision, norm: As in `MAML`.

    Raises:
        InputError: The model has no linear layer inside or nothing else to learn.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x, y, x, y)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5))
    >>> fewstep.ProtoNet(model).evaluate(tasks).losses.shape
    torch.Size([8, 1])
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        metrics: Mapping[str, Metric] | None = None,
        execution: Execution = "auto",
        precision: Precision = "float32",
        norm: Norm = "transductive",
    ) -> None:
        super().__init__(
            model, 0.0, 0, metrics=metrics, execution=execution, precision=precision, norm=norm
        )

    @untraced
    def evaluate(
        self, tasks: TaskBatch, steps: int | None = None, norm: Norm | None = None
    ) -> Evaluation:
        """Losses and metrics, the same after every number of steps, since there are none."""
        steps = check_whole("steps", steps or 0)
        once = super().evaluate(tasks, 0, norm)
        return once._replace(
            losses=once.losses.expand(-1, steps + 1),
            metrics={name: row.expand(-1, steps + 1) for name, row in once.metrics.items()},
        )

    @untraced
    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        """The model with the prototypes of one task in its last layer, whatever ``steps``."""
        check_whole("steps", steps or 0)
        return super().adapt(x, y, 0, norm)
