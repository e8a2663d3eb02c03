"""What a learner refuses before it computes: each mistake in one line."""

from __future__ import annotations

import numbers
import traceback
import warnings
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.errors import InputError, first_line
from fewstep.functional import PureModel
from fewstep.inner import leaves
from fewstep.layers import check_layers, check_second_derivative
from fewstep.metrics import ignored_label, is_of_classes
from fewstep.problem import Problem
from fewstep.randomness import outside_generators, undisturbed
from fewstep.swapped import Params
from fewstep.tasks import Inputs, TaskBatch, map_tensors, tensors_of

Loss = Callable[[Any, Tensor], Tensor]

LOSSES: dict[str, Loss] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}
"""Those that may be given by name."""

_DOES_NOT_FIT = (RuntimeError, ValueError, IndexError, TypeError, AttributeError)


def check_choice(name: str, given: object, choices: tuple[str, ...]) -> None:
    """See that a setting is one of its values.

    Raises:
        InputError: Names the setting and the values.
    """
    if given not in choices:
        raise InputError(f"{name} is {given!r}; expected one of {', '.join(choices)}")


def check_at_least_zero(name: str, given: object, *, whole: bool = False) -> None:
    """See that a setting is a number, not negative and no NaN.

    Args:
        name: Of the setting.
        given: Its value.
        whole: Whether it has to be a whole number.

    Raises:
        InputError: Names the setting.
    """
    kind = numbers.Integral if whole else numbers.Real
    if type(given) is bool or not isinstance(given, kind):
        expected = "a whole number" if whole else "a number"
        raise InputError(f"{name} is {given!r}, a {type(given).__name__}; expected {expected}")
    if not given >= 0:  # type: ignore[operator]
        raise InputError(f"{name} is {given}; expected 0 or more")


def check_module(model: object) -> None:
    """See that a model is a module that a learner can take.

    Raises:
        InputError: Says what it is instead.
    """
    if isinstance(model, type):
        raise InputError(
            f"model is the class {model.__name__}; expected a module made of it, as in "
            f"{model.__name__}(...)"
        )
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}; expected a torch.nn.Module")


def check_tasks(tasks: object) -> None:
    """See that tasks are what they have to be.

    Raises:
        InputError: They are something else.
    """
    if not isinstance(tasks, TaskBatch):
        raise InputError(
            f"tasks is a {type(tasks).__name__}; expected a fewstep.TaskBatch, as in "
            "TaskBatch(support_x, support_y, query_x, query_y)"
        )


def loss_of(given: Any) -> Loss:
    """A loss, which may be given by its name.

    Raises:
        InputError: There is none of this name, or it cannot be called.
    """
    if isinstance(given, str) and given in LOSSES:
        return LOSSES[given]
    if isinstance(given, (str, type)) or not callable(given):
        told = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
        raise InputError(
            f"loss is {told}; expected a function of (prediction, target), or one of "
            f"{', '.join(LOSSES)}"
        )
    return given  # type: ignore[no-any-return]


class Traits(NamedTuple):
    """What was found out of a model with tasks of a shape.

    Attributes:
        classes: How many classes the labels choose from; None where targets are no labels.
        needs_gradients: It takes derivatives when it predicts, so gradients have to be on.
        draws_outside: It draws from the generators of Python or NumPy.
        changes_inputs: It changes what it is called with.
    """

    classes: int | None
    needs_gradients: bool
    draws_outside: bool
    changes_inputs: bool


class FitCheck:
    """Sees that tasks fit a model and a loss, by the support set of the first of them.

    Args:
        loss: Of (prediction, target).
    """

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._traits: dict[Hashable, Traits] = {}

    def __call__(
        self,
        model: nn.Module,
        tasks: TaskBatch,
        params: Params | None = None,
        replaced: dict[str, Callable[..., Any]] | None = None,
    ) -> Traits:
        """Try the model and the loss once for tasks of a shape, and look at all labels.

        Args:
            model: Any module.
            tasks: A meta-batch.
            params: Tensors in the place of its own.
            replaced: As in `PureModel`.

        Raises:
            InputError: The model does not take the examples, or the loss not the targets.
        """
        check_tasks(tasks)
        check_layers(model)
        _check_usable(model, tasks)
        shape = (
            *((t.shape[1:], t.dtype) for t in tasks.tensors),
            *((name, value.shape) for name, value in (params or {}).items()),
            tasks.device,
        )
        if shape not in self._traits:
            pure = PureModel(model, self._loss, replaced=replaced)
            self._traits[shape] = _Trial(pure, self._loss, params or {}).of(tasks)
        traits = self._traits[shape]
        _check_labels(tasks, traits.classes, self._loss)
        return traits


