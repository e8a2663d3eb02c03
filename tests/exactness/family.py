"""All that can be meta-learned, and every setting of the inner loop."""

import torch

from fewstep import MAML
from fewstep.models.context import WithContext
from tests.exactness.cases import CASES
from tests.exactness.optimizers import CLIPPED, FROM_START, KEPT_IN_PLACE, NESTEROV, RMSPROP

CASE = next(case for case in CASES if case.name == "batch-norm-2d")


PLUS = {
    "step_sizes": "per-step",
    "per_step_affine": True,
    "per_step_statistics": True,
    "multi_step_loss": 10,
}


FAMILY = {
    "anil": {"adapting": "head"},
    "boil": {"adapting": "body"},
    "meta-sgd": {"step_sizes": "per-element"},
    "step sizes per step": {"step_sizes": "per-step"},
    "multi-step loss": {"multi_step_loss": 10},
    "batch norm per step": {"per_step_affine": True},
    "statistics per step": {"per_step_statistics": True},
    "maml++": PLUS,
    "maml++, inductive": {**PLUS, "norm": "inductive"},
    "cavia": {"adapting": "context"},
    "momentum": {"inner_optimizer": "momentum"},
    "adam": {"inner_optimizer": "adam", "inner_lr": 0.02},
    "all at once": {**PLUS, "adapting": "body", "inner_optimizer": "adam", "inner_lr": 0.02},
    "momentum per element": {"step_sizes": "per-element", "inner_optimizer": "momentum"},
    "rmsprop": {"inner_optimizer": RMSPROP, "inner_lr": 0.02},
    "nesterov": {"inner_optimizer": NESTEROV},
    "kept in place": {"inner_optimizer": KEPT_IN_PLACE},
    "clipped": {**PLUS, "inner_optimizer": CLIPPED},
    "from start": {"inner_optimizer": FROM_START},
    "one row": {"head_rows": "shared"},
    "one row, anil": {"head_rows": "shared", "adapting": "head", "inner_optimizer": CLIPPED},
    "one row, meta-sgd": {"head_rows": "shared", "step_sizes": "per-element"},
    "one row, maml++": {**PLUS, "head_rows": "shared", "inner_optimizer": "momentum"},
}


STEPS, OUTER_STEP = 3, 2


def family_learner(name, **settings):
    settings = {"inner_lr": 0.2, **FAMILY[name], **settings}
    model = CASE.model()
    if settings.get("adapting") == "context":
        torch.manual_seed(4)
        model = WithContext(model, 3, "1", 4).double()
    learner = MAML(model, inner_steps=STEPS, **settings)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        # So that no step size and no step's batch norm is like another.
        for parameter in learner.parameters():
            noise = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.mul_(0.8 + 0.4 * noise).add_(0.01 * noise)
    return learner
