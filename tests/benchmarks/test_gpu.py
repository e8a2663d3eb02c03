"""The script of a GPU: late and failing jobs stop no other, and what is known is kept."""

import json
import threading
import time

import torch

from benchmarks.clock import Clock
from benchmarks.gpu.commands import Command, Program, results_of_tests, told_in_json
from benchmarks.gpu.docs import filled
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.report import beside, completed, page, summary
from benchmarks.gpu.schedule import run
from benchmarks.libraries import PEERS, by_fewstep
from benchmarks.workloads import WORKLOADS
from tests.plain import deviation


class Fake:
    """A job that takes some seconds beside others, and alone."""

    def __init__(self, name, told, beside=0.0, alone=0.0, limit=0.2, error=None):
        self.name, self.told, self.limit = name, told, limit
        self._beside, self._alone, self._error = beside, alone, error
        self._over = threading.Event()

    def prepare(self):
        self._over.wait(self._beside)
        if self._error:
            raise self._error

    def alone(self):
        self.told.append((self.name, "begins"))
        if not self._over.wait(self._alone):
            self.told.append((self.name, "ends"))

    def signal(self, what):
        self.told.append((self.name, what.name))

    def stop(self):
        self._over.set()
        self.told.append((self.name, "stopped"))

    def failed(self, why):
        self.told.append((self.name, why))


def test_one_after_another_and_nothing_beside(capsys):
    told = []
    jobs = [
        Fake("one", told, alone=0.05),
        Fake("never ready", told, beside=60),
        Fake("fails", told, error=ValueError("first\nsecond")),
        Fake("late", told, alone=60),
        Fake("two", told, alone=0.05),
    ]
    began = time.monotonic()
    run(jobs, Clock(2.0), at_once=5)
    assert time.monotonic() - began < 30
    assert told == [
        ("fails", "ValueError: first"),
        ("never ready", "SIGSTOP"),
        ("one", "begins"),
        ("one", "ends"),
        ("one", "stopped"),
        ("fails", "stopped"),
        ("late", "begins"),
        ("late", "not done after 0 s alone"),
        ("late", "stopped"),
        ("two", "begins"),
        ("two", "ends"),
        ("two", "stopped"),
        ("never ready", "SIGCONT"),
        *[("never ready", "SIGSTOP"), ("never ready", "SIGCONT")] * 2,
        ("never ready", "not ready in time"),
        ("never ready", "stopped"),
    ]


def test_a_program_is_run_beside_others_and_alone(tmp_path):
    findings = Findings(tmp_path, "cpu")
    program = Program("-c 'print(1)'", '-c \'print(2); print("{"); print("}"); exit(3)\'')
    command = Command("it", program, findings, tmp_path / "all.txt")
    command.prepare()
    assert json.loads(findings.path.read_text())["parts"]["it"] == {"lines": ["1"], "status": 0}
    command.alone()
    assert findings.told["parts"]["it"] == {"told": {}, "lines": ["2"], "status": 3}
    assert [line for line in (tmp_path / "all.txt").read_text().split("\n") if line[:1].isdigit()]


def test_lines_of_tests_and_of_json():
    lines = [
        "[gw0] [ 50%] PASSED tests/a.py::test_one",
        "[gw1] [100%] FAILED tests/a.py::test_two[x]",
        "E   ValueError: no",
        "= 1 failed, 1 passed in 2s =",
    ]
    assert results_of_tests(lines) == {"passed": 1, "others": lines[1:3], "last": lines[3]}
    assert told_in_json(["a", "{", '"b": 1', "}"]) == {"told": {"b": 1}, "lines": ["a"]}
    assert told_in_json(["a", "{b"]) == {"lines": ["a", "{b"]}


def test_the_page_tells_the_ratio_and_what_was_not_compared(tmp_path):
    findings = Findings(tmp_path, "cpu")
    findings.row("W4", "higher", deviation=1e-15, ms=90.0, peak_mib=1.0, setup_seconds=0.0)
    findings.row("W4", "iteryne", deviation=1e-3)
    findings.row("W4", "fewstep", ms=10.0, failed="the profiler")
    findings.told["best_rate"] = 1e12
    findings.limit("W4", 10**9)
    rows = completed("W4", findings.told)
    assert list(rows) == ["fewstep", "higher", "iteryne"]
    assert rows["fewstep"]["share_of_limit"] == 0.1
    assert "higher, takes 9.0 times" in beside(rows)
    assert "was not compared" in beside(rows)
    findings.row("W4", "fewstep", deviation=1e-3)
    assert "is another by 1.0e-03" in beside(completed("W4", findings.told))
    findings.precision("W4", "tf32", deviation=1e-3, cosine=0.5)
    assert "| W4 | tf32 | 1.0e-03 | 0.50000 |  |" in page(findings.told)
    assert "iteryne | not timed: its gradient differs by 1.0e-03" in page(findings.told)
    assert "the profiler" in summary(findings.told)
    old = "a <!-- gpu -->\nb\n<!-- end --> c\n<!-- precision -->\n<!-- end -->\nd"
    page_of_docs = filled(old, findings.told)
    assert "| fastest exact library | 90.0 (higher) |\n| its time beside fewstep's | 9.0 |" in (
        page_of_docs
    )
    assert page_of_docs.startswith("a <!-- gpu -->\nno GPU")
    assert page_of_docs.endswith("|  |\n<!-- end -->\nd")
    assert filled(page_of_docs, findings.told) == page_of_docs


def test_the_plain_loop_has_the_same_gradient():
    workload = WORKLOADS["W4"]
    prepared = [PEERS["plain loop"], by_fewstep(execution="loop")]
    found = [
        prepare(workload, workload.build(torch.float64), workload.batch(torch.float64))()
        for prepare in prepared
    ]
    assert deviation(*found) < 1e-12
