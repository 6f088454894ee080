"""A real OAuth 2.0 authorization server on loopback over TLS, that can be told to misbehave.

The rules are oauthlib's; see `tests.oauth.validator` for what it knows.

async with AuthorizationServer(authority.server) as server:
    access, refresh = server.validator.issue("alice", "repo")
    server.script("/token", Reply(status=503))
    ...  # send to server.url("/token")
    await server.wait_for(lambda s: s.count("/token") == 1)
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl

import trustme
import uvicorn
from oauthlib.oauth2 import Server
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.oauth.validator import Client, Validator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    Handler = Callable[[Request], Awaitable[Response]]

METADATA = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered to one request in place of the real answer.

    Attributes:
        status: The status; None for the real answer.
        body: The body.
        headers: More headers.
        is_processed: Whether the request has its effect all the same: the
            refresh token is used up, and what is answered tells nothing of it.
        before: The request is processed when this is set.
        after: It is answered when this is set.
        never: There is no answer at all.
    """

    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_processed: bool = False
    before: asyncio.Event | None = None
    after: asyncio.Event | None = None
    never: bool = False


REAL = Reply()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came.

    Attributes:
        path: Its path.
        form: The parameters of its body, or of its query.
        headers: By lower-case name.
    """

    path: str
    form: Mapping[str, str]
    headers: Mapping[str, str]


class Authority:
    """A certificate authority, and what trusts it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.path = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.path))
        self.client = ssl.create_default_context(cafile=str(self.path))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.server)


class AuthorizationServer:
    """The server. To add endpoints, add to `routes` before it starts.

    Args:
        context: Its certificate; None for plain text.
        expires_in: How long its access tokens live, in seconds.

    Attributes:
        validator: What it knows.
        requests: Every request that came, in order.
        metadata: What it tells about itself besides issuer and token endpoint.
        routes: Its endpoints.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, expires_in: int = 3600) -> None:
        self.validator = Validator(clients={"bridge": Client()})
        self.requests: list[Seen] = []
        self.metadata: dict[str, object] = {}
        self._context = context
        self.rules = Server(
            self.validator,
            token_expires_in=expires_in,
            token_generator=lambda _: f"AT-{secrets.token_urlsafe(24)}",
            refresh_token_generator=lambda _: f"RT-{secrets.token_urlsafe(24)}",
        )
        self.routes = [
            Route("/token", self._scripted(self._token), methods=["POST"]),
            Route("/token/{tenant}", self._scripted(self._token), methods=["POST"]),
            Route("/user", self._scripted(self._user)),
            Route(METADATA, self._scripted(self._metadata)),
        ]
        self._script: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self._changed = asyncio.Condition()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(
            Starlette(routes=self.routes),
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_config=None,
            log_level="critical",
        )
        config.load()
        config.ssl = self._context
        self._http = uvicorn.Server(config)
        self._http.lifespan = config.lifespan_class(config)
        await self._http.startup()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        for server in self._http.servers:
            server.close()
        for connection in list(self._http.server_state.connections):
            connection.transport.abort()
        tasks = list(self._http.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def url(self, path: str = "") -> str:
        """Return the URL of an endpoint; without a path, the issuer."""
        port = self._http.servers[0].sockets[0].getsockname()[1]
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{port}{path}"

    def script(self, path: str, *replies: Reply) -> None:
        """Say what the next requests to an endpoint are answered; others have the real answer."""
        self._script[path].extend(replies)

    def seen(self, path: str) -> list[Seen]:
        """Return the requests to an endpoint."""
        return [request for request in self.requests if request.path == path]

    def count(self, path: str = "/token") -> int:
        """Return how many requests came to an endpoint."""
        return len(self.seen(path))

    async def wait_for(self, condition: Callable[[Self], bool], timeout_s: float = 10.0) -> None:
        """Wait until the condition holds; it is looked at after every request and answer."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: condition(self))
        except TimeoutError:
            paths = [request.path for request in self.requests]
            raise AssertionError(f"not within {timeout_s} s; requests: {paths}") from None

    def _scripted(self, handler: Handler) -> Handler:
        """Return a handler that keeps requests, and answers by the script."""

        async def handle(request: Request) -> Response:
            path, script = request.url.path, self._script[request.url.path]
            reply = script.popleft() if script else REAL
            text = request.url.query or (await request.body()).decode()
            async with self._changed:
                seen = Seen(path=path, form=dict(parse_qsl(text)), headers=dict(request.headers))
                self.requests.append(seen)
                self._changed.notify_all()
            return await self._reply(reply, handler, request)

        return handle

    async def _reply(self, reply: Reply, handler: Handler, request: Request) -> Response:
        if reply.before is not None:
            await reply.before.wait()
        is_processed = reply.is_processed or (reply.status is None and not reply.never)
        response = await handler(request) if is_processed else Response()
        async with self._changed:
            self._changed.notify_all()
        if reply.after is not None:
            await reply.after.wait()
        if reply.never:
            await self._closing.wait()
        if reply.status is None:
            response.headers.update(reply.headers)
            return response
        return Response(
            reply.body, reply.status, dict(reply.headers), media_type="application/json"
        )

    async def _token(self, request: Request) -> Response:
        shown = request.headers.get("authorization")
        headers, body, status = self.rules.create_token_response(
            # Plain text is as good on loopback, but the library insists on https.
            f"https://127.0.0.1{request.url.path}",
            "POST",
            (await request.body()).decode(),
            {} if shown is None else {"Authorization": shown},
        )
        return Response(body, status, headers)

    async def _user(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        is_known = token in self.validator.access_tokens
        return JSONResponse({}, 200 if is_known else 401)

    async def _metadata(self, _: Request) -> Response:
        methods = [method for method in self.validator.auth_methods if method != "none"]
        return JSONResponse(
            {
                "issuer": self.url(),
                "token_endpoint": self.url("/token"),
                "token_endpoint_auth_methods_supported": methods,
                **self.metadata,
            }
        )
