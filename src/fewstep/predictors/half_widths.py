"""The half width of a prediction's interval, as validation tasks tell it by support rows."""

from collections.abc import Mapping
from typing import Any

from fewstep.config.algorithms import steps_in_words
from fewstep.config.schema import Config


def half_width_of(
    measured: Mapping[int, float] | None, rows: int, steps: int, config: Config | None
) -> tuple[float | None, str]:
    """The half width for so many support rows, and a sentence where there is none.

    It is that of the nearest measured number of rows which is not larger: errors shrink with more
    rows, so the interval is too wide sooner than too narrow.

    Args:
        measured: Half widths by the number of support rows; None where nobody measured.
        rows: Of the support set.
        steps: Inner steps of the adaptation.
        config: Of the run, whose test took its own number of inner steps.

    >>> half_width_of({5: 2.0, 10: 1.5}, 7, 3, None)
    (2.0, '')
    >>> half_width_of({5: 2.0, 10: 1.5}, 4, 3, None)[1]
    'no interval: it was measured for 5 and more support rows, and there are 4'
    """
    if not measured:
        return None, ""
    if config is not None and steps != config.test_inner_steps:
        return None, (
            f"no interval: it was measured after {steps_in_words(None, config.test_inner_steps)}, "
            f"not {steps}"
        )
    fewer = [known for known in measured if known <= rows]
    if fewer:
        return measured[max(fewer)], ""
    return None, (
        f"no interval: it was measured for {min(measured)} and more support rows, and there are "
        f"{rows}"
    )


def held_of(about: Mapping[str, Any]) -> float | None:
    """Share of the rows of test tasks that the 95% interval of an adapted model held.

    It is that of the number of support rows whose half width the model has; None where it was not
    measured.

    >>> told = {"half_widths": {"5": 2.0}, "coverage": {"5": 0.85}, "protocol": {"shots": [7]}}
    >>> held_of(told), held_of({})
    (0.85, None)
    """
    rows = sum(about.get("protocol", {}).get("shots", ()))
    fewer = [int(known) for known in about.get("half_widths") or () if int(known) <= rows]
    return (about.get("coverage") or {}).get(str(max(fewer))) if fewer else None


def held_in_words(held: float | None) -> str:
    """The share behind the name of an interval, for people.

    >>> held_in_words(0.846)
    ' (held 85% on test tasks)'
    """
    return "" if held is None else f" (held {held:.0%} on test tasks)"
