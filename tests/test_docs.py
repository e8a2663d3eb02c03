"""The documents tell the truth about the code."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.func import functional_call

import fewstep
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
    ("docs/index.md", "docs/index.zh-CN.md"),
    ("docs/quick-start.md", "docs/quick-start.zh-CN.md"),
    ("docs/for-you.md", "docs/for-you.zh-CN.md"),
]
PUBLIC = ["data", "export", "functional", "models", "report"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation_once():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    named = re.findall(r"- (\S+\.md)$", navigation, re.M)
    assert sorted(named) == sorted(page.name for page in ROOT.glob("docs/*.md"))


def test_the_reference_has_every_public_name_once():
    pages = "".join(page.read_text() for page in ROOT.glob("docs/reference*.md"))
    names = {f"fewstep.{name}" for name in fewstep._HOMES} | {
        f"fewstep.{package}.{name}"
        for package in PUBLIC
        for name in getattr(fewstep, package).__all__
    }
    assert sorted(re.findall(r"^::: (\S+)$", pages, re.M)) == sorted(names)


def test_the_citation_has_the_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {fewstep.__version__}\n" in citation


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
    """Run by a rank that is alone."""
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


@pytest.mark.parametrize("library", ["higher", "learn2learn", "torchopt"])
def test_both_sides_of_a_migration_agree(library):
    """The other side where it is installed."""
    tasks, theirs, ours = blocks(f"docs/from-{library}.md")
    exec(tasks, names := {})
    model = names["model"]
    assert f"import {library}" in theirs
    if find_spec(library):
        exec(theirs, names)
        expected = [parameter.grad.clone() for parameter in model.parameters()]
    else:
        compile(theirs, library, "exec")
        expected = _gradient_by_autograd(names)
    exec(ours, names)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-7)


def _gradient_by_autograd(names):
    """Of two inner steps of 0.1 on the tasks of the pages."""
    model, start = names["model"], dict(names["model"].named_parameters())
    total = 0
    tasks = (names[name] for name in ("support_x", "support_y", "query_x", "query_y"))
    for x, y, query_x, query_y in zip(*tasks, strict=True):
        params = start
        for _ in range(2):
            loss = F.cross_entropy(functional_call(model, params, (x,)), y)
            found = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            params = {n: v - 0.1 * g for (n, v), g in zip(params.items(), found, strict=True)}
        total += F.cross_entropy(functional_call(model, params, (query_x,)), query_y) / 16
    return torch.autograd.grad(total, list(start.values()))


@pytest.mark.parametrize(
    ("page", "shorter"),
    [
        ("quick-start.md", {"steps=200": "steps=2", "n=200": "n=2"}),
        ("own-loop.md", {"range(1000)": "range(2)", "n=200": "n=2"}),
        ("from-maml-plus-plus.md", {"100 * 500": "2", "10 * 500": "1", "randn(8": "randn(1",
                                    "repeat(8": "repeat(1", "filters=64": "filters=4"}),
    ],
)  # fmt: skip
def test_the_example_of_a_page_runs(page, shorter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks(f"docs/{page}")
    for long, short in shorter.items():
        assert long in example
        example = example.replace(long, short)
    exec(example, {})


@pytest.mark.parametrize(
    "page",
    ["any-module", "own-loss", "save-and-load", "one-at-a-time", "gpu", "reproducibility"],
)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(f"docs/{page}.md"):
        exec(block, names)
