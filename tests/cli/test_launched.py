"""A command that a launcher started as one of several ranks."""

import pytest

from fewstep.cli import main


@pytest.fixture
def rank(monkeypatch):
    # Other tests of the same process may have left something there.
    monkeypatch.setattr("fewstep.distributed.ranks.failed_first", None)

    def become(number, here):
        monkeypatch.setenv("MASTER_ADDR", "there")
        for name, value in (("WORLD_SIZE", 4), ("RANK", number), ("LOCAL_RANK", here)):
            monkeypatch.setenv(name, str(value))

    return become


@pytest.mark.parametrize(("number", "here", "tells"), [(0, 0, True), (1, 1, False), (2, 0, True)])
def test_one_rank_of_a_machine_tells_of_a_mistake(number, here, tells, rank, capsys):
    """Before the ranks are together; afterwards the one that failed first does."""
    rank(number, here)
    assert main(["tarin", "sinusoid"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert (told.err.count("fewstep: error: ") == 1) == tells


def test_commands_for_one_process(rank, capsys):
    rank(0, 0)
    assert main(["recipes"]) == 2
    assert "fewstep recipes is for one process; leave torchrun out" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "told"), [(0, "fewstep "), (3, "")])
def test_the_first_alone_prints(number, told, rank, capsys):
    rank(number, number)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(told)
    assert bool(told) == (number == 0)
