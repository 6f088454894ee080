"""Telling an authorization server that tokens are not used any more.

Source: RFC 7009 (sections 2.1 and 2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.oauth.grants import client_parameters

if TYPE_CHECKING:
    from otelbridge.domain.access import OAuth2Auth
    from otelbridge.oauth.discovery import Metadata
    from otelbridge.oauth.http import OAuthHttp
    from otelbridge.store.tokens import Link


async def revoke(http: OAuthHttp, metadata: Metadata, auth: OAuth2Auth, link: Link) -> None:
    """Revoke the tokens of a login.

    The refresh token goes first: most servers end its access tokens with it.

    Args:
        http: What to ask with.
        metadata: The authorization server, with its revocation endpoint.
        auth: The client's id and secret.
        link: The login.

    Raises:
        OAuthError: If the server refuses or fails. A token that it does not
            know is no error.
    """
    client, basic = client_parameters(metadata, auth)
    tokens = {"refresh_token": link.refresh_token, "access_token": link.access_token}
    for kind, token in tokens.items():
        if token is None or not token.reveal():
            continue
        form = {"token": token.reveal(), "token_type_hint": kind, **client}
        answer = await http.post(metadata.revocation_endpoint, form, basic=basic)
        if not answer.is_success:
            raise answer.error()
