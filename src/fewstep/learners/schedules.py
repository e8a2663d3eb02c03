"""Settings that change from outer step to outer step, as pure functions of its number."""

import math

from fewstep.metagrad.unroll import last_only

FLOOR = 0.03
"""The share of a loss's first importance that is left until the annealing ends."""


def importances(steps: int, outer_step: int, annealed_over: int) -> tuple[float, ...]:
    """How much the query loss after 0, 1, ..., steps inner steps counts (MAML++, section 4.1).

    At first those after 1, 2, ..., steps count the same. Each but the last loses its importance to
    the last, evenly from outer step to outer step, and keeps 3% of it until the end: after
    ``annealed_over`` outer steps only the last loss counts.
    """
    if outer_step >= annealed_over or steps < 2:
        return last_only(steps)
    other = max(1 - outer_step / annealed_over, FLOOR) / steps
    return (0.0, *[other] * (steps - 1), 1 - (steps - 1) * other)


def cosine(first: float, last: float | None, step: int, steps: int) -> float:
    """From ``first`` in step 0 to ``last`` after ``steps`` steps along half a cosine.

    Loshchilov and Hutter 2017 (arXiv 1608.03983), equation 5, without restarts. Constant where
    ``last`` is None.
    """
    if last is None:
        return first
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
