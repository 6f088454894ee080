"""The tests' authorization server with what a login needs, and an MCP server beside it.

async with LoginServer(authority.server) as server:
    server.user = None                      # who is asked refuses
    server.answer = {"iss": "https://x"}    # what the browser brings besides, or instead
    server.enter(user_code)                 # the user enters a device's code
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from oauthlib.oauth2 import (
    AccessDeniedError,
    AuthorizationEndpoint,
    DeviceApplicationServer,
    RevocationEndpoint,
    Server,
)
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.oauth.authorization_server import AuthorizationServer
from tests.oauth.login_validator import Code, LoginValidator
from tests.oauth.validator import Client

if TYPE_CHECKING:
    import ssl

    from starlette.requests import Request as HttpRequest

RESOURCE_METADATA = "/.well-known/oauth-protected-resource/mcp"


class LoginServer(AuthorizationServer):
    """Authorization, device and revocation endpoints; and ``/mcp``, which needs a token.

    Attributes:
        user: Who logs in; None to refuse.
        answer: Parameters put into the browser's answer; None takes one away.
        documents: More documents, by path.
        challenge: WWW-Authenticate of ``/mcp``; empty for none.
        fate: What becomes of a device's code at once.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, expires_in: int = 3600) -> None:
        super().__init__(context, expires_in=expires_in)
        redirects = ("http://127.0.0.1/callback",)
        self.validator: LoginValidator = LoginValidator(
            clients={
                "bridge": Client(redirect_uris=redirects),
                "confidential": Client(
                    client_id="confidential", secret="s3cret-of-the-client", redirect_uris=redirects
                ),
            }
        )
        self.rules = Server(
            self.validator,
            token_expires_in=expires_in,
            token_generator=lambda _: f"AT-{secrets.token_urlsafe(24)}",
            refresh_token_generator=lambda _: f"RT-{secrets.token_urlsafe(24)}",
        )
        self.user: str | None = "alice"
        self.answer: dict[str, str | None] = {}
        self.documents: dict[str, object] = {}
        self.challenge = ""
        self.fate = "authorization_pending"
        self.interval = 1
        more = {
            "/authorize": self._authorize,
            "/device": self._device,
            "/revoke": self._revoke,
            "/mcp": self._mcp,
            "/{path:path}": self._document,
        }
        self.routes += [
            Route(path, self._scripted(handler), methods=["GET", "POST"])
            for path, handler in more.items()
        ]

    def publish(self, **more: object) -> None:
        """Tell of every endpoint in the metadata."""
        self.metadata = {
            "authorization_endpoint": self.url("/authorize"),
            "device_authorization_endpoint": self.url("/device"),
            "revocation_endpoint": self.url("/revoke"),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **more,
        }

    def enter(self, user_code: str, *, status: str = "authorized") -> None:
        """Let the user enter a device's code, or something else become of it."""
        [device] = [d for d in self.validator.devices.values() if d.challenge == user_code]
        device.status, device.user = status, self.user or ""

    async def _authorize(self, request: HttpRequest) -> Response:
        uri = f"https://127.0.0.1{request.url.path}?{request.url.query}"
        endpoint: AuthorizationEndpoint = self.rules
        scopes, credentials = endpoint.validate_authorization_request(uri)
        if self.user is None:
            refusal = AccessDeniedError(state=credentials["state"])
            return self._brought(refusal.in_uri(credentials["redirect_uri"]))
        headers, _, _ = endpoint.create_authorization_response(
            uri, scopes=scopes, credentials={"user": self.user}
        )
        return self._brought(headers["Location"])

    def _brought(self, location: str) -> Response:
        """Send the browser back, with what the test wants it to bring."""
        parts = urlsplit(location)
        query: dict[str, str | None] = dict(parse_qsl(parts.query))
        query |= {"iss": self.url(), **self.answer}
        brought = urlencode({name: value for name, value in query.items() if value is not None})
        return RedirectResponse(urlunsplit(parts._replace(query=brought)), 302)

    async def _device(self, request: HttpRequest) -> Response:
        rules = DeviceApplicationServer(
            cast("Any", self.validator),
            verification_uri=self.url("/activate"),
            verification_uri_complete=f"{self.url('/activate')}?user_code={{user_code}}",
            interval=self.interval,
            user_code_generator=cast("Any", lambda: secrets.token_hex(4).upper()),
        )
        body = (await request.body()).decode()
        headers, answer, status = rules.create_device_authorization_response(
            "https://127.0.0.1/device", "POST", body, _headers(request)
        )
        data = cast("dict[str, Any]", answer)
        if status == 200:
            self.validator.devices[data["device_code"]] = Code(
                client_id=_client_id(request, body),
                scopes=tuple(data.get("scope", "").split()),
                challenge=data["user_code"],
                status=self.fate,
            )
            return JSONResponse(data, status, headers)
        return Response(data, status, headers)

    async def _revoke(self, request: HttpRequest) -> Response:
        endpoint: RevocationEndpoint = self.rules
        headers, body, status = endpoint.create_revocation_response(
            "https://127.0.0.1/revoke", "POST", (await request.body()).decode(), _headers(request)
        )
        return Response(body, status, headers)

    async def _mcp(self, request: HttpRequest) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.validator.access_tokens:
            return JSONResponse({})
        return Response(
            status_code=401, headers={"www-authenticate": self.challenge} if self.challenge else {}
        )

    async def _document(self, request: HttpRequest) -> Response:
        document = self.documents.get(request.url.path)
        if document is None:
            return Response(status_code=404)
        return Response(document) if isinstance(document, bytes) else JSONResponse(document)


def _headers(request: HttpRequest) -> dict[str, str]:
    names = {"authorization": "Authorization", "content-type": "Content-Type"}
    return {names[name]: value for name, value in request.headers.items() if name in names}


def _client_id(request: HttpRequest, body: str) -> str:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        return base64.b64decode(encoded).decode().partition(":")[0]
    return dict(parse_qsl(body))["client_id"]
