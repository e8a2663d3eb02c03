"""Whether something that was given is a learner."""

from typing import Any, cast

from fewstep.errors import InputError
from fewstep.learners.base import Learner


def is_learner(given: Any) -> bool:
    """Return whether it is one, of the library or of one's own, and no class of them."""
    needed = ("differentiate", "evaluate", "adapt")
    return not isinstance(given, type) and all(hasattr(given, name) for name in needed)


def check_learner(learner: Any) -> Learner:
    """Return the learner itself; `InputError` where it is none."""
    if is_learner(learner):
        return cast(Learner, learner)
    of_class = isinstance(learner, type)
    told = f"the class {learner.__name__}" if of_class else f"a {type(learner).__name__}"
    of_run = is_learner(getattr(learner, "learner", None))
    way = "run.learner" if of_run else "fewstep.MAML(model)"
    raise InputError(f"learner is {told}; expected a learner, as in {way}")
