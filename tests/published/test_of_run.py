"""The results of a run are those of its summary, and only of a row of the table."""

import json
from dataclasses import asdict

import pytest

from fewstep import InputError
from fewstep.config.budgets import PAPER
from fewstep.published.files import Cell, ResultFile, read_results
from fewstep.published.of_run import cell_config, results_of_run, settings_of
from fewstep.published.table import results_page
from scripts import results as script

CELL = Cell("omniglot-20way-1shot", "maml++", "paper")
NORMS = {
    norm: {"accuracy": {"mean": {"0": 0.05, "5": mean}, "ci95": {"0": 0.01, "5": 0.004}}}
    for norm, mean in (("transductive", 0.975), ("inductive", 0.96))
}
SUMMARY = {
    **{"norms": NORMS, "tasks": 600, "seed": 3, "outer_step": 40_000, "outer_steps": 50_000},
    **{"wall_seconds": 5025.0, "n_way": 20, "k_shot": 1, "q_query": 1, "split": "test"},
    "calibration": {norm: {"ece_before": 0.0123} for norm in NORMS},
    "versions": {"fewstep": "0.1.0", "torch": "2.13.0", "commit": "abcdef123456"},
    "trained_on": {"device": "cpu", "processor": "A Chip, AVX2", "ranks": 2, "threads": 1},
    "average": {
        **{"models": 5, "outer_steps": [40_000, 50_000, 45_000, 49_000, 48_000]},
        **{"norms": NORMS, "calibration_error": {"transductive": 0.01, "inductive": None}},
    },
}


@pytest.fixture
def run_dir(tmp_path):
    return written(tmp_path / "run")


def written(path, summary=SUMMARY, **changes):
    """A run directory, as far as results need one."""
    path.mkdir()
    config = asdict(cell_config(*CELL)) | {"seed": 3, "data_dir": "/somewhere"} | changes
    (path / "config.json").write_text(json.dumps(config))
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def test_each_norm_and_the_average_is_a_file(run_dir):
    found = results_of_run(run_dir)
    names = [one.file_name for one in found]
    start = "omniglot-20way-1shot-maml-plus-plus-paper-seed3"
    assert names == [
        f"{start}-transductive.json",
        f"{start}-inductive.json",
        f"{start}-transductive-average.json",
        f"{start}-inductive-average.json",
    ]
    one, _, average, last = found
    assert one.cell == CELL
    assert (one.models, average.models) == (1, 5)
    assert one.figure == (0.975, 0.004)
    assert (one.calibration_error, last.calibration_error) == (0.0123, None)
    assert average.kept_after == [40_000, 45_000, 48_000, 49_000, 50_000]
    assert one.device == "A Chip, 2 processes"
    assert (one.commit, "commit" in one.versions) == ("abcdef123456", False)
    assert one.command == (
        "fewstep train omniglot-20way-1shot --algorithm maml++ --budget paper --seed 3"
    )
    assert one.protocol == (
        "600 test tasks of classes never seen, 20-way 1-shot 1-query; mean ± 95% interval over "
        "tasks; transductive batch norm; one model, seed 3"
    )
    assert "mean of the logits of the 5 best checkpoints" in average.protocol
    # Of the settings alone: neither of the seed nor of where the data are.
    assert one.settings == settings_of(cell_config(*CELL))
    assert one.settings != settings_of(cell_config(*CELL[:2], "fast"))
    assert "/somewhere" not in json.dumps([one.as_json() for one in found])


def test_without_batch_norm_both_norms_have_one_result(tmp_path, monkeypatch):
    none = {"per_step_affine": False, "per_step_statistics": False}
    settings = {"model_norm": "group", "steps": 50_000} | none
    monkeypatch.setitem(PAPER[CELL.recipe], CELL.algorithm, settings)
    alone = {"transductive": NORMS["transductive"]}
    summary = SUMMARY | {"norms": alone, "average": SUMMARY["average"] | {"norms": alone}}
    found = results_of_run(written(tmp_path / "run", summary))
    assert [(one.norm, one.models) for one in found] == [
        *(("transductive", 1), ("inductive", 1)),
        *(("transductive", 5), ("inductive", 5)),
    ]
    assert {one.figure for one in found} == {(0.975, 0.004)}
    assert [one.calibration_error for one in found] == [0.0123, 0.0123, 0.01, 0.01]
    assert "over tasks; no batch norm, so both norms are one; one model" in found[1].protocol
    with pytest.raises(InputError, match="damaged"):
        results_of_run(written(tmp_path / "empty", SUMMARY | {"norms": {}}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"meta_batch": 4}, "was trained with meta_batch = 4, and omniglot-20way-1shot with budg"),
        ({"steps": 700}, "was trained with steps = 700, and omniglot-20way-1shot with budget pap"),
        ({"budget": None}, "is a run of omniglot-20way-1shot without a budget; the table has run"),
        ({"algorithm": "anil"}, "the table has no rows of anil"),
    ],
)
def test_runs_that_are_no_row(changes, told, tmp_path):
    with pytest.raises(InputError, match=told):
        results_of_run(written(tmp_path / "run", **changes))


