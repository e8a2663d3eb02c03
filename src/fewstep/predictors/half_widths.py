"""The half width of a prediction's interval, as validation tasks tell it by support rows."""

from collections.abc import Mapping

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