def _check_usable(model: nn.Module, tasks: TaskBatch) -> None:
    tensors = (*model.parameters(), *model.buffers(), *tasks.tensors)
    if any(tensor.is_inference() for tensor in tensors):
        raise InputError(
            "the model or the tasks were made under torch.inference_mode(), whose tensors have no "
            "gradients; make them outside of it, or take clones of them there"
        )


class _Trial:
    """One call of a model and of a loss, on copies of all that they could change."""

    def __init__(self, pure: PureModel, loss: Loss, params: Params) -> None:
        self._pure, self._loss = pure, loss
        given = {**pure.tensors, **params}
        self._params = {name: value for name, value in given.items() if name not in pure.buffers}
        self._needs_gradients = False

    def of(self, tasks: TaskBatch) -> Traits:
        """Call both for the first task."""
        x, y, query_x, _ = tasks.task(0)
        tried = map_tensors(lambda tensor: tensor.clone(), x)
        with undisturbed(tasks.device):
            before = outside_generators()
            classes = self._call("support", tried, y, tasks)
            draws_outside = outside_generators() != before
            if len(tensors_of(query_x)[0]) == 1:
                # Batch norm may refuse a single example.
                self._call("query", query_x, None, tasks)
        pairs = zip(tensors_of(x), tensors_of(tried), strict=True)
        changes = any(not _same(one, other) for one, other in pairs)
        return Traits(classes, self._needs_gradients, draws_outside, changes)

    def _call(self, part: str, x: Inputs, y: Tensor | None, tasks: TaskBatch) -> int | None:
        # Some models take derivatives themselves, which they cannot without gradients.
        for with_gradients in (False, True):
            copies = _copies(self._params)
            try:
                with torch.set_grad_enabled(with_gradients), self._pure.having(copies):
                    prediction = self._pure.predict(x)
                    self._needs_gradients |= with_gradients
                    if y is None:
                        return None
                    classes = _classes(prediction, self._loss)
                    _check_labels(tasks, classes, self._loss)
                    _try_loss(self._loss, prediction, y)
                self._check_unchanged(copies)
                return classes
            except InputError:
                raise
            except _DOES_NOT_FIT as error:
                if not with_gradients and isinstance(error, RuntimeError):
                    continue
                if _is_of_the_model(error):
                    error.add_note(f"fewstep called the model with {part} examples: {_told(x)}")
                    raise
                raise InputError(
                    f"the model does not take {part} examples of {_told(x)} "
                    f"({first_line(error)}){_cure(self._pure.model, x)}"
                ) from error
        raise AssertionError

    def _check_unchanged(self, copies: Params) -> None:
        for name, copied in copies.items():
            if not _same(copied, self._params[name]):
                raise InputError(
                    f"the model changes its parameter {name!r} in place when it is called; let it "
                    "compute with a changed copy instead"
                )


def _copies(params: Params) -> Params:
    """Copies, one for each tensor, that require a gradient where theirs do."""
    return {n: p.detach().clone().requires_grad_(p.requires_grad) for n, p in params.items()}


def _same(one: Tensor, other: Tensor) -> bool:
    if one.layout is not torch.strided:
        return True
    one, other = one.detach(), other.detach()
    return bool(((one == other) | (one != one)).all())


