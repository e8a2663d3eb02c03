"""Scale of a column's numbers, fitted on training rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.kinds import Floats
from fewstep.data.columns.naming import row_name
from fewstep.errors import InputError

FAR = 10  # standard deviations from the mean that are hardly of the same unit
LARGEST = 1e30  # beyond it float32 would soon be infinite
Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """Mean 0 and standard deviation 1 in the training rows; a missing number is the median.

    Attributes:
        mean: Of the training rows.
        scale: Standard deviation of the training rows, 1 where they are all the same.
        fill: What a missing number becomes.
        low: Smallest of the training rows.
        high: Largest of the training rows.
        missing: How many training rows lacked it.
    """

    mean: float
    scale: float
    fill: float
    low: float
    high: float
    missing: int

    @classmethod
    def fit(cls, values: Floats, name: str) -> "Scaling":
        """Scale of the numbers ``[rows]`` of a column, NaN where they are missing."""
        from sklearn.preprocessing import StandardScaler

        known = values[~np.isnan(values)]
        if not len(known):
            raise InputError(f"column {name!r} is empty in all training rows; leave it out")
        if np.abs(known).max() > LARGEST:
            raise InputError(
                f"column {name!r} holds {known[np.abs(known).argmax()]:g}, too large to be "
                "standardised; correct it, or use its logarithm"
            )
        scaler = StandardScaler().fit(known[:, None])
        mean, scale = float(scaler.mean_[0]), float(scaler.scale_[0])
        # That of scikit-learn's imputer, which takes a hundred times as long for it.
        fill, missing = float(np.median(known)), len(values) - len(known)
        return cls(mean, scale, fill, float(known.min()), float(known.max()), missing)

    def features(self, values: Floats) -> Features:
        """Features ``[rows, 1]``, or ``[rows, 2]`` where training rows lacked some."""
        lacking = np.isnan(values)
        scaled = (np.where(lacking, self.fill, values) - self.mean) / self.scale
        scaled = scaled.clip(-LARGEST, LARGEST)
        found = np.stack([scaled, lacking] if self.missing else [scaled], 1)
        return found.astype(np.float32)

    def far(self, values: Floats) -> npt.NDArray[np.intp]:
        """Places of numbers far from those of the training rows."""
        outside = (values < self.low) | (values > self.high)
        return np.flatnonzero(outside & (np.abs(values - self.mean) > FAR * self.scale))


def far_lines(name: str, values: Floats, scaling: Scaling, frame: Any) -> list[str]:
    """A line where numbers ``[rows]`` of a column are far from the training rows, or none."""
    far = scaling.far(values)
    if not len(far):
        return []
    first, more = far[0], f" (and in {len(far) - 1:,} more rows)" if len(far) > 1 else ""
    distance = abs(values[first] - scaling.mean) / scaling.scale
    return [
        f"column {name!r}, {row_name(frame, int(first))}: {values[first]:.6g} is "
        f"{distance:,.4g} standard deviations from the mean of the training rows, "
        f"{scaling.mean:.4g}{more}; is it in another unit?"
    ]
