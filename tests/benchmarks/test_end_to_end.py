"""The script that times a whole training runs where there is no GPU."""

from benchmarks import end_to_end


def test_it_tells_times_of_a_short_training(capsys, monkeypatch):
    monkeypatch.delenv("FEWSTEP_DATA", raising=False)
    short = "--device cpu --steps 4 --first 1 --times 1 --val-every 2 --val-tasks 1 --meta-batch 1"
    told = end_to_end.main(short.split())
    assert told["ratio"] > 0
    assert told["step_ms"] / told["gradient_ms"] == told["ratio"]
    assert set(told["host_us"]) == {
        *("tasks", "seed", "gradient", "figures", "optimiser", "average")
    }
    assert '"ratio"' in capsys.readouterr().out
