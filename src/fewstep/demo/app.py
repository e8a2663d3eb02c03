"""The demonstration as an application of ASGI: a page, and answers to what it asks."""

import json
import time
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from fewstep.demo.about import about_of
from fewstep.demo.guard import Guard, refusal
from fewstep.demo.question import LARGEST_BODY, Question, question_of
from fewstep.demo.rate import Rate
from fewstep.demo.starts import Start
from fewstep.errors import InputError

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/answerer.js": ("answerer.js", "text/javascript"),
    "/pad.js": ("pad.js", "text/javascript"),
    "/photos.js": ("photos.js", "text/javascript"),
}


def app_of(
    starts: Sequence[Start], ways: int, steps: int, names: Collection[str] = (), *, burst: int = 20
) -> ASGIApp:
    """The application.

    Args:
        starts: Initialisations side by side. The first decides whether one draws.
        ways: Classes that the page begins with.
        steps: Inner steps that its slider begins with.
        names: By which the machine is called, beside localhost and its numbers.
        burst: Questions that a client may ask at once; half as many follow in a second.
    """
    about = about_of(starts, ways, steps)

    async def told(_request: Request) -> Response:
        return JSONResponse(about)

    async def answer(request: Request) -> Response:
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return refusal(415, "the request is of another type; expected application/json")
        body = await _body(request)
        if body is None:
            return refusal(413, f"the request is too long; expected {LARGEST_BODY:,} bytes at most")
        try:
            question = await run_in_threadpool(question_of, body)
            first = await run_in_threadpool(_answer, starts[0], question)
        except InputError as error:
            return refusal(400, str(error))
        lines = _lines(first, starts[1:], question)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    content = files("fewstep.demo")
    routes = [
        Route(path, partial(_file, content.joinpath(name).read_bytes(), kind))
        for path, (name, kind) in _PAGE.items()
    ]
    routes += [Route("/about", told), Route("/answer", answer, methods=["POST"])]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _failure})
    return Guard(app, {"localhost", *names}, Rate(burst, burst / 2))


async def _file(content: bytes, kind: str, _request: Request) -> Response:
    return Response(content, media_type=kind)


async def _failure(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail)


async def _body(request: Request) -> bytes | None:
    """The body, or None where it is too long: then the rest of it is not read."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


async def _lines(
    first: dict[str, Any], others: Sequence[Start], question: Question
) -> AsyncIterator[str]:
    """The answer of each start as soon as it is there."""
    yield _line(first)
    for start in others:
        try:
            yield _line(await run_in_threadpool(_answer, start, question))
        except InputError as error:
            yield _line({"error": str(error)})


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told) + "\n"


def _answer(start: Start, question: Question) -> dict[str, Any]:
    began = time.perf_counter()
    told = start.answer(question.support, question.labels, question.query)
    return told | {"seconds": round(time.perf_counter() - began, 4)}
