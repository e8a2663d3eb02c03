"""`fewstep demo`: which runs it shows, and where it listens."""

import socket

import pytest

pytest.importorskip("uvicorn")
import uvicorn

from fewstep.cli import demo, main, serving
from tests.cli.shared import refused


@pytest.fixture
def served(monkeypatch):
    """The arguments of a server, which is stopped at once as by Ctrl-C."""
    given = []

    def run(server, sockets):
        given.append((server.config, sockets[0].getsockname()))
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return given


def test_runs_stand_beside_a_random_start(glyph_runs, served, capsys):
    runs = [str(glyph_runs / "maml"), "--beside", str(glyph_runs / "finetune")]
    assert main(["demo", *runs]) == 0
    ((config, (host, port)),) = served
    assert host == "127.0.0.1"
    assert f"http://127.0.0.1:{port}/ (Ctrl-C ends it)" in capsys.readouterr().out
    assert not config.access_log
    shown = serving.loaded(glyph_runs / "maml", glyph_runs / "finetune")
    assert [start.name for start in shown.starts] == [
        "meta-learned: maml",
        "pre-trained: finetune, whole network",
        "pre-trained: finetune, last layer",
        "random weights",
    ]
    assert shown.ways == 5


def test_without_a_run_it_takes_that_of_make_run(glyph_runs, served, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "make run" in refused(["demo"], capsys)
    monkeypatch.setattr(demo, "DEMO_RUN", glyph_runs / "maml")
    monkeypatch.setattr(demo, "DEMO_BESIDE", glyph_runs / "nowhere")
    assert main(["demo"]) == 0
    assert len(served) == 1


def test_what_cannot_be_shown_is_refused(run_dir, glyph_runs, capsys, tmp_path, monkeypatch):
    run = str(glyph_runs / "maml")
    assert "expected a run on pictures" in refused(["demo", str(run_dir)], capsys)
    assert "nowhere" in refused(["demo", str(tmp_path / "nowhere")], capsys)
    assert "port is 70000" in refused(["demo", run, "--port", "70000"], capsys)
    assert "cannot listen" in refused(["demo", run, "--host", "192.0.2.1"], capsys)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in refused(["demo", run, "--port", port], capsys)
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert "pip install 'fewstep[demo]'" in refused(["demo", run], capsys)
