"""Preparation of a table: how rows become features and targets, fitted on training rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.forms import FORMS, CategoryColumn, Form
from fewstep.data.columns.kinds import MISSING_MARKS, kind_of
from fewstep.data.columns.naming import MOST, check_column, listed, row_name
from fewstep.data.columns.scaling import LARGEST, Features, Scaling, far_lines
from fewstep.data.columns.target import (
    Label,
    TargetKind,
    check_known,
    class_numbers,
    some,
    target_classes,
    target_kind,
    target_numbers,
)
from fewstep.data.columns.windows import times_of, windows_of
from fewstep.errors import InputError

_TITLES = {"number": "numbers", "boolean": "yes or no", "date": "dates", "category": "categories"}


@dataclass(frozen=True)
class TablePreparation:
    """Makes ``float32 [rows, features]`` of a table's rows, always in the same way.

    Numbers are standardised by the training rows; a missing one is the median, and a feature tells
    of that. A category has a feature for each of at most 50 levels and one for all others. Dates
    are days, and the time of the year and of the day.

    Attributes:
        target: Name of the column to predict.
        kind: ``"regression"`` or ``"classification"``.
        forms: What becomes of each input, in the order that they were given.
        classes: Labels, by the number of their class.
        target_mean: Of the training rows of a regression.
        target_scale: Standard deviation of those.
        target_low: Smallest of those.
        target_high: Largest of those; 0, as the smallest, where an earlier version kept neither.
        time: Name of the column that tells the order of rows, where they are a series.
        window: Rows of an example of a series, the row itself and those before it.
        decimal_marks: Of the columns that had numbers as texts, each name and its mark.

    >>> import pandas
    >>> columns = {"age": [30, 50, 40], "diet": ["oats", "rye", None], "y": [1, 3, 8]}
    >>> rows = pandas.DataFrame(columns)
    >>> preparation = TablePreparation.fit(rows, target="y", inputs=["age", "diet"])
    >>> preparation.feature_names
    ('age', 'diet=oats', 'diet=rye', 'diet=missing', 'diet=other')
    >>> preparation.features(rows)[2]
    array([0., 0., 0., 1., 0.], dtype=float32)
    >>> preparation.unscaled(preparation.targets(rows)).ravel().round(3).tolist()
    [1.0, 3.0, 8.0]
    """

    target: str
    kind: TargetKind
    forms: tuple[Form, ...]
    classes: tuple[Label, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0
    target_low: float = 0.0
    target_high: float = 0.0
    time: str | None = None
    window: int | None = None
    decimal_marks: tuple[tuple[str, str], ...] = ()

    @classmethod
    def fit(
        cls, frame: Any, target: str, inputs: Sequence[str], kind: TargetKind | None = None
    ) -> "TablePreparation":
        """Preparation fitted on training rows.

        Args:
            frame: The training rows. Those that lack the target count for the inputs alone.
            target: Name of the column to predict.
            inputs: Names of the columns to predict it from.
            kind: What the target is; by default classes where it is a text, true or false, or a
                number that is 0 or 1.

        Raises:
            InputError: A column is unsuitable.
        """
        check_column(frame, target, "target")
        forms: list[Form] = []
        for name in inputs:
            check_column(frame, name, "input")
            forms.append(FORMS[kind_of(frame[name])].fit(frame, name))
        kind = kind or target_kind(frame, target)
        if kind == "classification":
            return cls(target, kind, tuple(forms), target_classes(frame, target))
        values = target_numbers(frame, target)
        scaling = Scaling.fit(values, target)
        if scaling.low == scaling.high:
            raise InputError(
                f"target {target!r} is {scaling.low:g} in all {len(values):,} training rows; "
                "expected one that differs"
            )
        # No deviation is larger than half the range: scikit-learn takes 1 where it is lost.
        if scaling.scale > scaling.high - scaling.low:
            raise InputError(
                f"target {target!r} differs by {scaling.high - scaling.low:.3g} in all "
                f"{len(values):,} training rows, which is lost in rounding; give it in another "
                "unit, or its difference to a fixed number"
            )
        ends = scaling.low, scaling.high
        return cls(target, kind, tuple(forms), (), scaling.mean, scaling.scale, *ends)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that are inputs, in the order that they were given."""
        return tuple(form.name for form in self.forms)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the columns that are numbers, or may be: inputs, target and time."""
        others = (self.target if self.kind == "regression" else None, self.time)
        inputs = (form.name for form in self.forms if form.kind == "number")
        return tuple(name for name in (*inputs, *others) if name is not None)

    @property
    def by_kind(self) -> tuple[Form, ...]:
        """The forms in the order of their features: categories come last."""
        return tuple(sorted(self.forms, key=lambda form: [*_TITLES].index(form.kind)))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return tuple(name for form in self.by_kind for name in form.feature_names)

    @property
    def categories(self) -> tuple[int, ...]:
        """Sizes of the blocks of categories, which come last."""
        blocks = [form for form in self.by_kind if isinstance(form, CategoryColumn)]
        return tuple(len(form.feature_names) for form in blocks)

    def features(self, frame: Any) -> Features:
        """Features ``float32 [rows, features]`` of the rows of a table.

        Raises:
            InputError: A column is not there, or a value is unsuitable.
        """
        found = np.empty((len(frame), len(self.feature_names)), np.float32)
        start = 0
        for form in self.by_kind:
            check_column(frame, form.name, "input")
            block = form.features(frame)
            found[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        return found

    def examples(self, frame: Any) -> Features:
        """An example for each row: its features or, with a window, ``[rows, window, features]``.

        The rows are one series. Where they have no column of time they count as in order.

        Raises:
            InputError: As `features`, or a time is unsuitable.
        """
        x = self.features(frame)
        if self.window is None:
            return x
        has_time = self.time is not None and self.time in frame.columns
        times = times_of(frame, str(self.time)) if has_time else None
        return windows_of(x, times, self.window)

    def targets(self, frame: Any) -> npt.NDArray[np.float32] | npt.NDArray[np.int64]:
        """Targets: ``float32 [rows, 1]``, standardised, or class numbers ``int64 [rows]``.

        Raises:
            InputError: One is missing, no number, too large, or of no class of the training rows.
        """
        check_column(frame, self.target, "target")
        if self.kind == "regression":
            values = (target_numbers(frame, self.target) - self.target_mean) / self.target_scale
            check_known(frame, self.target, np.isnan(values))
            if (far := np.flatnonzero(np.abs(values) > LARGEST)).size:
                raise InputError(
                    f"target {self.target!r}, {row_name(frame, int(far[0]))}: "
                    f"{self.unscaled(values[far[0]]):.6g} is too large; correct it"
                )
            return values.astype(np.float32)[:, None]
        return class_numbers(frame, self.target, self.classes)

    def unscaled(self, values: Any) -> Any:
        """Standardised targets, arrays or tensors, in the target's unit."""
        return values * self.target_scale + self.target_mean

    def warnings(self, frame: Any) -> list[str]:
        """Lines on rows that are unlike the training rows: far off, new or missing."""
        return [line for form in self.forms for line in form.warnings(frame)]

    def target_warnings(self, frame: Any) -> list[str]:
        """Lines on rows whose targets are far from those of the training rows, as of inputs."""
        if self.kind == "classification":
            return []
        mean, low, high = self.target_mean, self.target_low, self.target_high
        scaling = Scaling(mean, self.target_scale, mean, low, high, 0)
        return far_lines(self.target, target_numbers(frame, self.target), scaling, frame)

    def describe(self) -> list[str]:
        """Lines on what was understood, for people."""
        if self.kind == "regression":
            spread = f"mean {self.target_mean:.4g}, standard deviation {self.target_scale:.4g}"
            lines = [f"target: {self.target}, a number ({spread} in the training rows)"]
        else:
            labels = f"{len(self.classes)} classes ({some(self.classes)})"
            lines = [f"target: {self.target}, {labels}"]
        for kind, title in _TITLES.items():
            told = [form.describe() for form in self.forms if form.kind == kind]
            lines += [f"{title}: {listed(told, MOST)}"] if told else []
        if self.time is not None:
            window = f", an example is a row and {(self.window or 1) - 1} before it"
            alone = "" if self.time in self.inputs else f"; {self.time} tells the order alone"
            lines.append(f"in order of {self.time}{window if self.window else ''}{alone}")
        numbers = (len(self.feature_names), "feature"), (len(self.inputs), "input")
        features, inputs = (f"{n} {word}{'' if n == 1 else 's'}" for n, word in numbers)
        return [*lines, f"{features} of {inputs}"]

    def as_json(self) -> dict[str, Any]:
        """Content of a JSON object from which `from_json` makes the same preparation.

        It tells what cells stand for a missing value as well, for those who read a table without
        fewstep.
        """
        forms = [{"kind": form.kind, **asdict(form)} for form in self.forms]
        return {**asdict(self), "forms": forms, "missing_marks": list(MISSING_MARKS)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "TablePreparation":
        """Preparation that `as_json` told of."""
        forms = []
        for told in content["forms"]:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in told.items()
            }
            if "scaling" in values:
                values["scaling"] = Scaling(**values["scaling"])
            forms.append(FORMS[values.pop("kind")](**values))
        settings = {name: value for name, value in content.items() if name != "missing_marks"}
        settings |= {"forms": tuple(forms), "classes": tuple(content["classes"])}
        marks = tuple((name, mark) for name, mark in content.get("decimal_marks", ()))
        return cls(**settings | {"decimal_marks": marks})
