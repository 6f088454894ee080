"""The endpoints to use for an MCP server: those of the store file, then discovered ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from otelbridge.errors import OAuthError
from otelbridge.oauth.discovery import Metadata, discover
from otelbridge.oauth.urls import is_same_origin

if TYPE_CHECKING:
    from otelbridge.domain.access import OAuth2Auth
    from otelbridge.oauth.http import OAuthHttp


async def endpoints_of(
    http: OAuthHttp, auth: OAuth2Auth, *, resource: str, needed: str = "token_endpoint"
) -> Metadata:
    """Return what is known about the authorization server of an MCP server.

    URLs of the store file win. Without an issuer in it the MCP server is
    asked for one, only if a needed URL is missing; what that server names is
    not sent a token or a client's secret unless token_url is of the same origin.

    Args:
        http: What to ask with.
        auth: As the store file has it.
        resource: The MCP server's URL.
        needed: A field of `Metadata` without which the caller cannot go on.

    Raises:
        OAuthError: If the needed endpoint cannot be discovered. With all that
            is needed in the store file, discovery may fail.
    """
    given = {
        "token_endpoint": auth.token_url,
        "authorization_endpoint": auth.authorization_url,
        "device_authorization_endpoint": auth.device_authorization_url,
    }
    is_enough = all(given.get(name) for name in ("token_endpoint", needed))
    if is_enough and not auth.issuer:
        return _overlaid(Metadata(), auth)
    try:
        found = await discover(
            http, issuer=auth.issuer or None, resource=resource, token_url=auth.token_url
        )
    except OAuthError:
        if not is_enough:
            raise
        found = Metadata(issuer=auth.issuer)
    if not auth.issuer:
        found = _held_back(found, auth.token_url)
    return _overlaid(found, auth)


def _overlaid(found: Metadata, auth: OAuth2Auth) -> Metadata:
    return replace(
        found,
        token_endpoint=auth.token_url or found.token_endpoint,
        authorization_endpoint=auth.authorization_url or found.authorization_endpoint,
        device_authorization_endpoint=(
            auth.device_authorization_url or found.device_authorization_endpoint
        ),
    )


def _held_back(found: Metadata, token_url: str) -> Metadata:
    """Return it without what would be sent credentials on the MCP server's word alone."""

    def known(url: str) -> str:
        return url if is_same_origin(url, token_url) else ""

    return replace(
        found,
        device_authorization_endpoint=known(found.device_authorization_endpoint),
        revocation_endpoint=known(found.revocation_endpoint),
    )
