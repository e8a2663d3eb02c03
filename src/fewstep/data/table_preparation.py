"""Preparation of a table: how rows become features and targets, fitted on training rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fewstep.data.column_forms import CategoryColumn, Features, Form, NumberColumn
from fewstep.data.table_columns import as_numbers, as_texts, kind_of
from fewstep.errors import InputError

TargetKind = Literal["regression", "classification"]
Label = str | int | float | bool
_FORMS: dict[str, type] = {"number": NumberColumn, "category": CategoryColumn}


@dataclass(frozen=True)
class TablePreparation:
    """Makes ``float32 [rows, features]`` of a table's rows, always in the same way.

    Attributes:
        target: Name of the column to predict.
        kind: ``"regression"`` or ``"classification"``.
        forms: What becomes of each input.
        classes: Labels, by the number of their class.
        target_mean: Of the training rows of a regression.
        target_scale: Standard deviation of those.
    """

    target: str
    kind: TargetKind
    forms: tuple[Form, ...]
    classes: tuple[Label, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0

    @classmethod
    def fit(
        cls, frame: Any, target: str, inputs: Sequence[str], kind: TargetKind | None = None
    ) -> "TablePreparation":
        """Preparation fitted on the training rows."""
        found: list[Form] = []
        for name in inputs:
            form = CategoryColumn if kind_of(frame[name]) == "category" else NumberColumn
            found.append(form.fit(frame[name]))
        forms = tuple(sorted(found, key=lambda form: isinstance(form, CategoryColumn)))
        is_number = kind_of(frame[target]) == "number"
        kind = kind or ("regression" if is_number else "classification")
        if kind == "classification":
            return cls(target, kind, forms, tuple(sorted({*as_texts(frame[target])} - {None})))
        values = as_numbers(frame[target])
        return cls(target, kind, forms, (), float(np.nanmean(values)), float(np.nanstd(values)))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that are inputs."""
        return tuple(form.name for form in self.forms)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return tuple(name for form in self.forms for name in form.feature_names)

    @property
    def categories(self) -> tuple[int, ...]:
        """Sizes of the blocks of categories, which come last."""
        blocks = [form for form in self.forms if isinstance(form, CategoryColumn)]
        return tuple(len(form.feature_names) for form in blocks)

    def features(self, frame: Any) -> Features:
        """Features ``float32 [rows, features]`` of the rows of a table."""
        return np.concatenate([form.features(frame[form.name]) for form in self.forms], 1)

    def targets(self, frame: Any) -> npt.NDArray[np.float32] | npt.NDArray[np.int64]:
        """Targets: ``float32 [rows, 1]``, standardised, or class numbers ``int64 [rows]``."""
        if self.kind == "regression":
            values = (as_numbers(frame[self.target]) - self.target_mean) / self.target_scale
            return values.astype(np.float32)[:, None]
        numbers = {label: number for number, label in enumerate(self.classes)}
        texts = as_texts(frame[self.target])
        if unknown := sorted({str(text) for text in texts if text not in numbers}):
            raise InputError(f"column {self.target!r} holds {unknown[0]!r}, no class of training")
        return np.array([numbers[text] for text in texts], np.int64)

    def unscaled(self, values: Any) -> Any:
        """Standardised targets, arrays or tensors, in the target's unit."""
        return values * self.target_scale + self.target_mean

    def warnings(self, frame: Any) -> list[str]:
        """Lines on rows that are unlike the training rows."""
        lost = [name for name in self.inputs if name not in frame]
        return [f"no column {name!r}" for name in lost]

    def describe(self) -> list[str]:
        """Lines on the columns, for people."""
        return [f"target {self.target}: {self.kind}", f"inputs: {', '.join(self.inputs)}"]

    def as_json(self) -> dict[str, Any]:
        """Content of a JSON object from which `from_json` makes the same preparation."""
        kinds: dict[type, str] = {form: kind for kind, form in _FORMS.items()}
        forms = [{"kind": kinds[type(form)], **asdict(form)} for form in self.forms]
        return {**asdict(self), "forms": forms, "classes": list(self.classes)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TablePreparation":
        """Preparation that `as_json` told of."""
        forms = []
        for told in content["forms"]:
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
            forms.append(_FORMS[values.pop("kind")](**values))
        return cls(**{**content, "forms": tuple(forms), "classes": tuple(content["classes"])})
