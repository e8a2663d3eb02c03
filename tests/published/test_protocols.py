"""A protocol tells the settings that are trained with, and a reason for each departure."""

import pytest

from fewstep.cli import main
from fewstep.config.budgets import FAST
from fewstep.published.files import ALGORITHMS
from fewstep.published.protocols import merged, protocol_of

OMNIGLOT = [recipe for recipe in FAST if recipe.startswith("omniglot")]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_departure_has_a_reason(algorithm):
    for recipe in FAST:
        for line in protocol_of(recipe, algorithm):
            departs = {*line.budgets} != {line.paper}
            assert bool(line.why) == departs, line


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("recipe", FAST)
def test_reasons_are_true_of_the_values(recipe, algorithm):
    told = {line.what: line for line in protocol_of(recipe, algorithm)}
    steps, tasks = told["outer steps"], told["tasks of an outer step"]
    fast, paper = (
        [int(value.replace(",", "")) for value in values]
        for values in ((steps.budgets[0], tasks.budgets[0]), (steps.paper, tasks.paper))
    )
    assert "fewer" not in steps.why or fast[0] < paper[0]
    assert "fewer" not in tasks.why or fast[0] * fast[1] < paper[0] * paper[1]
    halved = told["halved by"]
    assert "stride" not in halved.why or "stride" in halved.budgets[0]
    if recipe.startswith("mini"):
        # Nothing was chosen for it by its validation classes.
        assert not any("found on validation" in line.why for line in told.values())


def test_settings_are_told_as_they_are(monkeypatch):
    def told():
        return {line.what: line for line in protocol_of("omniglot-5way-1shot", "maml")}

    assert told()["tasks of an outer step"].paper == "32"
    assert told()["outer steps"].budgets[1] == "60,000"
    changed = {"steps": 1234, "meta_batch": 32, "norm": "inductive", "model_norm": "batch"}
    monkeypatch.setitem(FAST["omniglot-5way-1shot"], "maml", changed)
    assert told()["outer steps"].budgets == ("1,234", "60,000")
    assert told()["tasks of an outer step"].why == ""
    assert told()["batch norm of the query sets"].budgets == ("inductive", "transductive")


def test_recipes_are_told_together():
    told = {line.what: line for line in merged(OMNIGLOT, "maml")}
    assert told["tasks of an outer step"].paper == "32 (5-way), 16 (20-way)"
    assert told["query pictures of each class, in the test"].paper == "1 (1-shot), 5 (5-shot)"
    assert told["outer steps"].paper == "60,000"


@pytest.mark.parametrize("width", ["200", "50"])
def test_a_recipe_tells_its_protocol(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", width)
    assert main(["recipes", "omniglot-20way-5shot", "--algorithm", "maml++"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "omniglot-20way-5shot, maml++: accuracy in %, paper 99.33 ± 0.03 (Antoniou" in out
    assert "fewstep train omniglot-20way-5shot --algorithm maml++ --budget paper --seed 0" in out
    assert "50,000" in out
    assert "LeakyReLU since 2019" in out
    assert main(["recipes", "sinusoid"]) == 0
    assert "MSE after 1 / 5 / 10 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["omniglot"], "unknown recipe 'omniglot'"),
        (["omniglot-5way-1shot", "--algorithm", "anil"], "invalid choice 'anil'"),
    ],
)
def test_protocols_that_are_not_known(given, told, capsys):
    assert main(["recipes", *given]) == 2
    assert told in capsys.readouterr().err
