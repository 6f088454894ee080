"""The HTTP application: /metrics, /healthz, /readyz, and the gateways' endpoint for people."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from otelbridge.config import is_loopback
from otelbridge.errors import escaped
from otelbridge.transports.gateway.endpoint import PATH, Refusal, peer_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from otelbridge.transports.gateway.sessions import Gateways

    #: Returns a page for an ``Accept`` header, and its content type. The second
    #: argument is the address and User-Agent of a scraper, None for a person.
    Render: TypeAlias = Callable[[str, tuple[str, str] | None], tuple[bytes, str]]
    #: Returns whether calls are taken, and what else is to be told.
    Readiness: TypeAlias = Callable[[], tuple[bool, Mapping[str, object]]]

#: Largest request head, counted as HTTP/1.1 writes it.
MAX_HEADER_BYTES = 16 * 1024
#: What a header line has besides its name and value.
LINE_OVERHEAD = len(": \r\n")
# A scraper says how long it will wait; a person's browser or curl does not.
_SCRAPER_HEADER = "x-prometheus-scrape-timeout-seconds"
_GUARDED = frozenset({"/", "/metrics"})


def build_app(
    *,
    render: Render,
    readiness: Readiness,
    address: str,
    metrics_token: str | None = None,
    gateways: Gateways | None = None,
) -> Starlette:
    """Build the application.

    Args:
        render: Renders /metrics. It runs in a thread, never twice at a time.
        readiness: Answers /readyz, 200 or 503.
        address: Where it is served, ``HOST:PORT``. On loopback a request must
            name a loopback host: a page that a browser shows cannot read
            /metrics by giving its own name our address (DNS rebinding).
            Elsewhere the token guards it, and its names are the user's.
        metrics_token: Bearer token that /metrics asks for; None for none.
        gateways: Says at the gateways' endpoint what a gateway would be told.
    """
    pages = _Pages(render, readiness, metrics_token)
    app = Starlette(
        routes=[
            Route("/metrics", pages.metrics),
            Route("/healthz", pages.health),
            Route("/readyz", pages.ready),
            *([] if gateways is None else [Route(PATH, _trial(gateways))]),
        ],
        exception_handlers=ERROR_HANDLERS,
    )
    app.router.redirect_slashes = False
    app.add_middleware(_Guard, checks_host=is_loopback(address))
    return app


def _trial(gateways: Gateways) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a request without a WebSocket: a person tries a key with curl."""

    async def endpoint(request: Request) -> Response:
        peer = peer_address(request.client)
        admitted = gateways.admit(request.url.path, request.url.query, request.headers, peer=peer)
        if isinstance(admitted, Refusal):
            return JSONResponse(admitted.body, status_code=admitted.status)
        body = {"message": "The key and the version are right; a gateway asks for a WebSocket."}
        return JSONResponse(body, status_code=426, headers={"upgrade": "websocket"})

    return endpoint


class _Pages:
    """What is served."""

    def __init__(self, render: Render, readiness: Readiness, token: str | None) -> None:
        self._render = render
        self._readiness = readiness
        self._token = token
        self._rendering = asyncio.Lock()

    async def metrics(self, request: Request) -> Response:
        """Answer /metrics."""
        _check_token(request.headers.get("authorization", ""), self._token)
        async with self._rendering:
            page, content_type = await asyncio.to_thread(
                self._render, request.headers.get("accept", ""), _scraper(request)
            )
        return Response(page, headers={"content-type": content_type})

    async def health(self, _request: Request) -> Response:
        """Answer /healthz: whoever can ask has a process that runs."""
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        """Answer /readyz."""
        is_ready, details = self._readiness()
        body = {"status": "ready" if is_ready else "not ready", **details}
        return JSONResponse(body, status_code=200 if is_ready else 503)


class _Guard:
    """Refuses requests whose head is too large or names a host that is not ours."""

    def __init__(self, app: ASGIApp, *, checks_host: bool) -> None:
        self._app = app
        self._checks_host = checks_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        size = sum(len(name) + len(value) + LINE_OVERHEAD for name, value in headers)
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER_BYTES:
            return _error(431, f"the request's head is over {MAX_HEADER_BYTES} bytes")
        if self._checks_host and scope["path"] in _GUARDED:
            hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
            if len(hosts) != 1 or not _is_local(hosts[0]):
                return _error(421, f'host "{escaped(", ".join(hosts))}" is not served here')
        return None


def _is_local(host: str) -> bool:
    """Return whether a Host header is one that a rebinding page cannot send: no public name."""
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_token(given: str, token: str | None) -> None:
    if token is None:
        return
    scheme, _, shown = given.partition(" ")
    is_right = hmac.compare_digest(shown.strip().encode("latin-1", "replace"), token.encode())
    if scheme.lower() != "bearer" or not is_right:
        raise HTTPException(
            401, "the metrics token is required", headers={"www-authenticate": "Bearer"}
        )


def _scraper(request: Request) -> tuple[str, str] | None:
    if _SCRAPER_HEADER not in request.headers:
        return None
    host = request.client.host if request.client else ""
    return host, request.headers.get("user-agent", "")


async def _refusal(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _error(error.status_code, error.detail.lower(), error.headers)
    return _error(500, "internal error")  # the server logs the traceback


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status_code=status, headers=headers)


#: Errors as JSON, ``{"error": "…"}``.
ERROR_HANDLERS: dict[type[Exception], Callable[..., Awaitable[Response]]] = {
    HTTPException: _refusal,
    Exception: _refusal,
}
