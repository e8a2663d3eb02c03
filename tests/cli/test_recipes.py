"""`fewstep recipes`."""

from fewstep.cli import main
from tests.cli.shared import refused


def test_recipes_lists_them_all(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    for name in ("glyphs-5way-1shot", "omniglot-5way-1shot", "omniglot-20way-5shot", "sinusoid"):
        assert name in out
    assert " (paper: 98.7 ± 0.4 %)" in out


def test_an_algorithm_where_no_paper_is_told(capsys):
    told = refused(["recipes", "sinusoid", "--algorithm", "maml++"], capsys)
    assert "algorithm is maml++, and sinusoid has one schedule, without the protocol" in told
    told = refused(["recipes", "--algorithm", "maml++"], capsys)
    assert "algorithm is maml++ without a recipe; give one, as in fewstep recipes omni" in told
    assert main(["recipes", "sinusoid"]) == 0
