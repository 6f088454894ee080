"""The page over HTTP: who may see it, how it is guarded in a browser, how often it is made."""

from __future__ import annotations

import asyncio
import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from otelbridge.errors import JournalError
from otelbridge.page.rates import STEP_S, History
from otelbridge.transports.http_app import check_password

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from otelbridge.page.rates import Rates, Sample
    from otelbridge.page.view import View

#: How old a page may be that is shown, in seconds: however many people look, the core is asked
#: once in this time.
FRESH_S = 1.0

# Of two pages that differ in this alone the second is no news.
_AS_OF = re.compile(rb'As of <time datetime="[^"]*">[^<]*</time>')
# Nothing inline, nothing from elsewhere, nobody's frame (CSP Level 3). Trusted Types: the script
# cannot turn a text into HTML, even by mistake.
_POLICIES = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
_HEADERS = {
    "content-security-policy": "; ".join(_POLICIES),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_ASSETS = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.svg": "image/svg+xml",
}


class _Made(NamedTuple):
    """A page that was made.

    Attributes:
        body: The HTML.
        tag: Its entity tag: the same for pages that differ in the time alone.
        at_s: When, by the loop's clock.
    """

    body: bytes
    tag: str
    at_s: float


class Page:
    """Shows the bridge to people.

    Args:
        look: Gathers what is shown; may raise a JournalError.
        sample: Returns the ledger's totals.
        token: What a visitor must show; None for nothing.
        is_public: Whether others than this machine's users can reach the
            listener: without a token nobody is shown anything then.
        fresh_s: How old a page may be that is shown, in seconds.

    Attributes:
        routes: What the HTTP application serves.
    """

    def __init__(
        self,
        look: Callable[[Rates], Awaitable[View]],
        sample: Callable[[], Sample],
        *,
        token: str | None,
        is_public: bool,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._look = look
        self._sample = sample
        self._token = token
        self._is_public = is_public
        self._fresh_s = fresh_s
        self._history = History()
        self._making = asyncio.Lock()
        self._made: _Made | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.routes = [Route("/", self._page), *(self._asset(name) for name in _ASSETS)]

    @property
    def can_be_seen(self) -> bool:
        """Return whether anybody may see it."""
        return self._token is not None or not self._is_public

    def start(self) -> None:
        """Begin to take samples of what arrives."""
        self._history.add(self._sample())
        self._timer = asyncio.get_running_loop().call_later(STEP_S, self.start)

    def stop(self) -> None:
        """Take no more samples."""
        if self._timer is not None:
            self._timer.cancel()

    async def view(self) -> View:
        """Return what is shown, for whoever shows it otherwise.

        Raises:
            JournalError: If the journal cannot be read.
        """
        return await self._look(self._history.rates())

    async def _page(self, request: Request) -> Response:
        self._admit(request)
        made = await self._current()
        # Nothing of it stays in the browser; a script that has it already asks by its tag.
        headers = {**_HEADERS, "etag": made.tag, "cache-control": "no-store"}
        if request.headers.get("if-none-match") == made.tag:
            return Response(status_code=304, headers=headers)
        return Response(made.body, headers=headers, media_type="text/html")

    def _asset(self, name: str) -> Route:
        body = (files("otelbridge.page") / "assets" / name).read_bytes()
        tag = _tag(body)

        async def answer(request: Request) -> Response:
            self._admit(request)
            headers = {**_HEADERS, "etag": tag, "cache-control": "no-cache"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            return Response(body, headers={**headers, "content-type": _ASSETS[name]})

        return Route(f"/{name}", answer)

    def _admit(self, request: Request) -> None:
        if not self.can_be_seen:
            raise HTTPException(403, "the page needs auth.metrics_token where others can reach it")
        check_password(request.headers.get("authorization", ""), self._token)

    async def _current(self) -> _Made:
        """Return a page that is at most a second old; of many who ask one makes it."""
        async with self._making:
            now_s = asyncio.get_running_loop().time()
            if self._made is None or now_s - self._made.at_s > self._fresh_s:
                try:
                    view = await self.view()
                except JournalError:
                    raise HTTPException(503, "the journal cannot be read") from None
                body, tag = await asyncio.to_thread(_rendered, view)
                self._made = _Made(body, tag, now_s)
            return self._made


def _rendered(view: View) -> tuple[bytes, str]:
    # Compiling the template takes 50 ms: only where somebody looks.
    from otelbridge.page.rendering import render  # noqa: PLC0415

    body = render(view).encode()
    return body, _tag(_AS_OF.sub(b"", body))


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
