"""A login with a browser: an authorization code, with PKCE, on a loopback redirect.

Source: OAuth 2.1 (sections 4.1 and 7.5), RFC 7636 (section 4), RFC 8252 (section 7.3),
RFC 8707 (section 2), RFC 9207 (section 2.4).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode

from otelbridge.domain.access import Secret
from otelbridge.errors import OAuthError, escaped
from otelbridge.oauth.grants import request_token
from otelbridge.oauth.redaction import safe_words
from otelbridge.oauth.urls import SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otelbridge.domain.access import OAuth2Auth
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.oauth.http import OAuthHttp
    from otelbridge.store.tokens import Link

    #: The parameters of an answer. One that is there twice is a mistake.
    Parameters: TypeAlias = Mapping[str, Sequence[str]]

_ENTROPY_BYTES = 32  # 43 characters: the fewest that a verifier may have (RFC 7636, section 4.1)
_METHOD = "S256"


def check_pkce(metadata: Metadata, auth: OAuth2Auth) -> None:
    """Check that the authorization server does PKCE with S256.

    The MCP specification (Authorization Code Protection) forbids to go on if
    its document does not say so. An authorization_url in the store file is
    the operator's word for it.

    Raises:
        OAuthError: If it does not say so.
    """
    methods = metadata.code_challenge_methods_supported
    if auth.authorization_url or _METHOD in methods:
        return
    offered = escaped(", ".join(methods)) or "none"
    raise OAuthError(
        f"{metadata.issuer}: code_challenge_methods_supported is {offered}, {_METHOD} is needed; "
        "if it is supported all the same, set authorization_url"
    )


def _drawn() -> Secret:
    return Secret(secrets.token_urlsafe(_ENTROPY_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """One authorization request, and what its answer must be.

    Attributes:
        metadata: The authorization server.
        client_id: Ours.
        scopes: What is asked for.
        resource: The MCP server's identifier.
        redirect_uri: Where the answer is expected.
        state: What the answer must repeat; drawn for this request.
        verifier: What proves at the token endpoint that the request was ours.
    """

    metadata: Metadata
    client_id: str
    scopes: Sequence[str]
    resource: str
    redirect_uri: str
    state: Secret = field(default_factory=_drawn)
    verifier: Secret = field(default_factory=_drawn)

    @property
    def url(self) -> str:
        """Return what the user opens. There is no secret in it but the state."""
        digest = hashlib.sha256(self.verifier.reveal().encode()).digest()
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.scopes),
            "state": self.state.reveal(),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": _METHOD,
            "resource": self.resource,
        }
        query = urlencode({name: value for name, value in parameters.items() if value})
        # The endpoint's own query stays (RFC 6749, section 3.1).
        endpoint = self.metadata.authorization_endpoint.partition("#")[0]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def is_answered_by(self, answer: Parameters) -> bool:
        """Return whether an answer is to this request: any page can send the browser here."""
        states = answer.get("state", ())
        expected = self.state.reveal().encode()
        return len(states) == 1 and hmac.compare_digest(states[0].encode(), expected)

    def code_of(self, answer: Parameters) -> Secret:
        """Return the authorization code of an answer to this request.

        Raises:
            OAuthError: If another authorization server answers, this one
                refuses, or the answer breaks the rules. Nothing that another
                server says is in the text.
        """
        self._check_issuer(answer.get("iss", ()))
        errors, codes = answer.get("error", ()), answer.get("code", ())
        if errors:
            words = safe_words(" ".join(answer.get("error_description", ())))
            code = safe_words(errors[0])
            said = f"{code}: {words}" if words else code
            raise OAuthError(
                f"the authorization server answers {said}", is_permanent=True, code=code
            )
        if len(codes) != 1 or not codes[0]:
            raise OAuthError(f"the answer has {len(codes)} codes, one is expected")
        return Secret(codes[0])

    def _check_issuer(self, named: Sequence[str]) -> None:
        """Check who answers, before anything of the answer is used."""
        issuer = self.metadata.issuer
        if not named and self.metadata.authorization_response_iss_parameter_supported:
            raise OAuthError(f"the answer has no iss, which {issuer} promises")
        if named and issuer and list(named) != [issuer]:
            shown = escaped(" ".join(named), SHOWN)
            raise OAuthError(f'the answer comes from "{shown}", not from "{issuer}"')


async def redeem(
    http: OAuthHttp, request: LoginRequest, auth: OAuth2Auth, code: Secret, *, now_ns: int
) -> Link:
    """Exchange an authorization code for tokens.

    Args:
        http: What to ask with.
        request: What the code is the answer to.
        auth: The client's id and secret.
        code: See `LoginRequest.code_of`.
        now_ns: The time.

    Raises:
        OAuthError: If the token endpoint refuses, fails or cannot be understood.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.verifier.reveal(),
        "resource": request.resource,
    }
    link = await request_token(http, request.metadata, auth, form, now_ns=now_ns)
    return with_scopes(link, request.scopes)


def with_scopes(link: Link, asked: Sequence[str]) -> Link:
    """Return a new login with the scopes it has: those asked for, if the server did not say.

    Source: RFC 6749, section 5.1.
    """
    return replace(link, scopes=link.scopes or tuple(asked))
