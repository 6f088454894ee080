"""What the tests' authorization server knows of logins that are under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tests.oauth.validator import Validator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oauthlib.common import Request


@dataclass(slots=True, kw_only=True)
class Code:
    """An authorization code, or a device's.

    Attributes:
        status: What a device that asks is told.
    """

    client_id: str
    scopes: tuple[str, ...]
    user: str = ""
    redirect_uri: str = ""
    challenge: str = ""
    method: str = ""
    resource: str = ""
    status: str = "authorization_pending"


@dataclass(slots=True, kw_only=True)
class LoginValidator(Validator):
    """Knows logins that are under way, too.

    Attributes:
        codes: Authorization codes that were not used.
        devices: Device codes.
    """

    codes: dict[str, Code] = field(default_factory=dict)
    devices: dict[str, Code] = field(default_factory=dict)

    def validate_client_id(self, client_id: str, request: Request, *_: Any, **__: Any) -> bool:
        request.client = self.clients.get(client_id)
        return request.client is not None

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, *_: Any, **__: Any) -> bool:
        # Of a loopback redirect the port may be any (RFC 8252, section 7.3).
        parts = urlsplit(redirect_uri)
        known = self.clients[client_id].redirect_uris
        return urlunsplit(parts._replace(netloc=parts.hostname or "")) in known

    def validate_response_type(
        self, client_id: str, response_type: str, *_: Any, **__: Any
    ) -> bool:
        return client_id in self.clients and response_type == "code"

    def is_pkce_required(self, *_: Any) -> bool:
        return True

    def save_authorization_code(
        self, client_id: str, code: Mapping[str, Any], request: Request, *_: Any, **__: Any
    ) -> None:
        self.codes[code["code"]] = Code(
            client_id=client_id,
            scopes=tuple(request.scopes or ()),
            user=request.user or "",
            redirect_uri=request.redirect_uri or "",
            challenge=request.code_challenge or "",
            method=request.code_challenge_method or "",
            resource=dict(request.uri_query_params).get("resource", ""),
        )

    def validate_code(
        self, client_id: str, code: str, client: Any, request: Request, *_: Any, **__: Any
    ) -> bool:
        known = self.codes.get(code)
        if known is None or client_id != known.client_id or client.client_id != client_id:
            return False
        request.user, request.scopes = known.user, list(known.scopes)
        # RFC 8707, section 2.2: not for more than was authorized.
        return dict(request.decoded_body or ()).get("resource") == known.resource

    def get_code_challenge(self, code: str, _: Request) -> str:
        return self.codes[code].challenge

    def get_code_challenge_method(self, code: str, _: Request) -> str:
        return self.codes[code].method

    def confirm_redirect_uri(
        self, client_id: str, code: str, redirect_uri: str, *_: Any, **__: Any
    ) -> bool:
        known = self.codes[code]
        return (known.client_id, known.redirect_uri) == (client_id, redirect_uri)

    def invalidate_authorization_code(
        self,
        client_id: str,  # noqa: ARG002  # the library's form
        code: str,
        *_: Any,
        **__: Any,
    ) -> None:
        del self.codes[code]

    def validate_device_code(self, client_id: str, code: str, request: Request) -> str | None:
        device = self.devices.get(code)
        if device is None or device.client_id != client_id:
            return None
        request.user, request.scopes = device.user, list(device.scopes)
        return device.status

    def revoke_token(self, token: str, *_: Any, **__: Any) -> None:
        self.access_tokens.pop(token, None)
        grant = self.refresh_tokens.pop(token, None)
        if grant is not None:
            self.access_tokens = {t: g for t, g in self.access_tokens.items() if g != grant}
