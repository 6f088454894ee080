"""When a link that was marked broken is of no use, and when it is tried again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from otelbridge.errors import escaped
from otelbridge.store.tokens import MAX_REASON, Broken

if TYPE_CHECKING:
    from otelbridge.domain.access import OAuth2Auth
    from otelbridge.errors import OAuthError
    from otelbridge.store.tokens import Link

_DIGITS = 16
#: The login itself is refused: only another one helps (RFC 6749, section 5.2;
#: the second is GitHub's word for it). Other refusals are of the client, its
#: settings or the request.
_LOGIN_REFUSED = frozenset({"invalid_grant", "bad_refresh_token"})


def broken_by(
    error: OAuthError, auth: OAuth2Auth, *, now_ns: int, was_interrupted: bool = False
) -> Broken:
    """Return the mark for a link that the token endpoint refused for good.

    Args:
        error: What it said.
        auth: The settings that were used.
        now_ns: The time.
        was_interrupted: Whether an earlier refresh began and its answer was
            never stored.
    """
    is_login = error.code in _LOGIN_REFUSED
    hint = "an interrupted refresh used the refresh token up: " if was_interrupted else ""
    return Broken(
        reason=escaped(f"{hint if is_login else ''}{error}", MAX_REASON),
        since_ns=now_ns,
        settings="" if is_login else fingerprint(auth),
    )


def active_mark(link: Link, auth: OAuth2Auth) -> Broken | None:
    """Return why a link is of no use; None if it is worth a try.

    A link is broken until the next login. One that was refused for other
    reasons than the login is also tried again with other settings: a client
    secret that was corrected must not ask everybody to log in.
    """
    mark = link.broken
    if mark is None or (mark.settings and mark.settings != fingerprint(auth)):
        return None
    return mark


def fingerprint(auth: OAuth2Auth) -> str:
    """Return what changes when the settings for refreshing do."""
    secret = "" if auth.client_secret is None else auth.client_secret.reveal()
    parts = (auth.client_id, secret, auth.issuer, auth.token_url, *auth.scopes)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]