def _is_of_the_model(error: BaseException) -> bool:
    """Whether an error comes from the user's code, and not from a layer of PyTorch or from here."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    file = Path(frame.f_code.co_filename)
    return not any(file.is_relative_to(Path(p).parent) for p in (torch.__file__, _PACKAGE))


_PACKAGE = Path(__file__).parent


def _cure(model: nn.Module, x: Inputs) -> str:
    """What to do, where it can be guessed from the examples."""
    tensors = tensors_of(x)
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    for tensor in tensors:
        if tensor.dtype is torch.uint8:
            return "; pictures of bytes have to become numbers: x.float() / 255"
        if tensor.is_floating_point() and tensor.dtype != own:
            return f"; the model's parameters are {own}: give x.to({own})"
        pictures = tensor.dim() == 4 and any(isinstance(m, nn.Conv2d) for m in model.modules())
        if pictures and tensor.shape[-1] in (1, 3, 4) and tensor.shape[1] not in (1, 3, 4):
            return "; pictures come with the channels first: x.permute(0, 1, 4, 2, 3)"
    if len(tensors) == 1 and isinstance(x, Tensor):
        return "; several inputs are given as a tuple or as a dict of tensors"
    return ""


def _try_loss(loss: Loss, prediction: Any, target: Tensor) -> None:
    given = _shape(prediction)
    if is_of_classes(loss) and not isinstance(prediction, Tensor):
        way = '["logits"]' if isinstance(prediction, dict) else "[0]"
        way = ".logits" if hasattr(prediction, "logits") else way
        raise InputError(
            f"the model returned a {given} and the loss takes a tensor; give a loss that takes it, "
            f"as in loss=lambda output, y: F.cross_entropy(output{way}, y)"
        )
    try:
        with warnings.catch_warnings():
            # PyTorch's losses only warn where they stretch one shape to the other.
            warnings.filterwarnings("error", "Using a target size")
            value = loss(prediction, target)
    except InputError:
        raise
    except (*_DOES_NOT_FIT, UserWarning) as error:
        if _is_of_the_model(error):
            error.add_note(f"fewstep called the loss with a prediction of {given}")
            raise
        raise InputError(
            f"the loss does not take a prediction of shape {given} and targets of "
            f"shape {list(target.shape)}, {target.dtype} ({first_line(error)})"
        ) from error
    scalar(value)


def check_twice_differentiable(problem: Problem, tasks: TaskBatch) -> None:
    """See that the support gradient can be differentiated, by the first task.

    Once for a learner is enough: it takes a gradient and a walk through its graph.

    Raises:
        InputError: It cannot.
    """
    start = leaves(problem.start)
    x, y, *_ = tasks.task(0)
    with undisturbed(tasks.device):
        loss = problem.support_loss(start, x, y)
    check_second_derivative(
        torch.autograd.grad(loss, list(start.values()), create_graph=True, materialize_grads=True)
    )


def scalar(value: Tensor) -> Tensor:
    """The value itself.

    Raises:
        InputError: It is no tensor with a single value.
    """
    if not isinstance(value, Tensor) or value.dim() != 0:
        raise InputError(
            f"the loss returned {_shape(value)}; expected a tensor with a single value"
        )
    return value


def _classes(prediction: Any, loss: Loss) -> int | None:
    """How many classes are predicted; None where targets are no labels of them."""
    if not is_of_classes(loss) or not isinstance(prediction, Tensor) or prediction.dim() < 2:
        return None
    if prediction.shape[1] == 1:
        raise InputError(
            "the model predicts one number an example, and the cross-entropy of a single class is "
            "always 0; use loss=F.mse_loss for a regression, "
            "loss=F.binary_cross_entropy_with_logits for yes or no"
        )
    return prediction.shape[1]


def _check_labels(tasks: TaskBatch, classes: int | None, loss: Loss) -> None:
    """Out-of-range labels are undefined behaviour on a GPU and an obscure error elsewhere."""
    if classes is None:
        return
    for target in (tasks.support_y, tasks.query_y):
        if target.is_floating_point():
            continue
        counted = target[target != ignored_label(loss)]
        if len(counted) == 0:
            continue
        check_labels(counted, classes, "the model predicts")


def check_labels(labels: Tensor, classes: int, whose: str) -> None:
    """See that labels are those of a number of classes.

    Raises:
        InputError: Says where they run, and in ``whose`` words what is expected.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"labels run from {low} to {high}, but {whose} {classes} classes; "
            f"expected labels from 0 to {classes - 1}"
        )


def _told(x: Inputs) -> str:
    """The shapes and types of inputs, in words."""
    return ", ".join(f"shape {list(t.shape)}, {t.dtype}" for t in tensors_of(x))


def _shape(value: Any) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
