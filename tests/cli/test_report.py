"""`fewstep report`: one page about runs of any kinds, whatever there is of each."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch

import fewstep
from fewstep import InputError
from fewstep.cli import main
from fewstep.cli.train import _options
from fewstep.config.file import read_config
from fewstep.evaluation.evaluate import evaluate_tasks
from fewstep.report import measuring, write_report
from fewstep.report.page.command import command
from fewstep.training import checkpoint
from tests.cli.shared import refused
from tests.report.page.parsed import check_page


@pytest.fixture(scope="module")
def mixed(glyph_runs, run_dir, table_runs, tmp_path_factory):
    """The page of runs of four kinds of tasks, and what was told on standard error."""
    out = tmp_path_factory.mktemp("report") / "new" / "mixed.html"
    runs = [glyph_runs / "maml", glyph_runs / "finetune", run_dir]
    runs += [table_runs / "score", table_runs / "passed"]
    assert main(["report", *map(str, runs), "--tasks", "3", "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    return text, check_page(text)


def _report(path, tmp_path, *more):
    out = tmp_path / "r.html"
    assert main(["report", str(path), "--tasks", "2", "--out", str(out), *more]) == 0
    text = out.read_text(encoding="utf-8")
    return text, check_page(text)


def test_the_page_has_all_sections_and_runs(mixed):
    text, root = mixed
    names = [heading.text for heading in root.every("h2")]
    assert names == [link.text for link in root.every("nav")[0].every("a")]
    assert len(names) == 8
    assert "5 runs side by side" in text
    rows = root.every("table")[0].every("tr")
    assert [row.every("th")[0].text for row in rows[1:]] == [
        *("maml", "finetune", "sinusoid", "score", "passed")
    ]


def test_all_starts_stand_in_one_chart(mixed):
    _, root = mixed
    figures = {f.every("b")[0].text: f for f in root.every("figure")}
    chart = figures["Accuracy by inner steps (maml, finetune)"]
    assert [item.text for item in chart.every("li")] == [
        *("maml", "finetune, whole", "finetune, head", "random")
    ]
    # Six columns and rows: a number for each start after 0 to 5 inner steps.
    rows = chart.every("tr")
    assert [row.every("th")[0].text for row in rows[1:]] == [*"012345"]
    assert all("%" in cell.text for cell in chart.every("td"))
    # Others are not on the same tasks.
    assert "Mean squared error by inner steps (sinusoid)" in figures
    assert "Accuracy by inner steps (passed)" in figures


def test_tasks_of_a_wave_are_drawn_and_those_of_a_table_are_not(mixed):
    _, root = mixed
    titles = [figure.every("b")[0].text for figure in root.every("figure")]
    single = [title for title in titles if " task " in title]
    assert single == [*(f"{which} task 1 (sinusoid)" for which in ("Worst", "Best")), single[-1]]
    assert single[-1] == "Best task 2 (sinusoid)"


def test_pictures_tell_what_was_predicted(mixed):
    _, root = mixed
    images = root.every("img")
    assert len(images) > 20
    assert any("which is wrong" in image.attributes["alt"] for image in images)
    assert any("U+" in image.attributes["alt"] for image in images)


def test_a_table_that_was_not_compared_says_how(mixed):
    text, _ = mixed
    assert "score was not compared with ordinary models yet: fewstep compare" in text
    # The fixture's file has no coverage.
    assert "interval.json is damaged or of another version" in text


def test_a_run_that_was_killed_is_told_as_far_as_it_came(run, tmp_path, capsys):
    for name in ("summary.json", "best.safetensors"):
        (run / name).unlink()
    values = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(values | {"steps": 700}))
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "train/lo')
    text, root = _report(run, tmp_path)
    assert "not finished: 2 of 700 outer steps" in text
    assert "no validated checkpoint yet" in text
    assert [f.every("b")[0].text for f in root.every("figure")] == [
        *("Training loss", "Validation mse")
    ]
    assert "run is not evaluated" in capsys.readouterr().err


def test_the_latest_checkpoint_of_a_killed_run_counts(run, tmp_path):
    tensors, progress = checkpoint.load(run / "best.safetensors")
    checkpoint.save(run / "best.safetensors", tensors, replace(progress, step=9, best_step=9))
    (run / "summary.json").unlink()
    text, _ = _report(run, tmp_path)
    assert "the initialisation after outer step 9, validation" in text


def test_data_that_are_gone_cost_their_part_alone(table_runs, tmp_path):
    run = shutil.copytree(table_runs / "passed", tmp_path / "run")
    values = json.loads((run / "config.json").read_text())
    values["table"] = str(tmp_path / "gone.csv")
    (run / "config.json").write_text(json.dumps(values))
    text, _ = _report(run, tmp_path)
    assert "gone.csv, which is not there any more" in text
    assert "final test" in text
    assert "Worst and best tasks" not in text


def test_a_run_is_evaluated_once(run, tmp_path, monkeypatch):
    """Its curve by inner steps is that of its own test, where that goes as far."""
    seen = []

    def noted(learner, *given):
        seen.append(learner)
        return evaluate_tasks(learner, *given)

    monkeypatch.setattr(measuring, "evaluate_tasks", noted)
    monkeypatch.setattr(measuring, "LEAST_STEPS", 1)
    _, root = _report(run, tmp_path)
    chart = next(f for f in root.every("figure") if "by inner steps" in f.every("b")[0].text)
    assert [item.text for item in chart.every("li")] == ["run", "random"]
    assert len(seen) == 1  # from the random start


def test_damaged_files_are_left_out(run, tmp_path):
    (run / "summary.json").write_text('{"norms": {"transductive": 3}}')
    (run / "comparison.json").write_text("[")
    (run / "metrics.jsonl").write_text("nothing\n")
    text, _ = _report(run, tmp_path)
    for told in ("summary.json is damaged", "comparison.json is not JSON", "no metrics"):
        assert told in text


def test_a_run_of_fit_is_told_without_its_network(tmp_path):
    x, y = torch.randn(4, 6, 3), torch.arange(2).repeat(4, 3)
    tasks = fewstep.TaskBatch(x, y, x, y)
    learner = fewstep.MAML(torch.nn.Linear(3, 2), inner_lr=0.1)
    run = tmp_path / "own"
    fewstep.fit(learner, [tasks], validation=tasks, steps=2, run_dir=run, val_every=1)
    text, root = _report(run, tmp_path)
    assert "its network is your own" in text
    assert len(root.every("figure")) == 2


def test_a_hostile_name_of_a_run_is_text(run, tmp_path):
    name = "<b onclick=alert(1)>&\"'{0}$x\u202e"
    moved = run.rename(run.parent / name)
    text, root = _report(moved, tmp_path)
    assert "<b onclick" not in text
    assert "\u202e" not in text
    assert root.every("h1")[0].text == f"fewstep report: {name[:-1]}\N{REPLACEMENT CHARACTER}"


def test_a_report_by_one_call_in_python(run, tmp_path):
    """Of the same numbers as by the command."""
    out = tmp_path / "new" / "r.html"
    write_report(run, out, tasks=2)
    pages = [out.read_text(encoding="utf-8"), _report(run, tmp_path)[0]]
    mains = [re.search(r"<main.*</main>", page, re.S)[0] for page in pages]
    assert mains[0] == mains[1]
    for given, told in (([], "no run directory"), ([run, str(run)], "is given twice")):
        with pytest.raises(InputError, match=told):
            write_report(given, out)
    for more, told in (({"tasks": 0}, "tasks is 0"), ({"out": tmp_path / "r"}, "no HTML file")):
        with pytest.raises(InputError, match=told):
            write_report(run, **more)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["."], "has no config.json; expected a run directory"),
        ([], "no run directory given; expected at least one"),
        (["RUN", "RUN"], "is given twice"),
        (["RUN", "--out", "RUN/config.json"], "is no HTML file by its name"),
        (["RUN", "--out", "RUN/config.json/r.html"], "choose a folder that you may write to"),
        (["RUN", "--tasks", "0"], "tasks"),
    ],
)
def test_mistakes_are_one_line_and_cost_nothing(given, told, run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path / "run" / "tensorboard")
    monkeypatch.setattr(measuring, "evaluate_by_task", lambda *_: pytest.fail("evaluated first"))
    before = (run / "config.json").read_bytes()
    words = [word.replace("RUN", str(run)) for word in given]
    assert told in refused(["report", *words], capsys)
    assert (run / "config.json").read_bytes() == before
    assert not list(tmp_path.rglob("*.html"))


def test_the_command_gives_the_same_settings(glyph_runs, run_dir, table_runs):
    runs = [*(glyph_runs / n for n in ("maml", "finetune")), run_dir]
    for path in (*runs, table_runs / "score", table_runs / "passed"):
        config = read_config(path / "config.json")
        words = command(config).split()
        assert words[:2] == ["fewstep", "train"]
        assert _options(words[2:])[0].config == config
