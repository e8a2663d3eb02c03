"""Adaptation itself as programs: the start, one inner step, statistics, and the prediction.

Each takes what it needs of one state by name, and what it returns belongs to the state: the
parameters that adapt under their own names, ``slots.0``, ... of an inner optimiser, and
``statistics.0.mean``, ... of batch norm. Beside them there are ``support_x``, ``support_y``, ``x``,
and ``step``, the number of inner steps that were taken, where something was learned for each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fewstep.choices import Norm
from fewstep.errors import InputError
from fewstep.export.batch_norm import by_given_statistics, collecting
from fewstep.export.decompositions import layers_for_files
from fewstep.export.program import Program
from fewstep.functional.swapped import Params
from fewstep.learners.finetune import FineTune
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.protonet import ProtoNet
from fewstep.learners.r2d2 import R2D2
from fewstep.metagrad.inner_loop import (
    INNER_LR,
    PER_STEP,
    GradFn,
    InnerLoop,
    InnerState,
    as_leaf_tensors,
)
from fewstep.metagrad.inner_optimizers import InnerOptimizer
from fewstep.runtime.modes import exclusive
from fewstep.tasks import TaskBatch

NEXT = "next."
"""Begins the name of what an inner step returns: the new value of the input behind it."""
STEP, SUPPORT_X, SUPPORT_Y, X, OUTPUTS = "step", "support_x", "support_y", "x", "outputs"


def adaptation_of(
    learner: Any, x: Tensor, y: Tensor, norm: Norm = "inductive"
) -> dict[str, Program]:
    """The programs of a learner's adaptation, by name.

    Args:
        learner: It is not changed.
        x: Support examples of one task, of any values; of classes, at least one of each.
        y: Their targets.
        norm: Which statistics batch norm uses in the prediction: those of the support set, or of
            each batch (``"transductive"``).

    Returns:
        ``start``; ``step``, unless there are no inner steps; ``statistics``, where batch norm needs
        them; and ``predict``.

    Raises:
        InputError: The learner adapts in another way than by gradient steps or prototypes, or the
            examples do not fit.
    """
    return _Pieces(_gradient_based(learner), x, y, norm).programs()


def few_shot_of(learner: Any) -> Any:
    """The learner that adapts; of a pre-trained network, the one that fine-tunes it."""
    return learner.few_shot() if isinstance(learner, FineTune) else learner


def _gradient_based(learner: Any) -> GradientBased:
    one = few_shot_of(learner)
    if isinstance(one, R2D2):
        raise InputError(
            "R2D2 adapts by solving a linear system, for which ONNX has no operator; export an "
            "adapted model, such as the folder of fewstep adapt --out"
        )
    if not isinstance(one, GradientBased):
        raise InputError(
            f"learner is a {type(one).__name__}; expected a learner of fewstep that adapts by "
            "gradient steps"
        )
    return one


def before_adaptation(learner: Any, x: Tensor, y: Tensor) -> Program:
    """The prediction of a learner before it adapts; batch norm uses each batch.

    Raises:
        InputError: Without a task it predicts nothing, or the examples do not fit.
    """
    new_head = isinstance(learner, FineTune) and learner.classes is not None
    if new_head or isinstance(learner, ProtoMAML):
        raise InputError(
            f"{type(learner).__name__} makes its last layer for each task, so it predicts nothing "
            "before it adapts; export adaptation (--what adaptation) or an adapted model"
        )
    return _Pieces(few_shot_of(learner), x, y, "transductive").before()


class _Pieces:
    def __init__(self, learner: GradientBased, x: Tensor, y: Tensor, norm: Norm) -> None:
        if not isinstance(x, Tensor):
            raise InputError("the model takes several inputs; a file of adaptation has one tensor")
        self._learner, self._norm = learner, norm
        self._x, self._y = x, y
        with exclusive():
            tasks = TaskBatch(x[None], y[None], x[None], y[None])
            self._objective, self._traits = learner.objective(tasks, norm)
        self._loop: InnerLoop = learner._loop
        recorded = any(name.endswith(".running_mean") for name in self._objective.learned)
        self._pure = learner._pure("running" if recorded else "evaluation", self._traits)
        self._names = self._loop.adapting

    def programs(self) -> dict[str, Program]:
        """All of them."""
        start = self._start()
        with exclusive():
            state = dict(start.function(start.with_examples(len(self._x))))
        found = {"start": start}
        if not isinstance(self._learner, ProtoNet):
            found["step"] = self._step(state)
        shown = {n: v for n, v in state.items() if n in self._names} | {STEP: torch.tensor(0)}
        constants = self._constants()
        if self._norm == "inductive":
            whole = {**shown, **constants}
            statistics = self._statistics(whole, self._x)
            if statistics:
                inputs = {**shown, SUPPORT_X: self._x}
                found["statistics"] = Program(
                    lambda t: self._statistics(t, t[SUPPORT_X]),
                    inputs,
                    frozenset({SUPPORT_X}),
                    constants,
                )
                shown |= statistics
        found["predict"] = Program(self._predict, {**shown, X: self._x}, frozenset({X}), constants)
        return found

    def before(self) -> Program:
        """The prediction with what is meta-learned alone."""
        own = {**self._pure.tensors, **self._objective.learned}
        start = {name: own[name].detach() for name in self._names}
        constants = {**self._constants(), **start, STEP: torch.tensor(0)}
        return Program(self._predict, {X: self._x}, frozenset({X}), constants)

    def _start(self) -> Program:
        learned = {name: value.detach() for name, value in self._objective.learned.items()}

        def start(t: Mapping[str, Tensor]) -> Params:
            grad_fn = self._grad_fn(t)
            params = next(self._learner._path(grad_fn, {name: t[name] for name in learned}, 0))
            adapting = {name: params[name] for name in self._names}
            return adapting | _slots(self._loop.optimizer.init(adapting))

        inputs = {SUPPORT_X: self._x, SUPPORT_Y: self._y}
        return Program(start, inputs, frozenset(inputs), learned)

    def _step(self, state: Params) -> Program:
        form = pytree.tree_structure(
            self._loop.optimizer.init({name: state[name] for name in self._names})
        )

        def step(t: Mapping[str, Tensor]) -> Params:
            params = {name: t[name] for name in self._names}
            slots = [t[name] for name in state if name not in params]
            before = as_leaf_tensors(InnerState(params, pytree.tree_unflatten(slots, form)))
            # One program serves every step.
            loop = replace(self._loop, optimizer=_at(self._loop.optimizer, t[STEP]), first=None)
            learned = self._at_step(t) | params
            after = loop.step(self._grad_fn(t), learned, before, 0, create_graph=False)
            return {f"{NEXT}{n}": v for n, v in (after.params | _slots(after.slots)).items()}

        support = {SUPPORT_X: self._x, SUPPORT_Y: self._y}
        inputs = {**state, STEP: torch.tensor(0), **support}
        return Program(step, inputs, frozenset(support), self._constants())

    def _grad_fn(self, t: Mapping[str, Tensor]) -> GradFn:
        def loss(params: Params, _: int) -> Tensor:
            with layers_for_files():
                return self._objective.support_loss(params, t[SUPPORT_X], t[SUPPORT_Y])

        return GradFn(loss)

    def _statistics(self, t: Mapping[str, Tensor], x: Tensor) -> Params:
        statistics: Params = {}
        with layers_for_files(), self._pure.having(self._model(t), collecting(statistics)):
            self._pure.predict(x)
        return statistics

    def _predict(self, t: Mapping[str, Tensor]) -> Params:
        given = by_given_statistics(t) if self._norm == "inductive" else None
        with layers_for_files(), self._pure.having(self._model(t), given):
            return {OUTPUTS: as_tensor(self._pure.predict(t[X]))}

    def _model(self, t: Mapping[str, Tensor]) -> Params:
        adapted = {name: t[name] for name in self._names}
        return self._loop.model_params(self._at_step(t), adapted, 0)

    def _constants(self) -> Params:
        """All that neither adapts nor is made for a task."""
        beside = {**self._pure.tensors, **self._objective.learned}
        known = (INNER_LR, PER_STEP)
        return {
            name: value.detach()
            for name, value in beside.items()
            if name not in self._names and (name in self._pure.tensors or name.startswith(known))
        }

    def _at_step(self, t: Mapping[str, Tensor]) -> Params:
        """The constants, with those values alone that were learned for this step."""
        found = {}
        for name in self._constants():
            value = t[name]
            if name.startswith(PER_STEP):
                value = value.index_select(-2, t[STEP][None])
            elif name.startswith(INNER_LR) and self._loop.step_sizes == "per-step":
                value = value.index_select(-1, t[STEP][None])
            # A layer may count in its buffers.
            found[name] = value.clone() if name in self._pure.buffers else value
        return found


def _slots(slots: Any) -> Params:
    return {f"slots.{number}": value for number, value in enumerate(pytree.tree_leaves(slots))}


def _at(optimizer: InnerOptimizer, step: Any) -> InnerOptimizer:
    """The optimiser, at this step whatever it is told."""
    return InnerOptimizer(optimizer.init, lambda g, slots, _: optimizer.update(g, slots, step))


def as_tensor(found: Any) -> Tensor:
    """The prediction of a model; `InputError` where that is no tensor."""
    if not isinstance(found, Tensor):
        raise InputError(
            f"the network returns a {type(found).__name__}; expected one that returns a tensor"
        )
    return found
