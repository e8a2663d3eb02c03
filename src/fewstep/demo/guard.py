"""Checks before every request: whom it is sent to, by whom, and how often."""

import ipaddress
import math
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fewstep.demo.rate import Rate

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An application that other sites cannot use through a visitor's browser.

    Args:
        app: The application itself.
        names: By which the machine is called; numbers of the network are always right, since a
            name that leads to another place than before, as in DNS rebinding, is none of them.
        rate: How often a client may send something.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], rate: Rate) -> None:
        self._app, self._rate = app, rate
        self._names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or let it through; with the headers of all answers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._refusal(scope) or self._app
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            return refusal(421, f"the host {host[:80]!r} is none of this demonstration's")
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return refusal(403, "another site asks; expected the page of this demonstration")
        client = scope["client"][0] if scope.get("client") else ""
        wait = self._rate.wait(client)
        if not wait:
            return None
        told = refusal(429, "too many requests; wait a moment")
        told.headers["retry-after"] = str(math.ceil(wait))
        return told

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_number(name)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def refusal(status: int, line: str) -> JSONResponse:
    """One line that says why."""
    return JSONResponse({"error": line}, status)
