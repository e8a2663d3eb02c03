"""Features that a column of a table becomes, fitted on training rows."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.dates import as_days, date_format, in_words, is_ambiguous
from fewstep.data.columns.kinds import MAX_LEVELS, as_booleans, as_codes, as_codes_of, as_numbers
from fewstep.data.columns.naming import row_names, shown
from fewstep.data.columns.scaling import FAR, Features, Scaling, far_lines
from fewstep.errors import InputError

OTHER, MISSING = "other", "missing"
YEAR, DAY = 365.2425, 1.0  # in days
CYCLES = 4  # different months or hours from which the time of the year or the day counts


@dataclass(frozen=True)
class NumberColumn:
    """Numbers, standardised by the training rows; missing ones are the median.

    Attributes:
        name: Of the column.
        scaling: Of its numbers.
    """

    kind: ClassVar[str] = "number"
    name: str
    scaling: Scaling

    @classmethod
    def fit(cls, frame: Any, name: str) -> "NumberColumn":
        """Form of a column of the training rows."""
        return cls(name, Scaling.fit(as_numbers(frame, name), name))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return (self.name, *((f"{self.name} {MISSING}",) if self.scaling.missing else ()))

    def features(self, frame: Any) -> Features:
        """Features ``[rows, features]``: the number, and whether it is missing."""
        return self.scaling.features(as_numbers(frame, self.name))

    def warnings(self, frame: Any) -> list[str]:
        """Lines on rows that are unlike the training rows."""
        values = as_numbers(frame, self.name)
        lacking = _on_missing(self.name, values, self.scaling.missing, "their median", frame)
        return [*lacking, *far_lines(self.name, values, self.scaling, frame)]

    def describe(self) -> str:
        """The column in a few words."""
        return self.name + _lacking(self.scaling.missing)


@dataclass(frozen=True)
class BooleanColumn:
    """Yes or no, as 1 or 0; missing ones are what most are.

    Attributes:
        name: Of the column.
        fill: What a missing one becomes.
        missing: How many training rows lacked it; if any, a second feature tells of that.
    """

    kind: ClassVar[str] = "boolean"
    name: str
    fill: float
    missing: int

    @classmethod
    def fit(cls, frame: Any, name: str) -> "BooleanColumn":
        """Form of a column of the training rows."""
        values = as_booleans(frame, name)
        known = values[~np.isnan(values)]
        return cls(name, float(known.mean() > 0.5) if len(known) else 0.0, len(values) - len(known))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return (self.name, *((f"{self.name} {MISSING}",) if self.missing else ()))

    def features(self, frame: Any) -> Features:
        """Features ``[rows, features]``: 0 or 1, and whether it is missing."""
        values = as_booleans(frame, self.name)
        lacking = np.isnan(values)
        found = [np.where(lacking, self.fill, values), *([lacking] if self.missing else [])]
        return np.stack(found, 1).astype(np.float32)

    def warnings(self, frame: Any) -> list[str]:
        """Lines on rows that are unlike the training rows."""
        values = as_booleans(frame, self.name)
        return _on_missing(self.name, values, self.missing, "what most are", frame)

    def describe(self) -> str:
        """The column in a few words."""
        return self.name + _lacking(self.missing)


@dataclass(frozen=True)
class DateColumn:
    """Dates, as days since the first training row and as the time of the year and of the day.

    Attributes:
        name: Of the column.
        written: How texts are dates, as `datetime.strptime` takes it; or ``"ISO8601"``.
        ambiguous: Whether day and month could change places in all training rows.
        first: Of the training rows, in days since 1970.
        scaling: Of the days since then.
        periods: In days: a sine and a cosine for each.
    """

    kind: ClassVar[str] = "date"
    name: str
    written: str
    ambiguous: bool
    first: float
    scaling: Scaling
    periods: tuple[float, ...]

    @classmethod
    def fit(cls, frame: Any, name: str) -> "DateColumn":
        """Form of a column of the training rows."""
        texts = as_codes(frame[name])[1]
        written = date_format(texts) or "ISO8601"
        days = as_days(frame, name, written)
        known = days[~np.isnan(days)]
        first = float(known.min())
        months = {int(phase * 12) for phase in known / YEAR % 1}
        hours = {int(phase * 24) for phase in known % 1}
        whole_year = np.ptp(known) >= YEAR and len(months) >= CYCLES
        periods = ((YEAR,) if whole_year else ()) + ((DAY,) if len(hours) >= CYCLES else ())
        ambiguous = is_ambiguous(texts, written)
        return cls(name, written, ambiguous, first, Scaling.fit(days - first, name), periods)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        of = {YEAR: "time of year", DAY: "time of day"}
        return (
            f"{self.name} in days",
            *((f"{self.name} {MISSING}",) if self.scaling.missing else ()),
            *(f"{self.name} {of[p]} {wave}" for p in self.periods for wave in ("sine", "cosine")),
        )

    def features(self, frame: Any) -> Features:
        """Features ``[rows, features]``: days, whether it is missing, and the waves."""
        days = as_days(frame, self.name, self.written)
        parts = [self.scaling.features(days - self.first)]
        for period in self.periods:
            angle = 2 * np.pi * (days / period % 1)
            waves = np.stack([np.sin(angle), np.cos(angle)], 1)
            parts.append(np.nan_to_num(waves).astype(np.float32))
        return np.concatenate(parts, 1)

    def warnings(self, frame: Any) -> list[str]:
        """Lines on rows that are unlike the training rows."""
        days = as_days(frame, self.name, self.written)
        found = _on_missing(self.name, days, self.scaling.missing, "their median", frame)
        far = self.scaling.far(days - self.first)
        if len(far):
            found.append(
                f"column {self.name!r}, {row_names(frame, far)}: more than {FAR} standard "
                "deviations from the dates of the training rows"
            )
        return found

    def describe(self) -> str:
        """The column in a few words."""
        unsure = ", or the other way round?" if self.ambiguous else ""
        return f"{self.name} ({in_words(self.written)}{unsure}){_lacking(self.scaling.missing)}"


@dataclass(frozen=True)
class CategoryColumn:
    """Categories, a feature each, and one for all others.

    Attributes:
        name: Of the column.
        levels: The categories that have a feature of their own.
        rare: How many of the training rows have no such feature.
        missing: How many training rows lacked it; if any, that is a category too.
    """

    kind: ClassVar[str] = "category"
    name: str
    levels: tuple[str, ...]
    rare: int
    missing: int

    @classmethod
    def fit(cls, frame: Any, name: str) -> "CategoryColumn":
        """Form of a column of the training rows."""
        from sklearn.preprocessing import OneHotEncoder

        codes, texts = as_codes(frame[name])
        known = codes[codes >= 0]
        if not len(known):
            raise InputError(f"column {name!r} is empty in all training rows; leave it out")
        encoder = OneHotEncoder(max_categories=MAX_LEVELS, handle_unknown="infrequent_if_exist")
        # Numbers are much faster to encode than the texts that they stand for.
        encoder.fit(known[:, None])
        few = encoder.infrequent_categories_[0]
        rare = {int(code) for code in few} if few is not None else set()
        levels = sorted(texts[code] for code in encoder.categories_[0] if code not in rare)
        count = int(np.isin(known, [*rare]).sum())
        return cls(name, tuple(levels), count, len(codes) - len(known))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        missing = (MISSING,) if self.missing else ()
        return tuple(f"{self.name}={level}" for level in (*self.levels, *missing, OTHER))

    def features(self, frame: Any) -> Features:
        """Features ``[rows, levels]``, a single 1 in each row."""
        codes, texts = as_codes_of(frame[self.name], self.levels)
        places = {level: place for place, level in enumerate(self.levels)}
        size = len(self.feature_names)
        other, lacking = size - 1, size - 2 if self.missing else size - 1
        taken = np.array([*(places.get(text, other) for text in texts), lacking])[codes]
        found = np.zeros((len(codes), size), np.float32)
        found[np.arange(len(codes)), taken] = 1
        return found

    def warnings(self, frame: Any) -> list[str]:
        """Lines on categories that no training row has."""
        codes, texts = as_codes_of(frame[self.name], self.levels)
        values = np.where(codes < 0, np.nan, codes)
        found = _on_missing(self.name, values, self.missing, repr(OTHER), frame)
        new = [] if self.rare else [n for n, text in enumerate(texts) if text not in self.levels]
        for number in new[:3]:
            rows = np.flatnonzero(codes == number)
            more = f" (nor are {len(new) - 3} more)" if len(new) > 3 and number == new[2] else ""
            found.append(
                f"column {self.name!r}, {row_names(frame, rows)}: {shown(texts[number])} is no "
                f"category of the training rows{more}; taken as {OTHER!r}"
            )
        return found

    def describe(self) -> str:
        """The column in a few words."""
        rare = f", {self.rare:,} rows in others" if self.rare else ""
        return f"{self.name} ({len(self.levels)}{rare}){_lacking(self.missing)}"


Form = NumberColumn | BooleanColumn | DateColumn | CategoryColumn
FORMS: dict[str, type[Form]] = {
    form.kind: form for form in (NumberColumn, BooleanColumn, DateColumn, CategoryColumn)
}


def _lacking(missing: int) -> str:
    return f" ({missing:,} missing)" if missing else ""


def _on_missing(
    name: str, values: npt.NDArray[Any], known: int, fill: str, frame: Any
) -> list[str]:
    lacking = np.flatnonzero(np.isnan(values))
    if known or not len(lacking):
        return []
    return [
        f"column {name!r}, {row_names(frame, lacking)}: missing, as in no training row; taken as "
        f"{fill}"
    ]
