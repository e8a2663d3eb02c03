"""An adapted model, read back from its folder."""

import copy
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from fewstep.choices import Norm
from fewstep.config.file import config_of
from fewstep.data.any_preparation import AnyPreparation, preparation_of_json
from fewstep.data.columns.preparation import TablePreparation
from fewstep.errors import InputError, first_line, let_out_of_memory_through
from fewstep.models.build import network
from fewstep.predictors import adapted_dir
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.regressor import AdaptedRegressor

_OF_FILE = (
    *("format", "kind", "classes", "preparation", "temperature", "threshold", "outputs"),
    *("half_width", "batch_statistics", "versions", "sha256"),
)


def load_adapted(
    folder: str | Path, model: nn.Module | None = None
) -> AdaptedClassifier | AdaptedRegressor:
    """Read an adapted model; the run that it came from is not needed.

    Args:
        folder: That of ``fewstep adapt --out`` or of ``.save``.
        model: For a model whose network is the user's own, that network, with any weights; one
            whose last layer has another number of classes will do. It is not changed.

    Raises:
        InputError: There is no such folder, it is damaged or of another version, or the network
            does not fit.
    """
    folder = Path(folder)
    told = adapted_dir.read_about(folder)
    try:
        preparation = preparation_of_json(told["preparation"])
        shape, outputs = tuple(map(int, told["example_shape"] or ())), int(told["outputs"])
        is_classifier = told["kind"] == "classification"
        if not is_classifier and told["kind"] != "regression":
            raise ValueError(f"kind {told['kind']!r}")
        _check_preparation(preparation, shape, told["kind"])
        classes = tuple(told["classes"]) if is_classifier else ()
        temperature, threshold = float(told.get("temperature", 1.0)), told.get("threshold")
        threshold = None if threshold is None else float(threshold)
        half_width = _positive(told.get("half_width"))
        for rows, width in (told.get("half_widths") or {}).items():
            _positive(int(rows) and width)
        for rows, share in (told.get("coverage") or {}).items():
            _positive(int(rows) and share)
        by_batch = [str(name) for name in told["batch_statistics"]]
        settings = None if told["config"] is None else dict(told["config"])
        if is_classifier and len(classes) != outputs:
            raise ValueError(f"{len(classes)} classes and {outputs} outputs")
        kinds = {type(name) for name in classes}
        if is_classifier and not any(kinds <= one for one in ({str}, {int, float}, {bool})):
            raise ValueError("classes that are no names")
        if len(set(classes)) < len(classes):
            raise ValueError("a class twice")
        _check_protocol(told["protocol"], told["training_classes"])
        about = {name: value for name, value in told.items() if name not in _OF_FILE}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / adapted_dir.ABOUT} does not describe an adapted model ({error!r}); restore "
            "it, or adapt and save again"
        ) from error
    tensors = adapted_dir.read_tensors(folder, adapted_dir.MODEL, told)
    if model is not None:
        module = _with_rows_of(model, tensors)
    elif settings is not None:
        config = config_of(settings, folder / adapted_dir.ABOUT)
        categories = preparation.categories if isinstance(preparation, TablePreparation) else ()
        module = network(config, shape, outputs, categories)
    else:
        raise InputError(
            f"{folder} holds a model with a network of your own; give it, as in "
            "fewstep.load(folder, model)"
        )
    _fill(module, tensors, folder)
    module.eval()
    if adapted_dir.STATISTICS in told["sha256"]:
        _put_apart(module, adapted_dir.read_tensors(folder, adapted_dir.STATISTICS, told), folder)
    _use_batches(module, by_batch, folder)
    if not is_classifier:
        about["outputs"] = outputs
        return AdaptedRegressor(module, preparation, about, folder, half_width)
    return AdaptedClassifier(module, classes, preparation, temperature, threshold, about, folder)


def _check_preparation(how: AnyPreparation | None, shape: tuple[int, ...], kind: str) -> None:
    """See that a preparation makes examples of the shape, for a model of the kind."""
    if isinstance(how, TablePreparation):
        if how.kind != kind or shape[-1:] != (len(how.feature_names),):
            raise ValueError(f"a {kind} of examples {list(shape)} by {how.describe()}")
    elif how and shape and shape != (how.channels, how.size, how.size):
        raise ValueError(f"examples {list(shape)} of {how}")


def _positive(width: Any) -> float | None:
    if width is None:
        return None
    if not 0 <= float(width) < float("inf"):
        raise ValueError(f"half width {width!r}")
    return float(width)


def _check_protocol(protocol: dict[str, Any], training_classes: Any) -> None:
    """See that a model can be taught more by what is told of how it was taught."""
    norm, steps, shots = protocol["norm"], protocol["inner_steps"], protocol["shots"]
    if not isinstance(protocol["note"], str):
        raise ValueError(f"note {protocol['note']!r}")
    if norm not in get_args(Norm) or type(steps) is not int or steps < 0:
        raise ValueError(f"norm {norm!r} and inner_steps {steps!r}")
    if {type(many) for many in list(shots)} - {int} or type(training_classes) not in (
        int,
        type(None),
    ):
        raise ValueError(f"shots {shots!r} and training_classes {training_classes!r}")


def _with_rows_of(model: Any, tensors: dict[str, Tensor]) -> nn.Module:
    """A copy of a network whose last layer has as many classes as the tensors have."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    try:
        module = copy.deepcopy(model)
    except (TypeError, RuntimeError) as error:
        let_out_of_memory_through(error)
        raise InputError(
            f"the model cannot be copied ({first_line(error)}); give one that was not called yet"
        ) from error
    for name, part in list(module.named_modules()):
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if type(part) is nn.Linear and name and weight is not None and weight.dim() == 2:
            rows, width = weight.shape
            if width == part.in_features and (
                rows != part.out_features or (bias is None) != (part.bias is None)
            ):
                parent, _, child = name.rpartition(".")
                new = nn.Linear(width, rows, bias is not None).to(part.weight)
                setattr(module.get_submodule(parent), child, new)
    return module


def _fill(module: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    own = module.state_dict()
    wrong = [f"lacks {name!r}" for name in own if name not in tensors]
    wrong += [f"has {name!r}, which the network lacks" for name in tensors if name not in own]
    wrong += [
        f"has {name!r} of shape {list(tensors[name].shape)} where the network's is "
        f"{list(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 2} more" if len(wrong) > 2 else ""
        raise InputError(
            f"{folder / adapted_dir.MODEL} {', '.join(wrong[:2])}{more}; give the network that it "
            "was made of"
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def _put_apart(module: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    """Put buffers in place that a state dict has no room for."""
    for name, value in tensors.items():
        parent, _, child = name.rpartition(".")
        _part(module, parent, folder).register_buffer(child, value, persistent=False)


def _use_batches(module: nn.Module, names: list[str], folder: Path) -> None:
    for name in names:
        part: Any = _part(module, name, folder)
        part.training, part.track_running_stats, part.momentum = True, False, 0.0


def _part(module: nn.Module, name: str, folder: Path) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError as error:
        raise InputError(
            f"{folder} tells of a part {name!r}, which the network lacks; give the network that it "
            "was made of"
        ) from error
