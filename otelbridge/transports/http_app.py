"""The HTTP application: /metrics, /healthz, /readyz, the page, and the gateways' endpoint."""

from __future__ import annotations

import asyncio
import base64
import binascii
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
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

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


def build_app(
    *,
    render: Render,
    readiness: Readiness,
    address: str,
    metrics_token: str | None = None,
    gateways: Gateways | None = None,
    page: Sequence[Route] = (),
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
        page: What the page for people is served by. Host is checked as for /metrics.
    """
    pages = _Pages(render, readiness, metrics_token)
    app = Starlette(
        routes=[
            Route("/metrics", pages.metrics),
            Route("/healthz", pages.health),
            Route("/readyz", pages.ready),
            *page,
            *([] if gateways is None else [Route(PATH, _trial(gateways))]),
        ],
        exception_handlers=ERROR_HANDLERS,
    )
    app.router.redirect_slashes = False
    guarded = frozenset({"/", "/metrics", *(each.path for each in page)})
    app.add_middleware(_Guard, checked=guarded if is_loopback(address) else frozenset())
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
    """Refuses requests whose head is too large or names a host that is not ours.

    Args:
        app: Answers the others.
        checked: Paths for which a request must name a loopback host.
    """

    def __init__(self, app: ASGIApp, *, checked: AbstractSet[str]) -> None:
        self._app = app
        self._checked = checked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        size = sum(len(name) + len(value) + LINE_OVERHEAD for name, value in headers)
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER_BYTES:
            return _error(431, f"the request's head is over {MAX_HEADER_BYTES} bytes")
        if scope["path"] in self._checked:
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
    if not _is_shown(token, given):
        raise HTTPException(
            401, "the metrics token is required", headers={"www-authenticate": "Bearer"}
        )


def check_password(given: str, token: str | None) -> None:
    """Check what a browser shows: it asks a person for name and password.

    Args:
        given: The Authorization header: ``Basic`` with any name and the token
            for a password (RFC 7617), or ``Bearer`` with the token.
        token: The token; None if none is asked for.

    Raises:
        HTTPException: If another one is shown, or none.
    """
    if token is None or _is_shown(token, given) or _is_shown(token, _as_bearer(given)):
        return
    challenge = 'Basic realm="otelbridge: any name, the metrics token", charset="UTF-8"'
    raise HTTPException(
        401, "the metrics token is required", headers={"www-authenticate": challenge}
    )


def _as_bearer(given: str) -> str:
    """Return Basic credentials as a token; empty if they are none."""
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return f"Bearer {pair.partition(':')[2]}"


def _is_shown(token: str, given: str) -> bool:
    scheme, _, shown = given.partition(" ")
    is_right = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
    return is_right and scheme.lower() == "bearer"


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
