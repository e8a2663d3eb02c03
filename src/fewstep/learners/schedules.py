"""Settings that change from outer step to outer step, as pure functions of its number."""

import math

from fewstep.metagrad.unroll import last_only

FLOOR = 0.03  # the share of a loss's first importance that is left until the annealing ends


def importances(steps: int, outer_step: int, annealed_over: float) -> tuple[float, ...]:
    """How much the query loss after 0, 1, ..., steps inner steps counts (MAML++, section 4.1).

    All but the first count the same in the beginning, and lose evenly to the last until, after
    ``annealed_over`` outer steps, it counts alone.
    """
    if outer_step >= annealed_over or steps < 2:
        return last_only(steps)
    other = max(1 - outer_step / annealed_over, FLOOR) / steps
    return (0.0, *[other] * (steps - 1), 1 - (steps - 1) * other)


def cosine(first: float, last: float | None, step: int, steps: int) -> float:
    """Half a cosine (Loshchilov and Hutter 2017, equation 5); constant where ``last`` is None."""
    if last is None:
        return first
    return last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
