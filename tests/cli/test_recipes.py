"""`fewstep recipes`."""

from fewstep.cli import main


def test_recipes_lists_them_all(capsys):
    assert main(["recipes"]) == 0
    out = capsys.readouterr().out
    for name in ("glyphs-5way-1shot", "omniglot-5way-1shot", "omniglot-20way-5shot", "sinusoid"):
        assert name in out
