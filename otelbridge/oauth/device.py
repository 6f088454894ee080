"""A login without a browser here: the user enters a code on another machine.

Source: RFC 8628 (sections 3.1 to 3.5), RFC 8707 (section 2).
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from otelbridge.domain.access import Secret
from otelbridge.errors import OAuthError, escaped
from otelbridge.oauth.documents import text_of
from otelbridge.oauth.grants import client_parameters, request_token
from otelbridge.oauth.login import with_scopes
from otelbridge.oauth.urls import check_told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from otelbridge.domain.access import OAuth2Auth
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.oauth.http import OAuthHttp
    from otelbridge.store.tokens import Link

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL_S = 5.0  # where the server does not say; also what slow_down adds (section 3.5)
_LONGEST_INTERVAL_S = 60.0
_LIFE_S = 900.0  # a server must say; half an hour is what the longest-lived ones have
_LONGEST_LIFE_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLogin:
    """A login that waits for the user.

    Attributes:
        device_code: What tokens are asked for with.
        user_code: What the user enters.
        verification_uri: Where.
        complete_uri: Where nothing is left to enter; empty if there is none.
        life_s: How long the codes are good for, in seconds.
        interval_s: How often to ask, in seconds.
    """

    device_code: Secret
    user_code: str
    verification_uri: str
    complete_uri: str = ""
    life_s: float = _LIFE_S
    interval_s: float = _INTERVAL_S

    def within(self, limit_s: float) -> DeviceLogin:
        """Return it as one that is waited for no longer than that, in seconds."""
        return replace(self, life_s=min(self.life_s, limit_s))


async def begin(
    http: OAuthHttp, metadata: Metadata, auth: OAuth2Auth, *, resource: str
) -> DeviceLogin:
    """Ask for a code that the user enters.

    Args:
        http: What to ask with.
        metadata: The authorization server.
        auth: The client, and what it asks for.
        resource: The MCP server's identifier.

    Raises:
        OAuthError: If the server refuses, fails or cannot be understood.
    """
    client, basic = client_parameters(metadata, auth)
    form = {"scope": " ".join(auth.scopes), "resource": resource, "client_id": auth.client_id}
    answer = await http.post(
        metadata.device_authorization_endpoint,
        {name: value for name, value in {**form, **client}.items() if value},
        basic=basic,
    )
    if not answer.is_success:
        raise answer.error()
    try:
        return _read(answer.json(), asked=metadata.device_authorization_endpoint)
    except OAuthError as error:
        raise OAuthError(f"{answer.url}: {error}", status=answer.status) from None


async def wait(
    http: OAuthHttp,
    metadata: Metadata,
    auth: OAuth2Auth,
    login: DeviceLogin,
    *,
    resource: str,
    clock_ns: Callable[[], int],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Link:
    """Ask for tokens until the user has entered the code.

    Args:
        http: What to ask with.
        metadata: The authorization server.
        auth: The client, and what it asks for.
        login: See `begin`.
        resource: The MCP server's identifier.
        clock_ns: The time.
        pause: Waits for a number of seconds.

    Raises:
        OAuthError: If the user refuses or the code expires, or the server
            refuses or cannot be understood. A server that cannot be reached
            is asked again, each time after twice the pause.
    """
    form = {
        "grant_type": _GRANT,
        "device_code": login.device_code.reveal(),
        "resource": resource,
    }
    interval_s = login.interval_s
    deadline_ns = clock_ns() + int(login.life_s * 1_000_000_000)
    while True:
        await pause(interval_s)
        now_ns = clock_ns()
        if now_ns > deadline_ns:
            raise OAuthError(f"nobody entered the code within {login.life_s:g} s")
        try:
            link = await request_token(http, metadata, auth, form, now_ns=now_ns)
            return with_scopes(link, auth.scopes)
        except OAuthError as error:
            interval_s = _next_interval_s(error, interval_s)


def _next_interval_s(error: OAuthError, interval_s: float) -> float:
    """Return how long to wait before asking again (section 3.5)."""
    if error.code == "authorization_pending":
        return interval_s
    if error.code == "slow_down":
        return interval_s + _INTERVAL_S
    if error.code == "expired_token":
        raise OAuthError("the code expired before anybody entered it", code=error.code) from None
    if error.code == "access_denied":
        raise OAuthError("the user refused the login", code=error.code) from None
    if error.is_permanent or error.code or error.status == HTTPStatus.OK:
        raise error
    return max(min(2 * interval_s, _LONGEST_INTERVAL_S), interval_s, error.retry_after_s or 0.0)


def _read(data: Mapping[str, Any], *, asked: str) -> DeviceLogin:
    device_code, user_code = text_of(data, "device_code"), text_of(data, "user_code")
    if not device_code or not user_code:
        raise OAuthError("device_code or user_code is missing")
    # An early draft, which some servers still follow, has "verification_url".
    uri = text_of(data, "verification_uri") or text_of(data, "verification_url")
    complete = text_of(data, "verification_uri_complete")
    for url in filter(None, (uri, complete)):
        check_told(url, by=asked)
    if not uri:
        raise OAuthError("verification_uri is missing")
    return DeviceLogin(
        device_code=Secret(device_code),
        user_code=escaped(user_code),
        verification_uri=uri,
        complete_uri=complete,
        life_s=min(_seconds(data.get("expires_in"), _LIFE_S), _LONGEST_LIFE_S),
        interval_s=min(_seconds(data.get("interval"), _INTERVAL_S), _LONGEST_INTERVAL_S),
    )


def _seconds(value: object, default: float) -> float:
    """Return a number of seconds, one at least."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return default
    return max(float(min(value, 1e9)), 1.0)
