"""Learners whose outer steps are computed by the recorded executor."""

from fewstep.errors import UnsuitableError
from fewstep.execution.plan import Planner
from fewstep.execution.recordings import WORTH_RECORDING, Recordings


class Recorded:
    """Computes outer steps of a learner on any device, without a compiler unless asked for.

    `UnsuitableError` where one was not recorded.
    """

    def __init__(self, learner, compiled=False, recorded=False, execution="auto"):
        self.learner = learner
        self.recordings = Recordings(compiled, recorded, WORTH_RECORDING)
        self.planner = Planner(execution)
        self.planner.recordings = self.recordings

    def __call__(self, tasks, outer_step=0):
        learner = self.learner
        before, learner._planner = learner._planner, self.planner
        try:
            found = learner.differentiate(tasks, outer_step)
        finally:
            learner._planner = before
        for reason in self.planner._told:
            raise UnsuitableError(reason)
        assert len(self.recordings) > 0
        return found
