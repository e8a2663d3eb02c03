"""What becomes of one column of a table: features of it, always in the same way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.data.table_columns import Floats, as_numbers, as_texts

MAX_LEVELS = 50  # of a category; rarer ones are "other"
OTHER = "other"
MISSING = "missing"
Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NumberColumn:
    """Numbers, standardised by the training rows; missing ones are the median.

    Attributes:
        name: Of the column.
        mean: Of the training rows.
        scale: Standard deviation of the training rows, 1 where they are all the same.
        fill: What a missing number becomes: the median.
        lacks: Whether training rows lacked it; then a second feature tells of that.
    """

    name: str
    mean: float
    scale: float
    fill: float
    lacks: bool

    @classmethod
    def fit(cls, column: Any) -> "NumberColumn":
        """Form of a column of training rows."""
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import StandardScaler

        values = as_numbers(column)[:, None]
        imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(values)
        scaler = StandardScaler().fit(imputer.transform(values))
        return cls(
            str(column.name),
            float(scaler.mean_[0]),
            float(scaler.scale_[0]),
            float(imputer.statistics_[0]),
            bool(np.isnan(values).any()),
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return (self.name, f"{self.name} {MISSING}") if self.lacks else (self.name,)

    def features(self, column: Any) -> Features:
        """Features ``[rows, features]`` of a column."""
        values: Floats = as_numbers(column)
        lacking = np.isnan(values)
        scaled = (np.where(lacking, self.fill, values) - self.mean) / self.scale
        found = np.stack([scaled, lacking] if self.lacks else [scaled], 1)
        return found.astype(np.float32)


@dataclass(frozen=True)
class CategoryColumn:
    """Categories, a feature each, and one for all others.

    Attributes:
        name: Of the column.
        levels: The categories that have a feature of their own.
        lacks: Whether training rows lacked it; then that is a category too.
    """

    name: str
    levels: tuple[str, ...]
    lacks: bool

    @classmethod
    def fit(cls, column: Any) -> "CategoryColumn":
        """Form of a column of training rows."""
        from sklearn.preprocessing import OneHotEncoder

        texts = as_texts(column)
        known = np.array([text is not None for text in texts], bool)
        encoder = OneHotEncoder(max_categories=MAX_LEVELS, handle_unknown="infrequent_if_exist")
        encoder.fit(texts[known][:, None])
        rare = encoder.infrequent_categories_[0]
        rare = set() if rare is None else set(rare)
        levels = tuple(str(level) for level in encoder.categories_[0] if level not in rare)
        return cls(str(column.name), levels, not bool(known.all()))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        missing = (MISSING,) if self.lacks else ()
        return tuple(f"{self.name}={level}" for level in (*self.levels, *missing, OTHER))

    def features(self, column: Any) -> Features:
        """Features ``[rows, levels]`` of a column, a single 1 in each row."""
        places = {level: place for place, level in enumerate(self.levels)}
        size = len(self.feature_names)
        if self.lacks:
            places[None] = size - 2  # type: ignore[index]
        texts = as_texts(column)
        found = np.zeros((len(texts), size), np.float32)
        found[np.arange(len(texts)), [places.get(text, size - 1) for text in texts]] = 1
        return found


Form = NumberColumn | CategoryColumn
