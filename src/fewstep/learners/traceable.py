"""The parts of a learner that a compiler, or a recording of outer steps, is given."""

from fewstep.choices import Norm
from fewstep.execution.compiled import Compiler
from fewstep.functional.held import TOO_MUCH, Held
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.traits import Traits
from fewstep.metagrad.metrics import ignored_label
from fewstep.metagrad.objective import Labels, Traceable
from fewstep.ops.fuse import has_blocks


def traceable_of(
    learner: GradientBased,
    compiler: Compiler | None,
    traits: Traits,
    norm: Norm,
    training: bool,
    held: Held,
) -> Traceable | None:
    """The parts of a learner's losses; None where nothing is compiled or recorded.

    Args:
        learner: The learner.
        compiler: Its compiler, if it has one; unless that has given up, nothing is recorded.
        traits: Of its model.
        norm: As for the objective.
        training: Whether for an outer step.
        held: What its code may read, where it is compiled or outer steps may be recorded.
    """
    loss, by_query = learner._loss_for(traits), norm == "transductive"
    if compiler is None or compiler.functions.given_up:
        if held is None:
            return None
        pure = learner._pure("own", traits)
        labels = None if traits.classes is None else Labels(traits.classes, ignored_label(loss))
        return Traceable(None, pure, loss, learner.precision, by_query, held, labels)
    on_cpu = next(learner.model.parameters()).device.type == "cpu"
    if on_cpu and learner.precision != "bf16" and has_blocks(learner.model):
        # Its blocks are computed faster by operations of their own.
        return None
    if not traits.vectorisable:
        compiler.functions.give_up("random layers are not compiled: they would draw once")
        return None
    held = held or []
    if held[-1:] == [TOO_MUCH]:
        reason = f"the code of the model or of the loss reads {TOO_MUCH}"
        compiler.functions.give_up(f"{reason}; computed without")
        return None
    by_query = by_query and not getattr(learner, "per_step_statistics", False)
    pure = learner._pure("own" if training else "evaluation", traits)
    return Traceable(compiler.functions, pure, loss, learner.precision, by_query, held)
