"""Model-Agnostic Meta-Learning: learn an initialisation that adapts in a few gradient steps.

Tasks:
    TaskBatch: The tasks of one outer step: support and query sets.

Learners, modules for the ordinary loop of PyTorch:
    MAML: Gradient steps from a learned initialisation; FOMAML, ANIL, BOIL, Meta-SGD and MAML++ by
        its settings.
    Reptile: Moves the initialisation to where training on each task leads.
    ImplicitMAML: Differentiates the end of the inner loop, whatever way led there.
    ProtoMAML: MAML from a last layer that is made of the prototypes of the classes.
    ProtoNet: The nearest prototype, without an inner loop.
    R2D2: Ridge regression on learned features, for tasks whose targets are numbers.
    FineTune: Ordinary training on all classes, then gradient steps; what the others have to beat.

Training and evaluation:
    fit: Meta-trains a learner, with validation, checkpoints and an early stop.
    evaluate: Mean and 95% interval of each metric after 0, 1, ... inner steps.
    load: A run directory, or the folder of an adapted model, read back.

Estimators of scikit-learn (where it is installed):
    FewShotClassifier: Adapts a learner to classes, and predicts them.
    FewShotRegressor: Adapts a learner to a function, and predicts it.

Checks and settings:
    check_gradient: Compares a meta-gradient with central differences.
    GradientReport: What it found, parameter by parameter.
    InputError: A mistake that the user can mend, told in one line.
    keep_memory: Makes training on a CPU faster, before PyTorch is imported.

Packages:
    models: Networks of the few-shot literature.
    data: Where tasks come from.
    functional: A module as a pure function of its tensors.
    export: Models and adaptation as files for other runtimes.
    report: Results of runs as a page.

>>> import torch, fewstep
>>> learner = fewstep.MAML(torch.nn.Linear(4, 3), inner_lr=0.1, inner_steps=2)
>>> optimizer = torch.optim.Adam(learner.parameters())
>>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
>>> tasks = fewstep.TaskBatch(x[:, :3], y[:, :3], x[:, 3:], y[:, 3:])
>>> loss = learner(tasks)
>>> loss.backward()
>>> optimizer.step()
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewstep import data as data
    from fewstep import export as export
    from fewstep import functional as functional
    from fewstep import models as models
    from fewstep import report as report
    from fewstep.errors import InputError as InputError
    from fewstep.evaluation.evaluate import evaluate as evaluate
    from fewstep.learners.finetune import FineTune as FineTune
    from fewstep.learners.gradient_report import GradientReport as GradientReport
    from fewstep.learners.gradient_report import check_gradient as check_gradient
    from fewstep.learners.imaml import ImplicitMAML as ImplicitMAML
    from fewstep.learners.maml import MAML as MAML
    from fewstep.learners.protomaml import ProtoMAML as ProtoMAML
    from fewstep.learners.protonet import ProtoNet as ProtoNet
    from fewstep.learners.r2d2 import R2D2 as R2D2
    from fewstep.learners.reptile import Reptile as Reptile
    from fewstep.predictors.estimators import FewShotClassifier as FewShotClassifier
    from fewstep.predictors.estimators import FewShotRegressor as FewShotRegressor
    from fewstep.runtime.startup import keep_memory as keep_memory
    from fewstep.tasks import TaskBatch as TaskBatch
    from fewstep.training.fit import fit as fit
    from fewstep.training.load import load as load

__version__ = "0.2.0"
_HOMES = {
    "TaskBatch": "fewstep.tasks",
    "MAML": "fewstep.learners.maml",
    "Reptile": "fewstep.learners.reptile",
    "ImplicitMAML": "fewstep.learners.imaml",
    "ProtoMAML": "fewstep.learners.protomaml",
    "ProtoNet": "fewstep.learners.protonet",
    "R2D2": "fewstep.learners.r2d2",
    "FineTune": "fewstep.learners.finetune",
    "fit": "fewstep.training.fit",
    "evaluate": "fewstep.evaluation.evaluate",
    "load": "fewstep.training.load",
    "FewShotClassifier": "fewstep.predictors.estimators",
    "FewShotRegressor": "fewstep.predictors.estimators",
    "check_gradient": "fewstep.learners.gradient_report",
    "GradientReport": "fewstep.learners.gradient_report",
    "InputError": "fewstep.errors",
    "keep_memory": "fewstep.runtime.startup",
}
_HIDDEN = [] if find_spec("sklearn") else ["FewShotClassifier", "FewShotRegressor"]
_PACKAGES = ["data", "export", "functional", "models", "report"]
__all__ = ["__version__", *_PACKAGES, *(n for n in _HOMES if n not in _HIDDEN)]


def __getattr__(name: str) -> Any:
    # Loaded on first use: PyTorch takes seconds to import, and the command line's help needs none.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return import_module(f"fewstep.{name}")
    raise AttributeError(f"module 'fewstep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
