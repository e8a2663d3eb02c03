"""The inner loop: adaptation to one task, as a pure function of what is meta-learned.

All that is meta-learned is one dict of tensors, ``learned``: the model's parameters under their own
names, and beside them

- ``inner_lr.NAME``: step sizes of the parameter NAME, ``[steps]`` or of its own shape,
- ``per_step.NAME``: values of NAME, a parameter or a buffer, ``[steps + 1, channels]``: the model
  that was adapted by s steps has row s.

The inner loop carries an `InnerState` from step to step. Every tensor may have one more dimension
in front, the task.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fewstep.choices import StepSizes
from fewstep.errors import InputError
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_optimizers import SGD, InnerOptimizer

StepLoss = Callable[[Params, int], Tensor]  # the support loss, of parameters and inner step
Tree = TypeVar("Tree")

INNER_LR, PER_STEP = "inner_lr.", "per_step."


class GradFn:
    """The gradient of the support loss, by autograd; zero for a parameter without influence.

    Where it is ``batched``, all tensors have the task in front, and the loss is that of all tasks.
    """

    def __init__(self, step_loss: StepLoss, *, batched: bool = False) -> None:
        self._step_loss = step_loss
        self.batched = batched

    def __call__(
        self, params: Params, step: int, create_graph: bool, adapting: Sequence[str] | None = None
    ) -> Params:
        """The gradient by name with respect to ``adapting``, all of ``params`` unless given."""
        names = list(params) if adapting is None else adapting
        gradients = torch.autograd.grad(
            with_gradient(self._step_loss(params, step)),
            [params[name] for name in names],
            create_graph=create_graph,
            materialize_grads=True,
        )
        return dict(zip(names, gradients, strict=True))


def with_gradient(loss: Tensor) -> Tensor:
    """The loss itself; `InputError` where it has no gradient."""
    if not loss.requires_grad or loss.is_complex():
        raise InputError(
            "the loss has no gradient: it is complex, or does not depend on the parameters, or "
            "something in between stops gradients (detach, argmax, integers)"
        )
    return loss


class InnerState(NamedTuple):
    """The parameters that adapt, and the optimiser's slots."""

    params: Params
    slots: Any


@dataclass(frozen=True)
class InnerLoop:
    """The settings of an inner loop.

    ``first`` names what the first step of plain gradient descent moves, where the gradient of all
    else is known to be zero there, whatever the task: it is not computed.
    """

    steps: int
    lr: float  # alpha of every parameter that has none of its own
    adapting: tuple[str, ...]
    optimizer: InnerOptimizer = SGD
    step_sizes: StepSizes = "fixed"  # or learned, by tensor and step (MAML++) or element (Meta-SGD)
    first: tuple[str, ...] | None = None

    def init(self, learned: Params, *, batched: bool) -> InnerState:
        """The state before the first step: theta_0, and the optimiser's first slots."""
        params = {name: learned[name] for name in self.adapting}
        return InnerState(params, self._optimizer(batched).init(params))

    def model_params(self, learned: Params, adapted: Params, step: int) -> Params:
        """All tensors of the model after ``step`` steps, with those that adapted among them."""
        params = {n: v for n, v in learned.items() if not n.startswith((INNER_LR, PER_STEP))}
        params |= {name: adapted[name] for name in self.adapting}
        for name, values in learned.items():
            if name.startswith(PER_STEP):
                params[name.removeprefix(PER_STEP)] = values.select(-2, step)
        return params

    def step(
        self, grad_fn: GradFn, learned: Params, state: InnerState, step: int, *, create_graph: bool
    ) -> InnerState:
        """One step on the support set (MAML, Algorithm 1, line 6; Algorithm 2, line 7).

        theta_{s+1} = theta_s - alpha * gradient, or what the optimiser makes of the gradient. Every
        tensor of ``state`` requires a gradient. ``create_graph`` keeps the derivative of the
        gradient itself; without it the result still depends on ``state`` and ``learned``, but as
        if the gradient were a constant (first order).
        """
        params = self.model_params(learned, state.params, step)
        moving = self.adapting if self.first is None or step != 0 else self.first
        gradients = grad_fn(params, step, create_graph, moving)
        optimizer = self._optimizer(grad_fn.batched)
        # In containers of its own: a user's function may put other tensors into them.
        given = pytree.tree_map(lambda value: value, state.slots)
        updates, slots = optimizer.update(gradients, given, step)
        names = list(gradients)
        thetas, updates_of = ([tree[name] for name in names] for tree in (state.params, updates))
        fixed = self.step_sizes == "fixed"
        rates = self.lr if fixed else [self._lr(learned, name, step) for name in names]
        # Of all tensors by one call: one by one, calling takes longer than computing.
        moved = torch._foreach_sub(thetas, torch._foreach_mul(updates_of, rates))
        # What stays is another tensor too: the next gradient is by it, and not by what led here.
        stays = {n: v.view_as(v) for n, v in state.params.items() if n not in gradients}
        after = {**state.params, **stays, **dict(zip(names, moved, strict=True))}
        return InnerState(after, slots)

    def path(self, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
        """All tensors of the model after 0, 1, ..., steps steps, with no graph kept."""
        for step, state in enumerate(adapt(self, grad_fn, learned, steps)):
            yield self.model_params(learned, state.params, step)

    def _optimizer(self, batched: bool) -> InnerOptimizer:
        return self.optimizer.over_tasks() if batched else self.optimizer

    def _lr(self, learned: Params, name: str, step: int) -> Tensor:
        """The learned step size of a parameter, in a shape to multiply it by."""
        if self.step_sizes == "per-element":
            return learned[INNER_LR + name]
        lr = learned[INNER_LR + name].select(-1, step)
        return lr.reshape(*lr.shape, *[1] * (learned[name].dim() - lr.dim()))


def adapt(loop: InnerLoop, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[InnerState]:
    """States 0, 1, ..., steps, each detached and requiring a gradient. Only the last is kept."""
    learned = {name: value.detach() for name, value in learned.items()}
    state = as_leaf_tensors(loop.init(learned, batched=grad_fn.batched))
    yield state
    for step in range(steps):
        with torch.enable_grad():
            state = as_leaf_tensors(loop.step(grad_fn, learned, state, step, create_graph=False))
        yield state


def last(path: Iterator[Tree]) -> Tree:
    """The last of them."""
    return deque(path, maxlen=1)[0]


def as_leaf_tensors(tree: Tree) -> Tree:
    """The same values, cut off from every graph, each requiring a gradient."""
    return pytree.tree_map(lambda value: value.detach().requires_grad_(), tree)  # type: ignore[no-any-return]
