"""Requests to a token endpoint, and what its answers mean.

Source: RFC 6749 (sections 2.3.1, 4.4, 5.1, 5.2 and 6).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from otelbridge.domain.access import Secret
from otelbridge.errors import OAuthError, escaped
from otelbridge.store.tokens import Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.access import OAuth2Auth
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.oauth.http import Answer, OAuthHttp

_NS = 1_000_000_000
# Longer than any token lives; a server that says more says "for ever".
_MAX_LIFE_S = 10 * 365 * 86400
#: Types of tokens that are of no use without a key that the bridge does not have.
_BOUND_TYPES = frozenset({"dpop", "mac", "pop"})


async def request_token(
    http: OAuthHttp,
    metadata: Metadata,
    auth: OAuth2Auth,
    form: Mapping[str, str],
    *,
    now_ns: int,
    old: Link | None = None,
) -> Link:
    """Ask a token endpoint for tokens.

    Args:
        http: What to ask with.
        metadata: The authorization server.
        auth: The client's id and secret.
        form: The grant: all parameters but the client's.
        now_ns: The time before the request: a token's life counts from there.
        old: What is refreshed. Its refresh token and scopes stay in force if
            the answer has no others.

    Raises:
        OAuthError: If it refuses, fails or cannot be understood.
    """
    client, basic = client_parameters(metadata, auth)
    answer = await http.post(metadata.token_endpoint, {**form, **client}, basic=basic)
    return read_tokens(answer, now_ns=now_ns, old=old)


def read_tokens(answer: Answer, *, now_ns: int, old: Link | None = None) -> Link:
    """Return what a token endpoint's answer holds; see `request_token`.

    Raises:
        OAuthError: If it holds no access token.
    """
    if not answer.is_success:
        raise answer.error()
    data = answer.json()
    if "error" in data and "access_token" not in data:
        raise answer.error()
    access_token, token_type = _token(data.get("access_token")), data.get("token_type")
    if access_token is None:
        raise OAuthError(f"{answer.url}: the answer has no access_token", status=answer.status)
    if isinstance(token_type, str) and token_type.lower() in _BOUND_TYPES:
        problem = f"token_type is {escaped(token_type)}, Bearer is needed"
        raise OAuthError(f"{answer.url}: {problem}", status=answer.status)
    scope = data.get("scope")
    life_s = _life_s(data.get("expires_in"))
    return Link(
        access_token=access_token,
        expires_at_ns=None if life_s is None else now_ns + int(life_s * _NS),
        refresh_token=_token(data.get("refresh_token")) or (old.refresh_token if old else None),
        scopes=tuple(scope.split()) if isinstance(scope, str) else (old.scopes if old else ()),
    )


def client_parameters(
    metadata: Metadata, auth: OAuth2Auth
) -> tuple[dict[str, str], tuple[str, Secret] | None]:
    """Return how the client says who it is: parameters, and what goes into a header.

    The header is what every server must support (RFC 6749, section 2.3.1).
    """
    if auth.client_secret is None:
        return {"client_id": auth.client_id}, None
    methods = metadata.token_endpoint_auth_methods_supported
    if "client_secret_post" in methods and "client_secret_basic" not in methods:
        return {"client_id": auth.client_id, "client_secret": auth.client_secret.reveal()}, None
    return {}, (auth.client_id, auth.client_secret)


def _token(value: object) -> Secret | None:
    """Return a token; None if it is none that a header can hold (RFC 6749, appendix A.12)."""
    is_token = isinstance(value, str) and value and value.isascii() and value.isprintable()
    return Secret(str(value)) if is_token else None


def _life_s(value: object) -> float | None:
    """Return how long a token lives; None if the server did not say, or nothing of use."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        life_s = float(value)
    except (ValueError, OverflowError):
        return None
    # Some say 0 for "for ever"; a token that was never good is nothing to hand out.
    return None if math.isnan(life_s) or life_s <= 0 else min(life_s, _MAX_LIFE_S)