def test_runs_whose_test_is_missing_or_other(tmp_path):
    few = written(tmp_path / "few", SUMMARY | {"tasks": 100})
    with pytest.raises(InputError, match="tested on 100 tasks; expected 600 at least"):
        results_of_run(few, 600)
    assert results_of_run(few)[0].tasks == 100
    early = {name: value for name, value in SUMMARY.items() if name != "outer_steps"}
    with pytest.raises(InputError, match="damaged or of an earlier version"):
        results_of_run(written(tmp_path / "early", early))
    partly = SUMMARY["average"] | {"calibration_error": {"transductive": 0.01}}
    with pytest.raises(InputError, match="damaged or of an earlier version"):
        results_of_run(written(tmp_path / "partly", SUMMARY | {"average": partly}))
    diverged = {norm: {"accuracy": {"mean": {"1": None}, "ci95": {"1": None}}} for norm in NORMS}
    with pytest.raises(InputError, match=r"None is no fraction"):
        results_of_run(written(tmp_path / "diverged", SUMMARY | {"norms": diverged}))
    with pytest.raises(InputError, match=r"has no row of both norms"):
        results_of_run(written(tmp_path / "empty", SUMMARY | {"norms": {}}))
    (few / "summary.json").unlink()
    with pytest.raises(InputError, match="has no test result yet; train it to its end: fewstep tr"):
        results_of_run(few)


@pytest.mark.parametrize("change", [{"seed": 5}, {"n_way": 5}, {"split": "train"}])
def test_a_summary_of_another_test_is_refused(change, tmp_path):
    run_dir = written(tmp_path / "run", SUMMARY | change)
    (name,) = change
    with pytest.raises(InputError, match=f"summary.json has {name} = .*, and its run "):
        results_of_run(run_dir)


def test_a_test_of_fewer_outer_steps_is_no_result(tmp_path):
    """Of a run that goes on the summary stays, and patience ends one early."""
    run_dir = written(tmp_path / "run", SUMMARY | {"outer_steps": 700})
    with pytest.raises(InputError, match=r"after 700 of 50,000 outer steps; train it to its end"):
        results_of_run(run_dir)


@pytest.fixture
def root(tmp_path):
    """The part of the repository that the script writes to."""
    for name in ("results", "docs"):
        (tmp_path / name).mkdir()
    page = f"# Omniglot\n\n{script.START}\nold\n{script.END}\n\nMore.\n"
    (tmp_path / "docs" / "omniglot.md").write_text(page)
    return tmp_path


def test_two_runs_of_one_row_and_seed_are_refused(run_dir, root, capsys):
    other = written(root / "other")
    assert script.main([run_dir, other], root) == 2
    assert "have results of the same row and seed; give one of them" in capsys.readouterr().err
    assert not list((root / "results").iterdir())


@pytest.mark.parametrize("average", [None, SUMMARY["average"] | {"models": 2}])
def test_a_row_has_the_average_of_five(average, root, tmp_path, capsys):
    run_dir = written(tmp_path / "run", SUMMARY | {"average": average})
    assert script.main([run_dir], root) == 2
    assert "the average of its 5 best checkpoints" in capsys.readouterr().err
    assert not list((root / "results").glob("*.json"))


def test_a_page_without_its_mark_is_not_cut(run_dir, root, capsys):
    page = root / "docs" / "omniglot.md"
    page.write_text(f"before\n{script.START}\nafter\n")
    assert script.main([run_dir], root) == 2
    assert f"omniglot.md has no line {script.END}" in capsys.readouterr().err
    assert page.read_text().endswith("after\n")


def test_nothing_is_written_beside_a_damaged_result(run_dir, root):
    (root / "results" / "a.json").write_text("{")
    assert script.main([run_dir], root) == 2
    assert [path.name for path in (root / "results").iterdir()] == ["a.json"]


@pytest.mark.parametrize("name", ["wall_seconds", "calibration_error"])
def test_numbers_of_a_result_are_finite(name, run_dir):
    told = results_of_run(run_dir)[0].as_json()
    # As JSON's 1e999 is read.
    with pytest.raises(ValueError, match=name):
        ResultFile(**{**told, name: float("inf")})


def test_one_command_writes_files_and_pages(run_dir, root, tmp_path, capsys):
    assert script.main([run_dir], root) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    every = read_results(tmp_path / "results")
    assert sorted(one.file_name for one in every) == sorted(
        one.file_name for one in results_of_run(run_dir)
    )
    assert (tmp_path / "docs" / "results.md").read_text() == results_page(every)
    omniglot = (tmp_path / "docs" / "omniglot.md").read_text()
    assert omniglot.startswith(f"# Omniglot\n\n{script.START}\n\nMAML;")
    assert omniglot.endswith(f"{script.END}\n\nMore.\n")
    assert script.main([tmp_path / "nowhere"], tmp_path) == 2
    assert "has no config.json" in capsys.readouterr().err


def test_a_result_is_read_as_it_was_written(run_dir):
    for one in results_of_run(run_dir):
        assert ResultFile(**json.loads(json.dumps(one.as_json()))) == one
