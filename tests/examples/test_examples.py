"""The examples for small devices run where there are NumPy and onnxruntime, and no PyTorch."""

import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fewstep import MAML
from fewstep.data.columns.preparation import TablePreparation
from fewstep.export import to_onnx
from fewstep.models import mlp
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from tests.factory import cnn

EDGE = Path(__file__).parents[2] / "examples" / "edge"
PACKAGES = ["numpy", "onnxruntime", "flatbuffers", "protobuf", "packaging"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A folder that holds these packages alone."""
    folder = tmp_path_factory.mktemp("environment")
    for package in PACKAGES:
        for file in files(package):
            top = file.parts[0]
            whole = Path(file.locate()).parents[len(file.parts) - 1] / top
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(whole)
    return folder


def run(environment, script, *arguments):
    """The lines that a script prints, where there is that folder and the standard library."""
    code = (
        f"import sys, runpy; sys.path += [{str(environment)!r}, {str(EDGE)!r}]\n"
        "from importlib.util import find_spec; assert not find_spec('torch')\n"
        f"sys.argv = {[script, *map(str, arguments)]!r}\n"
        f"runpy.run_path({str(EDGE / script)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("script", ["edge.py", "table.py"])
def test_a_name_without_files_is_told(tmp_path, script):
    given = [sys.executable, str(EDGE / script), str(tmp_path / "exams"), "s.csv", "q.csv"]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"no {tmp_path / 'exams-predict.onnx'}; expected files of")
    assert done.stderr.count("\n") == 1


def test_pictures_of_new_classes(environment, tmp_path):
    torch.manual_seed(0)
    learner, x = MAML(cnn(), 0.3, 5), torch.randint(256, (6, 1, 4, 4), dtype=torch.uint8)
    labels = ["owl", "elk", "ant"] * 2
    to_onnx(learner, tmp_path / "animals.onnx", x=x / 255, y=torch.arange(6) % 3)
    np.savez(tmp_path / "support.npz", x=x.numpy(), y=labels)
    np.savez(tmp_path / "query.npz", x=x[:5].numpy())
    given = [tmp_path / name for name in ("animals", "support.npz", "query.npz")]
    found = run(environment, "edge.py", *given)
    assert found == adapt_classifier(learner, x / 255, labels).predict(x[:5] / 255)


def test_rows_of_a_table(environment, tmp_path):
    """Scaled and filled in as the training rows tell."""
    rows = pd.DataFrame(
        {
            "hours": [1.0, 2.5, None, 8.0, 3.0, 7.5, 5.0, 2.0],
            "tired": ["yes", "no", "no", None, "yes", "no", "yes", "no"],
            "diet": ["oats", "rye", None, "oats", "rye", "oats", "oats", "rye"],
            "score": [20.0, 31.0, 45.0, 80.0, 33.0, 71.0, 52.0, 28.0],
        }
    )
    how = TablePreparation.fit(rows, "score", ["diet", "hours", "tired"])
    torch.manual_seed(0)
    network = mlp(len(how.feature_names), (8,), 1, how.categories)
    learner = MAML(network, 0.1, 3, loss="mse")
    learner.preparation = how
    support, query = (
        rows[:5],
        rows[["tired", "hours", "diet"]].assign(diet=["new"] * 3 + ["rye"] * 5),
    )
    to_onnx(
        learner,
        tmp_path / "exams.onnx",
        x=torch.from_numpy(how.examples(support)),
        y=torch.from_numpy(how.targets(support)),
    )
    for name, frame in (("support", support), ("query", query)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    # Each missing cell by another mark.
    text = (tmp_path / "query.csv").read_text().splitlines()
    text[3], text[4] = "no,?,new", "--,8.0,rye"
    (tmp_path / "query.csv").write_text("\n".join(text))
    given = [tmp_path / name for name in ("exams", "support.csv", "query.csv")]
    found = [float(line) for line in run(environment, "table.py", *given)]
    adapted = adapt_regressor(learner, support, support.score)
    with pytest.warns(UserWarning, match="no category of the training rows"):
        expected = adapted.predict(query)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
