"""Learners whose outer steps are computed by the recorded executor."""

from fewstep.execution.captured import Captured
from fewstep.execution.recordings import Recordings
from fewstep.learners.heads import share_rows
from fewstep.metagrad.objective import Traceable
from fewstep.runtime.compile_cache import CompiledFunctions
from fewstep.runtime.modes import exclusive


class Recorded:
    """Computes outer steps of a learner on any device, without a compiler unless asked for."""

    def __init__(self, learner, compiled=False, recorded=False):
        self.learner = learner
        self.recordings = Recordings(compiled, recorded)

    def __call__(self, tasks, outer_step=0):
        learner = self.learner
        with exclusive():
            objective, traits = learner.objective(tasks, learner.norm, training=True)
            pure = learner._pure("own", traits)
            traceable = Traceable(
                CompiledFunctions(),
                pure,
                learner.loss,
                learner.precision,
                learner.norm == "transductive",
            )
            executor = Captured(objective, traceable, self.recordings, len(tasks))
            found = executor.meta_gradient(tasks, learner._gradient(outer_step))
            # The learner itself makes the gradient that of rows which are one.
            rows = getattr(learner, "_shared_rows", list)()
            return found._replace(gradient=share_rows(found.gradient, rows))
