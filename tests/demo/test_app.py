"""The application as a browser uses it."""

import json
import re
from importlib.resources import files

import pytest
import torch

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from fewstep.data.preparation import Preparation
from fewstep.demo import app as module
from fewstep.demo.app import app_of
from fewstep.demo.starts import Start
from fewstep.errors import InputError
from fewstep.learners.maml import MAML
from fewstep.models import conv4
from tests.demo.pictures import question


@pytest.fixture(scope="module")
def starts():
    torch.manual_seed(0)
    learner = MAML(conv4(channels=1, size=28, ways=5, filters=16), inner_lr=0.1)
    return [Start("random", learner, Preparation(28, 1, ink=True))]


@pytest.fixture
def client(starts):
    return TestClient(app_of(starts, 5, 1, ["box"], burst=30), base_url="http://localhost:8000")


def _line(answer, status):
    assert answer.status_code == status
    (line,) = answer.json().values()
    assert "\n" not in line
    return line


def test_the_right_class_comes_first(client):
    for query in (0, 2, 3):
        answer = client.post("/answer", json=question(query=query))
        assert answer.status_code == 200
        start = json.loads(answer.text)
        before, *after = start["steps"]
        assert len(after) == 10
        assert after[-1].index(max(after[-1])) == query
        assert after[-1][query] > before[query]


class _Broken(Start):
    def answer(self, *_):
        raise InputError("so many classes cannot be learned")


def test_each_start_is_a_line_and_one_may_fail(starts):
    broken = _Broken("broken", starts[0].learner, starts[0].preparation)
    both = TestClient(app_of([*starts, broken], 5, 1), base_url="http://localhost")
    first, second = both.post("/answer", json=question()).text.splitlines()
    assert json.loads(first)["name"] == "random"
    assert json.loads(first)["seconds"] > 0
    assert json.loads(second) == {"error": "so many classes cannot be learned"}


def test_the_page_knows_what_it_is_about(client):
    about = client.get("/about").json()
    assert about["starts"] == ["random"]
    assert (about["ways"], about["steps"], about["draws"], about["side"]) == (5, 1, True, 128)


def test_the_page_is_whole_and_asks_no_other_place(client):
    names = [name for name, _ in module._PAGE.values()]
    assert {one.name for one in files("fewstep.demo").iterdir() if ".py" not in one.name} - {
        "__pycache__"
    } == set(names)
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    for path in module._PAGE:
        content = client.get(path)
        assert content.status_code == 200
        assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+|<style|\sstyle=|\son\w+=", content.text)
    # What the script asks for by its name is there.
    script = client.get("/page.js").text
    asked = set(re.findall(r'\$\("(\w+)"\)', script))
    assert asked <= set(re.findall(r'id="(\w+)"', page.text))


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[", "127.0.0.1.x"])
def test_other_names_of_the_machine_are_refused(client, host):
    assert "none of this demonstration" in _line(client.get("/", headers={"host": host}), 421)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:80", "[::1]:8000", "192.168.1.7", "BOX:1"]
)
def test_its_own_names_are_right(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_another_site_cannot_ask(client):
    asked = {"origin": "http://evil.example"}
    assert "another site" in _line(client.post("/answer", json={}, headers=asked), 403)
    assert "another site" in _line(client.post("/answer", json={}, headers={"origin": "null"}), 403)
    own = client.post("/answer", json=question(2, 0), headers={"origin": "http://localhost:8000"})
    assert own.status_code == 200


def test_wrong_requests_get_one_line(client, monkeypatch):
    assert "another object" in _line(client.post("/answer", json=[]), 400)
    assert "application/json" in _line(client.post("/answer", content="{}"), 415)
    assert _line(client.get("/answer"), 405)
    assert _line(client.get("/../pyproject.toml"), 404)
    monkeypatch.setattr(module, "LARGEST_BODY", 10)
    assert "too long" in _line(client.post("/answer", json={"support": []}), 413)


def test_a_picture_that_breaks_off_is_told(client):
    given = question()
    given["query"] = given["query"][:200]
    assert "no picture that can be read" in _line(client.post("/answer", json=given), 400)


def test_who_asks_too_often_waits(starts):
    client = TestClient(app_of(starts, 5, 1, burst=2), base_url="http://localhost")
    for _ in range(2):
        _line(client.post("/answer", json=[]), 400)
    refused = client.post("/answer", json=[])
    assert "wait" in _line(refused, 429)
    assert refused.headers["retry-after"] == "1"
    assert client.get("/").status_code == 200
