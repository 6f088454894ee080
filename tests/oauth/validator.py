"""What the authorization server of the tests knows: clients, logins and tokens, in memory."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from oauthlib.oauth2 import RequestValidator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oauthlib.common import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client; a public one has no secret."""

    client_id: str = "bridge"
    secret: str = ""
    redirect_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token stands for."""

    client_id: str
    user: str = ""
    scopes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Validator(RequestValidator):
    """Rotates refresh tokens: one that was used is refused, as one that never was.

    Attributes:
        clients: By id.
        rotates: Whether a refresh gives another refresh token.
        auth_methods: How clients may authenticate.
        access_tokens: All that were issued and not revoked.
        refresh_tokens: Those that were not used up.
        spent: Refresh tokens that were used up.
        reused: How often one of them came again.
    """

    clients: dict[str, Client] = field(default_factory=dict)
    rotates: bool = True
    auth_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post", "none")
    access_tokens: dict[str, Grant] = field(default_factory=dict)
    refresh_tokens: dict[str, Grant] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    reused: int = 0

    def issue(self, user: str, *scopes: str, client_id: str = "bridge") -> tuple[str, str]:
        """Return an access and a refresh token, as after a login."""
        grant = Grant(client_id=client_id, user=user, scopes=scopes)
        access, refresh = f"AT-{secrets.token_urlsafe(24)}", f"RT-{secrets.token_urlsafe(24)}"
        self.access_tokens[access] = grant
        self.refresh_tokens[refresh] = grant
        return access, refresh

    def client_authentication_required(self, request: Request, *_: Any, **__: Any) -> bool:
        client = self.clients.get(request.client_id or "")
        return client is None or bool(client.secret) or "Authorization" in request.headers

    def authenticate_client(self, request: Request, *_: Any, **__: Any) -> bool:
        method, client_id, secret = _credentials(request)
        client = self.clients.get(client_id)
        if client is None or not client.secret or method not in self.auth_methods:
            return False
        request.client, request.client_id = client, client_id
        return secrets.compare_digest(client.secret, secret)

    def authenticate_client_id(self, client_id: str, request: Request, *_: Any, **__: Any) -> bool:
        client = self.clients.get(client_id)
        request.client = client
        return client is not None and not client.secret

    def validate_grant_type(self, *_: Any, **__: Any) -> bool:
        return True

    def validate_refresh_token(
        self, refresh_token: str, client: Any, request: Request, *_: Any, **__: Any
    ) -> bool:
        self.reused += refresh_token in self.spent
        grant = self.refresh_tokens.get(refresh_token)
        if grant is None or grant.client_id != client.client_id:
            return False
        request.user = grant.user
        return True

    def get_original_scopes(self, refresh_token: str, *_: Any, **__: Any) -> list[str]:
        return list(self.refresh_tokens[refresh_token].scopes)

    def get_default_scopes(self, *_: Any, **__: Any) -> list[str]:
        return []

    def validate_scopes(self, *_: Any, **__: Any) -> bool:
        return True

    def rotate_refresh_token(self, request: Request) -> bool:  # noqa: ARG002  # the library's form
        return self.rotates

    def save_token(self, token: Mapping[str, Any], request: Request, *_: Any, **__: Any) -> None:
        grant = Grant(
            client_id=request.client_id or "",
            user=request.user or "",
            scopes=tuple(request.scopes or ()),
        )
        self.access_tokens[token["access_token"]] = grant
        refresh_token = token.get("refresh_token")
        if request.refresh_token and refresh_token != request.refresh_token:
            self.refresh_tokens.pop(request.refresh_token, None)
            self.spent.add(request.refresh_token)
        if refresh_token:
            self.refresh_tokens[refresh_token] = grant


def _credentials(request: Request) -> tuple[str, str, str]:
    """Return how the client authenticates, its id and its secret."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Basic":
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        return "client_secret_basic", unquote_plus(client_id), unquote_plus(secret)
    return "client_secret_post", request.client_id or "", request.client_secret or ""
