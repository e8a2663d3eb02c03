"""Whether tasks fit a model and a loss, found out by calling both once."""

import warnings
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

from fewstep.errors import InputError, first_line, let_out_of_memory_through
from fewstep.functional.by_example import treats_alone
from fewstep.functional.call import PureModel
from fewstep.functional.guards import check_layers
from fewstep.functional.held import readers_in
from fewstep.functional.layer_modes import LayerModes
from fewstep.functional.loss import loss_module
from fewstep.functional.structure import same, structure
from fewstep.functional.swapped import Params
from fewstep.learners.checks import (
    Loss,
    check_labels,
    check_tasks,
    same_but_for_rounding,
    scalar,
    shape_of,
)
from fewstep.learners.explain import cure, is_of_the_model, told
from fewstep.metagrad.masking import Mark, mark_of
from fewstep.metagrad.metrics import ignored_label, is_of_classes
from fewstep.runtime.rng import outside_generators, preserve_rng_state, reseed
from fewstep.tasks import Inputs, TaskBatch, map_tensors, tensors_of

_DOES_NOT_FIT = (RuntimeError, ValueError, IndexError, TypeError, AttributeError)


class Traits(NamedTuple):
    """Properties of a model, found out with tasks of a shape."""

    # How many classes the labels choose from; None where targets are no labels.
    classes: int | None
    # It takes derivatives when it predicts, so gradients have to be on.
    needs_gradients: bool
    # It draws from generators that are not PyTorch's.
    draws_outside: bool
    # With the same seeds it predicts the same again.
    repeats: bool
    # It or the loss changes what it is called with.
    changes_inputs: bool
    # Tells padding in targets, which the loss is to leave out; None where there is none.
    mark: Mark | None = None
    # The same for tasks with padding; None where it could change what a task is alone.
    marked: "Traits | None" = None

    @property
    def vectorisable(self) -> bool:
        """Whether several tasks at once would be what they are alone."""
        return self.repeats and not self.draws_outside


class FitCheck:
    """Sees that tasks fit a model and a loss, by the support set of the first of them."""

    def __init__(self, loss: Loss) -> None:
        # The structure of the model and of the loss that were tried last.
        self.made_of: list[object] = []
        self.readers: list[nn.Module] = []  # its parts whose code may read more than that
        self._loss = loss
        self._traits: dict[Hashable, Traits] = {}

    def __call__(
        self,
        model: nn.Module,
        tasks: TaskBatch,
        modes: LayerModes = "own",
        params: Params | None = None,
        replaced: dict[str, Callable[..., Any]] | None = None,
        *,
        look: bool = True,
    ) -> Traits:
        """Try model and loss once for tasks of a shape, and look at all labels.

        Once more where the model has changed. ``params`` stand in the place of its own tensors.
        Without ``look`` labels are looked at then alone.
        """
        check_tasks(tasks)
        if parametrize._cache_enabled:
            raise InputError(
                "torch.nn.utils.parametrize.cached() is active, which would keep the weights of "
                "one inner step for the next; leave it out, or use it inside the model alone"
            )
        _refuse_inference_tensors(tasks.tensors)
        module = loss_module(self._loss, model)
        made_of = structure(model) + (structure(module) if module is not None else [])
        if not same(made_of, self.made_of):
            self._traits.clear()
            self.made_of, self.readers = made_of, readers_in(model)
        first = next(model.parameters())
        shape = (
            *(modes, first.dtype, first.device, tasks.device, tasks.is_uneven),
            *((t.shape[1:], t.dtype) for t in tasks.tensors),
            *((name, value.shape) for name, value in (params or {}).items()),
        )
        if shape not in self._traits:
            check_layers(model)
            _refuse_inference_tensors((*model.parameters(), *model.buffers()))
            pure = PureModel(model, self._loss, modes=modes, replaced=replaced)
            self._traits[shape] = _Trial(pure, self._loss, params or {}).of(tasks)
        traits = self._traits[shape]
        if look:
            check_labels_of(tasks, traits.classes, self._loss)
        return traits


def _refuse_inference_tensors(tensors: Iterable[Tensor]) -> None:
    if any(tensor.is_inference() for tensor in tensors):
        raise InputError(
            "the model or the tasks were made under torch.inference_mode(), whose tensors have no "
            "gradients; make them outside of it, or take clones of them there"
        )


