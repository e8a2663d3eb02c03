"""Model-Agnostic Meta-Learning: learn an initialisation that adapts in a few gradient steps."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewstep.distributed.parallel import Parallel
    from fewstep.errors import InputError
    from fewstep.evaluation.evaluate import evaluate
    from fewstep.learners.gradient_report import GradientReport, check_gradient
    from fewstep.learners.imaml import ImplicitMAML
    from fewstep.learners.maml import MAML
    from fewstep.learners.protomaml import ProtoMAML
    from fewstep.learners.protonet import ProtoNet
    from fewstep.learners.reptile import Reptile
    from fewstep.runtime.startup import keep_memory
    from fewstep.tasks import TaskBatch
    from fewstep.training.fit import fit
    from fewstep.training.load import load

__version__ = "0.1.0"
__all__ = [
    "MAML",
    "GradientReport",
    "ImplicitMAML",
    "InputError",
    "Parallel",
    "ProtoMAML",
    "ProtoNet",
    "Reptile",
    "TaskBatch",
    "__version__",
    "check_gradient",
    "evaluate",
    "fit",
    "keep_memory",
    "load",
]

_HOMES = {
    "MAML": "fewstep.learners.maml",
    "ImplicitMAML": "fewstep.learners.imaml",
    "GradientReport": "fewstep.learners.gradient_report",
    "Parallel": "fewstep.distributed.parallel",
    "ProtoMAML": "fewstep.learners.protomaml",
    "ProtoNet": "fewstep.learners.protonet",
    "Reptile": "fewstep.learners.reptile",
    "TaskBatch": "fewstep.tasks",
    "InputError": "fewstep.errors",
    "evaluate": "fewstep.evaluation.evaluate",
    "fit": "fewstep.training.fit",
    "load": "fewstep.training.load",
    "check_gradient": "fewstep.learners.gradient_report",
    "keep_memory": "fewstep.runtime.startup",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: PyTorch takes seconds to import, and the command line's help needs none.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fewstep' has no attribute {name!r}")
