"""The documents tell the truth about the code."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch.distributed as dist

from fewstep.cli.train import _options
from tests.own_rows import rows_of_task
from tests.readme import blocks, run_examples

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TRANSLATIONS = [
    ("README.md", "README.zh-CN.md"),
    ("docs/algorithm.md", "docs/algorithm.zh-CN.md"),
    ("docs/evaluation.md", "docs/evaluation.zh-CN.md"),
    ("docs/tables.md", "docs/tables.zh-CN.md"),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", ["docs/algorithm.md", "docs/algorithm.zh-CN.md"])
def test_quoted_lines_stand_in_the_files_named(name):
    rows = re.findall(r"\| `([^`]+)`[^|]*\[[^\]]+\]\(([^)]+)\) \|", (ROOT / name).read_text())
    assert len(rows) == 11
    for line, path in rows:
        assert line in (ROOT / "docs" / path).read_text(), line


@pytest.mark.parametrize(("one", "other"), TRANSLATIONS)
def test_translations_have_the_same_code_and_figures(one, other):
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in (one, other)]
    code = [re.findall(r"`([^`\n]+)`|^```\w*\n(.*?)^```", page, re.M | re.S) for page in pages]
    # Comments are in the language of the page.
    code = [[(word, re.sub(r" +#.*", "", block)) for word, block in found] for found in code]
    assert sorted(code[0]) == sorted(code[1])
    figures = [
        sorted(re.findall(r"\d+\.\d+", re.sub(r"```.*?```", "", p, flags=re.S))) for p in pages
    ]
    assert figures[0] == figures[1]


def test_the_examples_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))
    run_examples()


def test_mixed_effects_for_a_new_task(tmp_path, monkeypatch):
    """The example of the page: nearer to the truth than the mean of the known rows."""
    monkeypatch.chdir(tmp_path)
    every = [rows_of_task(f"s{n}", 16) for n in range(30)]
    for frame in every:
        frame.hours -= 50
    new = rows_of_task("new", 30).assign(hours=lambda rows: rows.hours - 50)
    pd.concat(every).to_csv("exams.csv", index=False)
    new[:6].to_csv("new_school.csv", index=False)
    new[6:].to_csv("pupils.csv", index=False)
    (example,) = [code for code in blocks("docs/tables.md") if "mixedlm" in code]
    names = {}
    exec(example, names)
    errors = names["predicted"] - new.score[6:].to_numpy(), new.score[6:] - new.score[:6].mean()
    found, mean = (np.sqrt(np.mean(error**2)) for error in errors)
    assert found < 2 < mean


def test_the_loop_of_several_ranks_runs(monkeypatch):
    """As a rank that is alone."""
    there = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    (example,) = blocks("docs/scale.md")
    names, destroy = {}, dist.destroy_process_group

    def destroy_last():
        # Freed later, the module waits for the group's threads, and one of them for it.
        assert "module" not in names
        destroy()

    monkeypatch.setattr(dist, "destroy_process_group", destroy_last)
    exec(example.replace("range(100)", "range(2)").replace("32", "4"), names)
    assert names["loss"].isfinite()
    assert not dist.is_initialized()


def test_scripts_for_clusters_are_well_formed():
    yaml = pytest.importorskip("yaml")
    (script,) = blocks("docs/scale.md", "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    service, job, train_job = [
        part for block in blocks("docs/scale.md", "yaml") for part in yaml.safe_load_all(block)
    ]
    assert service["spec"]["selector"]["job-name"] == job["metadata"]["name"]
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"]
    (container,) = pod["containers"]
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert f"--nnodes={job['spec']['parallelism']}" in container["args"]
    assert job["spec"]["parallelism"] == job["spec"]["completions"]
    of_script = script.replace("\\\n", " ").split("-m fewstep train")[1].replace('"', "").split()
    for command in (
        container["command"] + container["args"],
        train_job["spec"]["trainer"]["command"],
        ["train", *of_script],
    ):
        options, _ = _options(command[command.index("train") + 1 :])
        assert options.config.meta_batch == 1024
