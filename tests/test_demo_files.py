"""The demonstration on the site: its files are whole, and compute what the server does."""

import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from fewstep.data.preparation import Preparation
from fewstep.demo.starts import Start
from fewstep.learners.maml import MAML
from fewstep.models import conv4
from tests.demo.pictures import drawn
from website.demo_files import NEEDED, OWN, PAGE, sources

EDGE = Path(__file__).parents[1] / "examples/edge/edge.py"
HOW = Preparation(28, 1, ink=True)


def test_what_its_files_ask_for_is_there():
    found = sources({name: Path(name) for name in NEEDED})
    texts = [p.read_text() for n, p in found.items() if p.suffix in (".js", ".html")]
    pattern = r"""(?:from |import\(|own\(|src=|href=|fetch\()["'](?:\./)?([\w/.-]+\.\w+)["']"""
    asked = set(re.findall(pattern, "".join(texts))) - {"../index.html"}
    assert {
        "page.css",
        "pad.js",
        "worker.js",
        "weights/about.json",
        "runtime/ort.wasm.min.mjs",
    } < asked
    assert asked <= set(found)
    about = json.loads(found["weights/about.json"].read_text())
    parts = {
        f"weights/{file}-{part}.onnx"
        for file in about["files"]
        for part in ("start", "step", "statistics", "predict")
    }
    assert {name for name in found if name.endswith(".onnx")} == parts
    assert sum(found[name].stat().st_size for name in parts) < 1_000_000
    assert len(about["starts"]) == len(about["temperatures"]) == 3


def test_its_answers_are_those_of_the_server():
    """The exported start and step, against the learner that they are of."""
    adaptation = runpy.run_path(str(EDGE))["Adaptation"](OWN / "weights/meta-learned")
    about = adaptation.about
    start = onnx.load(OWN / "weights/meta-learned-start.onnx").graph.initializer
    held = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in start}
    model = conv4(channels=1, size=28, ways=5)
    parameters = {name: held[f"initial.{name}"] for name, _ in model.named_parameters()}
    model.load_state_dict(parameters, strict=False)
    learner = MAML(model, inner_lr=about["inner_lr"])
    learner.temperature = about["temperature"]
    support, query = [drawn(n) for n in range(5)], drawn(3, seed=1)
    expected = Start("", learner, HOW).answer(support, range(5), query)["steps"]
    x = np.stack([HOW(picture) for picture in support]).astype(np.float32) / 255
    for steps in (0, 1, 10):
        state = adaptation.adapt(x, np.arange(5), steps)
        outputs = adaptation.predict(state, HOW(query)[None].astype(np.float32) / 255)[0]
        powers = np.exp(outputs / about["temperature"])
        assert np.allclose(powers / powers.sum(), expected[steps], atol=1e-3), steps


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
@pytest.mark.parametrize("side", [128, 131])
def test_a_drawing_becomes_small_as_by_pillow(side, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    paper = np.full((side, side), 255, np.uint8)
    paper[20:-20, 20:-20] = pixels[20:-20, 20:-20]
    script = tmp_path / "small.mjs"
    script.write_text(
        f"import {{ smaller }} from {json.dumps((OWN / 'preparation.js').as_uri())};\n"
        f"console.log(JSON.stringify([...smaller({paper.ravel().tolist()}, {side}, 28)]));\n"
    )
    done = subprocess.run(["node", script], capture_output=True, text=True, check=True)
    expected = HOW(Image.fromarray(paper))[0]
    assert np.array_equal(255 - np.array(json.loads(done.stdout)).reshape(28, 28), expected)


STUBS = """
let worker, answered = { json: async () => (%s), blob: async () => null };
const problem = {};
Object.assign(globalThis, {
  fetch: async () => answered,
  Worker: class { constructor() { worker = this; } postMessage() {} },
  createImageBitmap: async () => ({ width: 28, height: 28 }),
  OffscreenCanvas: class {
    getImageData = () => ({ data: new Uint8ClampedArray(4 * 28 ** 2) });
    getContext = () => ({ drawImage() {}, getImageData: this.getImageData });
  },
  document: {
    createElement: () => ({ setAttribute() {}, append() {} }),
    querySelector: () => ({ prepend() {} }),
    getElementById: () => problem,
  },
});
"""


def in_node(tmp_path, about, rest):
    """Output of a script that finds the answerer of the page, in place of a browser."""
    for path in (OWN / "answerer.js", OWN / "preparation.js", PAGE / "pad.js"):
        shutil.copy(path, tmp_path)
    script = tmp_path / "script.mjs"
    script.write_text(STUBS % about + rest)
    return subprocess.run(["node", script], capture_output=True, text=True).stdout


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_a_runtime_that_is_missing_is_told_whenever_it_is_asked(tmp_path):
    """The thread fails while somebody draws, and no answer would come."""
    rest = """
const { answers } = await import("./answerer.js");
worker.onerror();
const answer = answers([["data:,"], ["data:,"]], "data:,").next();
await answer.catch((error) => console.log(error.message));
"""
    about = "{ size: 28, starts: [1] }"
    assert in_node(tmp_path, about, rest).startswith("This browser cannot run the networks, or")


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_weights_that_are_missing_are_told(tmp_path):
    rest = 'await import("./answerer.js").catch(() => console.log(problem.textContent));'
    told = in_node(tmp_path, "JSON.parse('<html>')", rest)
    assert told == "The networks could not be loaded. Try again later.\n"
