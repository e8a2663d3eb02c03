"""`fewstep recipes`."""

from fewstep.cli import main


def test_recipes_lists_them_all(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    for name in ("glyphs-5way-1shot", "omniglot-5way-1shot", "omniglot-20way-5shot", "sinusoid"):
        assert name in out
    assert " (paper: 98.7 ± 0.4 %)" in out