class _Trial:
    """A call of a model and of a loss, on copies of all that they could change."""

    def __init__(self, pure: PureModel, loss: Loss, params: Params) -> None:
        self._pure, self._loss = pure, loss
        given = {**pure.tensors, **params}
        self._params = {name: value for name, value in given.items() if name not in pure.buffers}
        self._needs_gradients = self._draws_outside = False

    def of(self, tasks: TaskBatch) -> Traits:
        """Call both for the first task, twice with the same seeds."""
        x, y, query_x, _ = tasks.task(0)
        tried, target = map_tensors(torch.clone, x), y.clone()
        with preserve_rng_state():
            classes, first = self._call("support", tried, target, tasks)
            copies = map_tensors(torch.clone, x), y.clone()
            _, second = self._call("support", *copies, tasks)
            if len(tensors_of(query_x)[0]) == 1:
                # Batch norm may refuse a single example.
                self._call("query", map_tensors(torch.clone, query_x), None, tasks)
        pairs = zip((*tensors_of(x), y), (*tensors_of(tried), target), strict=True)
        changes = any(given._version > 0 or not _same(own, given) for own, given in pairs)
        repeats = all(map(same_but_for_rounding, first, second))
        traits = Traits(classes, self._needs_gradients, self._draws_outside, repeats, changes)
        mark = mark_of(self._loss, y)
        if mark is None or not tasks.is_uneven or not self._takes_padding(x, first[0]):
            return traits
        return traits._replace(marked=traits._replace(mark=mark))

    def _takes_padding(self, x: Inputs, prediction: Tensor) -> bool:
        """Whether examples beside those of a task change nothing about it.

        Besides the layers it is the number of examples that tells: a layer of the list that takes
        the examples for features or channels takes but one number of them.
        """
        parts = set(self._pure.model.modules())
        if not treats_alone(pair for pair in self._pure.modes if pair[0] in parts):
            return False
        examples = len(tensors_of(x)[0])
        longer = map_tensors(lambda t: torch.cat([t, t[:1]]), x)
        try:
            with torch.no_grad(), self._pure.having(map_tensors(_leaf_like, self._params)):
                more = self._pure.predict(longer)
        except _DOES_NOT_FIT as error:
            let_out_of_memory_through(error)
            return False
        return len(prediction) == examples and len(more) == examples + 1

    def _call(
        self, part: str, x: Inputs, y: Tensor | None, tasks: TaskBatch
    ) -> tuple[int | None, list[Tensor]]:
        """How many classes are predicted; and the prediction and the loss, to compare them."""
        # Some models take derivatives themselves, which they cannot without gradients.
        for with_gradients in (False, True):
            copies = map_tensors(_leaf_like, self._params)
            reseed(0)
            before = outside_generators()
            try:
                with torch.set_grad_enabled(with_gradients), self._pure.having(copies):
                    prediction = self._pure.predict(x)
                    self._needs_gradients |= with_gradients
                    self._refuse_new_parameters()
                    if y is None:
                        return None, []
                    classes = _classes(prediction, self._loss)
                    check_labels_of(tasks, classes, self._loss)
                    tensors = [t for t in pytree.tree_leaves(prediction) if isinstance(t, Tensor)]
                    results = [t.detach().clone() for t in tensors if t.layout is torch.strided]
                    results.append(_try_loss(self._loss, prediction, y).detach())
                self._check_unchanged(copies)
                self._draws_outside |= outside_generators() != before
                return classes, results
            except InputError:
                raise
            except _DOES_NOT_FIT as error:
                let_out_of_memory_through(error)
                if not with_gradients and isinstance(error, RuntimeError):
                    continue
                if is_of_the_model(error):
                    error.add_note(f"fewstep called the model with {part} examples: {told(x)}")
                    raise
                raise InputError(
                    f"the model does not take {part} examples of {told(x)} "
                    f"({first_line(error)}){cure(error, self._pure.model, x)}"
                ) from error
        raise AssertionError

    def _refuse_new_parameters(self) -> None:
        for name, _ in self._pure.model.named_parameters():
            if name not in self._params:
                raise InputError(
                    f"the model makes its parameter {name!r} when it is called, so that it is "
                    "another every time; call the model once with an example first"
                )

    def _check_unchanged(self, copies: Params) -> None:
        for name, copied in copies.items():
            if not _same(copied, self._params[name]):
                raise InputError(
                    f"the model changes its parameter {name!r} in place when it is called; let it "
                    "compute with a changed copy instead"
                )


def _leaf_like(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _same(one: Tensor, other: Tensor) -> bool:
    if one.layout is not torch.strided:
        return True
    one, other = one.detach(), other.detach()
    return bool(((one == other) | (one != one)).all())


def _try_loss(loss: Loss, prediction: Any, target: Tensor) -> Tensor:
    given = shape_of(prediction)
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
        let_out_of_memory_through(error)
        if is_of_the_model(error):
            error.add_note(f"fewstep called the loss with a prediction of {given}")
            raise
        raise InputError(
            f"the loss does not take a prediction of shape {given} and targets of "
            f"shape {list(target.shape)}, {target.dtype} ({first_line(error)})"
        ) from error
    return scalar(value)


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


def check_labels_of(tasks: TaskBatch, classes: int | None, loss: Loss) -> None:
    """Out-of-range labels are undefined behaviour on a GPU and an obscure error elsewhere."""
    if classes is None:
        return
    for target in (tasks.support_y, tasks.query_y):
        counted = target[target != ignored_label(loss)]
        if len(counted) and not target.is_floating_point():
            check_labels(counted, classes, "the model predicts")
