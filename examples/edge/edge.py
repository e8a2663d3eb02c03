"""Learn a new task and predict, with onnxruntime and NumPy alone.

    fewstep export RUN --what adaptation --out owls.onnx      (where PyTorch is)
    python edge.py owls support.npz query.npz                 (where it is not)

support.npz holds x (examples as the network takes them, or pictures as bytes) and y (labels, or
numbers to predict); query.npz holds x.
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession


class Adaptation:
    """The files of an exported adaptation, by what was given to --out, without .onnx."""

    def __init__(self, name):
        places = {p: Path(f"{name}-{p}.onnx") for p in ("start", "step", "statistics", "predict")}
        self.parts = {p: InferenceSession(f) for p, f in places.items() if f.exists()}
        if "predict" not in self.parts:
            raise SystemExit(
                f"no {places['predict']}; expected files of fewstep export --what adaptation: give "
                "what was given to --out, without .onnx"
            )
        told = self.parts["predict"].get_modelmeta().custom_metadata_map
        self.about = {key: json.loads(text) for key, text in told.items()}

    def run(self, part, state):
        """What a part makes of the state, of which it takes what it needs."""
        session = self.parts[part]
        names = [output.name.removeprefix("next.") for output in session.get_outputs()]
        given = {one.name: state[one.name] for one in session.get_inputs()}
        return dict(zip(names, session.run(None, given), strict=True))

    def adapt(self, x, y, steps=None):
        """The state after some inner steps on a support set."""
        state = {"support_x": x, "support_y": y}
        state |= self.run("start", state)
        steps = self.about["inner_steps"] if steps is None else steps
        for step in range(steps):
            state |= self.run("step", {**state, "step": np.array(step)})
        state["step"] = np.array(steps)
        return state | (self.run("statistics", state) if "statistics" in self.parts else {})

    def predict(self, state, x):
        """The outputs for some examples."""
        return self.run("predict", {**state, "x": x})["outputs"]


def examples(x):
    """Examples as the network takes them; of bytes, pictures from 0 to 1."""
    return x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)


def main(name, support, query):
    """Adapt, and print a label, or a number, for each example of the query."""
    adaptation, taught = Adaptation(name), np.load(support)
    if adaptation.about["kind"] == "classification":
        classes, y = np.unique(taught["y"], return_inverse=True)
        state = adaptation.adapt(examples(taught["x"]), y.astype(np.int64))
        found = adaptation.predict(state, examples(np.load(query)["x"]))
        print(*classes[found.argmax(1)], sep="\n")
    else:
        state = adaptation.adapt(examples(taught["x"]), taught["y"].astype(np.float32))
        print(*adaptation.predict(state, examples(np.load(query)["x"]))[:, 0], sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
