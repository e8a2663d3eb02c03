"""The paths of execution, and the comparison of each with a plain loop."""

import torch

from fewstep import MAML
from tests.factory import make_tasks
from tests.plain import deviation, plain_meta_gradient

LOOPS = {
    "loop": {"execution": "loop"},
    "flat": {"execution": "loop", "memory": "flat"},
    "auto": {},
}


VECTORISED = {
    "vectorised": {"execution": "vectorised"},
    "vectorised-flat": {"execution": "vectorised", "memory": "flat"},
}


PATHS = LOOPS | VECTORISED


TOLERANCE = 1e-6


def assert_as_plain(model, reference, tasks=None, paths=PATHS, call=None, **settings):
    """On every path, the gradient of a plain loop over the reference."""
    tasks = tasks or make_tasks()
    loss, expected = plain_meta_gradient(reference, tasks, 0.4, 2, call=call)
    for name in paths:
        torch.manual_seed(1)
        found_loss, found = MAML(model, 0.4, 2, **PATHS[name], **settings).meta_gradient(tasks)
        torch.testing.assert_close(found_loss, loss, rtol=1e-10, atol=0)
        assert deviation(found, expected) < 1e-10, name
