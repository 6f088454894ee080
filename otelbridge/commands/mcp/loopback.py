"""Where the browser brings the answer to a login: a port of this machine, for one answer.

Source: RFC 8252 (sections 7.3 and 8.3).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse

from otelbridge.errors import ConfigError, OAuthError
from otelbridge.transports.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from otelbridge.domain.access import Secret
    from otelbridge.oauth.login import LoginRequest

# Not "localhost": a name could be resolved to another machine (RFC 8252, section 8.3).
_HOST = "127.0.0.1"
_PATH = "/callback"
_MAX_PARAMETERS = 50
_HEADERS = {
    "cache-control": "no-store",
    # The page's address has the code in it.
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "connection": "close",
}
_PAGE = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>otelbridge</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""


class Loopback:
    """Takes the one answer to a login request.

    Attributes:
        redirect_uri: Where the answer is expected.
    """

    def __init__(self, port: int) -> None:
        self.redirect_uri = f"http://{_HOST}:{port}{_PATH}"
        self._host = f"{_HOST}:{port}"
        self._request: LoginRequest | None = None
        self._on_stray: Callable[[], None] = lambda: None
        self._code: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()

    async def code(
        self, request: LoginRequest, *, timeout_s: float, on_stray: Callable[[], None]
    ) -> Secret:
        """Return the authorization code that the browser brings.

        Args:
            request: What the answer must be to. Answers to others are ignored.
            timeout_s: How long to wait, in seconds.
            on_stray: Called once if there was an answer to another request.

        Raises:
            OAuthError: If none comes in time, or `LoginRequest.code_of` says so.
        """
        self._request, self._on_stray = request, on_stray
        try:
            async with asyncio.timeout(timeout_s):
                return await self._code
        except TimeoutError:
            raise OAuthError(
                f"nobody logged in within {timeout_s:g} s; where the browser showed an error "
                f"about the redirect, register {self.redirect_uri} for this client"
            ) from None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser's request."""
        await self._response(scope)(scope, receive, send)

    def _response(self, scope: Scope) -> Response:
        is_ours = Headers(scope=scope).get("host") == self._host and scope["path"] == _PATH
        request = self._request
        if not is_ours or scope["method"] != "GET" or request is None or self._code.done():
            return PlainTextResponse("not found\n", HTTPStatus.NOT_FOUND, headers=_HEADERS)
        try:
            answer = parse_qs(
                scope["query_string"].decode("ascii", "replace"),
                keep_blank_values=True,
                max_num_fields=_MAX_PARAMETERS,
            )
        except ValueError:
            answer = {}
        if not request.is_answered_by(answer):
            self._on_stray()
            self._on_stray = lambda: None
            return _page(
                "Not this login",
                "This is the answer to another login than the one that is under way.",
                HTTPStatus.BAD_REQUEST,
            )
        return self._taken(request, answer)

    def _taken(self, request: LoginRequest, answer: dict[str, list[str]]) -> Response:
        try:
            self._code.set_result(request.code_of(answer))
        except OAuthError as error:
            self._code.set_exception(error)
            return _page("Not logged in", str(error), HTTPStatus.BAD_REQUEST)
        text = "The answer was received. The terminal says how it went; this page can be closed."
        return _page("Back to the terminal", text, HTTPStatus.OK)


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[Loopback]:
    """Listen for the answer to one login.

    Args:
        port: 0 for any free one, which a server has to allow (RFC 8252, section 7.3).

    Raises:
        ConfigError: If the port cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A socket that had it a minute ago is no reason to wait.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigError("", f"port {port} on {_HOST}: {error.strerror}") from None
    loopback = Loopback(listener.getsockname()[1])
    server = HttpServer(loopback, [listener])
    try:
        await server.start()
        yield loopback
    finally:
        await server.stop()


def _page(title: str, text: str, status: HTTPStatus) -> Response:
    page = _PAGE.format(title=escape(title), text=escape(text))
    return HTMLResponse(page, status, headers=_HEADERS)
