"""A learner for tasks of another number of classes, from the same initialisation."""

import inspect

import torch
from torch import nn

from fewstep.errors import InputError
from fewstep.functional.call import LOSS
from fewstep.functional.swapped import Params
from fewstep.learners.adapted import copy_of
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.heads import check_plain, head_of, with_layer
from fewstep.learners.imaml import ImplicitMAML
from fewstep.learners.maml import MAML
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.protonet import ProtoNet
from fewstep.metagrad.inner_loop import INNER_LR, PER_STEP
from fewstep.runtime.modes import exclusive
from fewstep.runtime.rng import preserve_rng_state


@exclusive()  # the model's tensors are others while another thread computes
def for_ways(learner: Learner, n_way: int | None) -> tuple[Learner, str]:
    """The learner for tasks of ``n_way`` classes, with the same initialisation.

    Args:
        learner: Of a classifier. Neither it nor its model is changed.
        n_way: Classes of a task, 2 or more; None for those of the learner.

    Returns:
        The learner itself where it takes such tasks, else a new one; and a sentence that says what
        stands in the place of the last layer, "" where nothing does.

    Raises:
        InputError: The model has no last layer to replace, or ``n_way`` is too small.

    >>> import fewstep
    >>> body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    >>> learner = fewstep.MAML(nn.Sequential(body, nn.Linear(8, 5)), head_rows="shared")
    >>> for_ways(learner, 12)[1]
    'trained in tasks of 5 classes: all 12 start from the row they share'
    >>> x, y = torch.randn(15, 4), torch.arange(15) % 12
    >>> for_ways(learner, 12)[0].adapt(x, y)(x).shape
    torch.Size([15, 12])
    """
    if n_way is None:
        return learner, ""
    if n_way < 2:
        raise InputError(f"n_way is {n_way}; expected 2 or more classes")
    if isinstance(learner, ProtoMAML):
        return learner, ""
    if isinstance(learner, FineTune):
        if learner.classes is None or learner.ways == n_way:
            return learner, ""
        return learner.for_ways(n_way), f"fine-tuned under a new last layer of {n_way} outputs"
    if not isinstance(learner, GradientBased):
        raise InputError(
            f"learner is a {type(learner).__name__}, whose number of classes cannot be told; "
            "expected a learner of fewstep"
        )
    given = getattr(learner, "head", None)
    head = head_of(learner.model) if given is None else given
    layer = learner.model.get_submodule(head)
    if not isinstance(layer, nn.Linear):
        raise InputError(
            f"the head {head!r} is a {type(layer).__name__}, whose number of classes is fixed; end "
            "the model with an nn.Linear"
        )
    if layer.out_features == n_way:
        return learner, ""
    trained = f"trained in tasks of {layer.out_features} classes"
    if isinstance(learner, MAML) and learner.head_rows == "shared":
        return _with_rows(
            learner, head, n_way
        ), f"{trained}: all {n_way} start from the row they share"
    means = f"{trained}: the last layer is made of the mean features of each of the {n_way}"
    check_plain(learner.model, head)
    if _body_adapts(learner):
        return _from_prototypes(
            learner, head, steps=True
        ), f"{means}, then the whole network adapts"
    return _from_prototypes(learner, head, steps=False), f"{means}, and takes no inner steps"


STEPS = 5
"""Inner steps from prototypes at least: with 5 shots, 10 ways, one is worse than none, three are
better by 7% (docs/classes.md)."""


def _body_adapts(learner: GradientBased) -> bool:
    """Whether the body was learned for inner steps along its plain gradient.

    Measured on validation tasks (docs/classes.md): then inner steps from prototypes gain 3% to 13%.
    A body that was learned to stay as it is, as ANIL's, loses by them, and the head gains nothing.
    Implicit MAML's, whose many small steps are held near the initialisation, loses too.
    """
    if not isinstance(learner, MAML):
        return not isinstance(learner, ImplicitMAML)
    return learner.inner_optimizer == "sgd" and learner.adapting in ("all", "body")


def _from_prototypes(learner: GradientBased, head: str, steps: bool) -> ProtoMAML:
    """The learner's body under a last layer that each task makes of its prototypes.

    It takes steps of ``inner_lr`` by cross-entropy, whatever else was learned of steps or of the
    loss. Batch norm that was learned for each inner step is that before the first.
    """
    model = copy_of(learner.model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rows = learner.meta_parameters().get(PER_STEP + name)
            if rows is not None:
                parameter.copy_(rows[0])
    names = ("metrics", "execution", "precision", "norm")
    settings = {name: getattr(learner, name) for name in names}
    found: ProtoMAML
    if steps:
        inner_steps = max(learner.inner_steps, STEPS)
        settings |= {"order": learner.order, "memory": learner.memory}
        found = ProtoMAML(model, learner.inner_lr, inner_steps, **settings)
    else:
        # Prototypes move nothing, of a body that was never learned either.
        found = ProtoNet(model.requires_grad_(True), **settings)
    # Not the last linear layer, where the learner was told another.
    found.head = head
    return found


def _with_rows(learner: MAML, head: str, n_way: int) -> MAML:
    """The learner with so many rows in its head, each the mean of its own.

    The gradient of a row is the mean over the examples of all classes, of which its own class has
    one part in ``n_way``. A step size that was learned for rows is as many times larger as there
    are more classes, so that a class moves its row as far as in tasks that were trained in: at 5
    classes instead of 60 the loss is 0.03 and not 0.2 nats. Others stay: where more inner steps
    are taken than were learned, larger ones lose accuracy. Adam's do not depend on the number.
    """
    old = learner.model.get_submodule(head)
    assert isinstance(old, nn.Linear)
    with preserve_rng_state():
        layer = nn.Linear(old.in_features, n_way, bias=old.bias is not None).to(old.weight)
    given = inspect.signature(MAML).parameters.keys() - {"model", "compile"}
    settings = {name: getattr(learner, name) for name in given}
    found = MAML(with_layer(learner.model, head, layer), **settings)
    rows = learner._shared_rows()
    state: Params = {
        name: value.mean(0, keepdim=True).repeat(n_way, *[1] * (value.dim() - 1))
        if name in rows
        else value
        for name, value in learner.state_dict().items()
        # The loss is the same one.
        if not name.startswith(LOSS)
    }
    found.load_state_dict(state, strict=False)
    if learner.step_sizes == "per-step" and learner.inner_optimizer in ("sgd", "momentum"):
        sizes = dict(found.named_parameters())
        with torch.no_grad():
            for name in rows:
                sizes[INNER_LR + name].mul_(n_way / old.out_features)
    return found
