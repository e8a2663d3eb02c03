"""Rows of the table of results are trained in several calls, packed in between."""

import json
import tarfile
import time

from benchmarks.clock import Clock
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import accuracy
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.rows import References

SUMMARY = {
    "training_seconds": 2.0,
    "norms": {"transductive": {"accuracy": {"mean": {"0": 0.2, "1": 0.9}}}},
}


def test_what_was_packed_goes_on_until_it_is_done(tmp_path, monkeypatch, capsys):
    calls = []

    def train(cell, run, seconds, flags):
        calls.append((cell, seconds, flags))
        run.mkdir(exist_ok=True)
        (run / "tensorboard").mkdir(exist_ok=True)
        with (run / "metrics.jsonl").open("a") as file:
            done = len(calls)
            file.write(json.dumps({"step": 10 * done, "val/score": done / 10}) + "\n")
        if len(calls) == 2:
            (run / "summary.json").write_text(json.dumps(SUMMARY))

    monkeypatch.setattr(accuracy, "train", train)
    cells = ["--cells", "omniglot-20way-1shot/maml++", "--", "--steps", "3"]
    first, second = tmp_path / "first", tmp_path / "second"
    told = accuracy.main([str(first), "60", *cells])
    assert told == {"omniglot-20way-1shot/maml++": {"outer_steps": 10, "best_validation": 0.1}}
    (cell, seconds, flags) = calls[0]
    assert cell == "omniglot-20way-1shot/maml++"
    assert 0 < seconds <= 60 - accuracy.STOPPING
    assert flags == ["--device", "cuda", "--steps", "3"]
    name = "omniglot-20way-1shot-maml-plus-plus"
    assert [path.name for path in first.iterdir()] == [f"{name}.tar.gz"]
    with tarfile.open(first / f"{name}.tar.gz") as archive:
        assert archive.getnames() == [f"{name}/metrics.jsonl"]
    told = accuracy.main([str(second), "60", "--go-on", str(first), *cells])
    expected = {"outer_steps": 20, "best_validation": 0.2, "seconds": 2.0}
    assert told["omniglot-20way-1shot/maml++"] == {**expected, "accuracy": {"transductive": 0.9}}
    again = accuracy.main([str(second), "60", *cells])
    assert again == told
    assert len(calls) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == told


def test_no_training_begins_where_the_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "train", None)
    told = accuracy.main([str(tmp_path), "60", "--began", str(time.time() - 50)])
    assert list(told) == list(accuracy.CELLS)
    assert all(of == {"outer_steps": 0} for of in told.values())
    assert not list(tmp_path.iterdir())


def test_the_part_accuracy_has_all_the_time_that_is_left(tmp_path):
    references = References(tmp_path, Clock(100.0))
    (job,) = gpu.jobs(["accuracy:packed"], Findings(tmp_path, "cpu"), references, tmp_path)
    assert job.limit == 100.0
    given = job._program.alone.split()
    assert given[1:4] == ["benchmarks.gpu.accuracy", str(tmp_path), "100"]
    assert given[given.index("--go-on") + 1] == "packed"
    assert abs(float(given[given.index("--began") + 1]) - time.time()) < 5
    assert given[given.index("--") + 1 :] == list(accuracy.SMALL)
