"""Adaptation in onnxruntime beside PyTorch's own: Conv-4, 5-way 1-shot, 5 steps, on one core.

Run on an idle machine: ``python -m benchmarks.export``.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from fewstep import MAML
from fewstep.export import to_onnx
from fewstep.models import conv4

STEPS, ROUNDS = 5, 15
NETWORKS = {
    "Omniglot, 64 filters, strides": ((1, 28, 28), {"filters": 64}),
    "mini-ImageNet, 32 filters, max-pool": (
        (3, 84, 84),
        {"filters": 32, "downsample": "max-pool"},
    ),
}


def main() -> None:
    """Print the median of each, in turn, and the sizes of the files."""
    torch.set_num_threads(1)
    for name, (shape, settings) in NETWORKS.items():
        torch.manual_seed(0)
        learner = MAML(conv4(shape[0], shape[1], 5, **settings), 0.01, STEPS, norm="inductive")
        x, y, query = torch.rand(5, *shape), torch.arange(5), torch.rand(75, *shape)
        with tempfile.TemporaryDirectory() as folder:
            files = to_onnx(learner, f"{folder}/task.onnx", x=x, y=y)
            bytes_of = {path.stem: path.stat().st_size for path in files}
            adapt = partial(_in_onnxruntime(folder), x.numpy(), y.numpy(), query.numpy())
            own = partial(_in_pytorch, learner, x, y, query)
            times: dict[str, list[float]] = {"PyTorch": [], "onnxruntime": []}
            for _ in range(ROUNDS):
                times["PyTorch"].append(_seconds(own))
                times["onnxruntime"].append(_seconds(adapt))
            apart = np.abs(adapt() - own()).max() / np.abs(own()).max()
        one, other = (np.median(rows) for rows in times.values())
        print(name)
        print(f"  PyTorch {1e3 * one:.1f} ms, onnxruntime {1e3 * other:.1f} ms: {other / one:.2f}")
        print(f"  files: {', '.join(f'{n} {b / 1000:,.0f} kB' for n, b in bytes_of.items())}")
        print(f"  outputs apart by {apart:.1e} of the largest")


def _seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _in_pytorch(learner, x, y, query):
    with torch.no_grad():
        return learner.adapt(x, y, steps=STEPS)(query).numpy()


def _in_onnxruntime(folder):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    parts = {
        path.stem.removeprefix("task-"): onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        for path in Path(folder).glob("*.onnx")
    }

    def run(part, state):
        names = [output.name.removeprefix("next.") for output in parts[part].get_outputs()]
        given = {one.name: state[one.name] for one in parts[part].get_inputs()}
        return dict(zip(names, parts[part].run(None, given), strict=True))

    def adapt(x, y, query):
        state = {"support_x": x, "support_y": y, "x": query}
        state |= run("start", state)
        for _ in range(STEPS):
            state |= run("step", state)
        return run("predict", state | run("statistics", state))["outputs"]

    return adapt


if __name__ == "__main__":
    main()
