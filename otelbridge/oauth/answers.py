"""What a gateway is told about a token, and what follows from a link as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.access import Grant
from otelbridge.oauth.marks import active_mark
from otelbridge.store.tokens import NoToken

if TYPE_CHECKING:
    from otelbridge.domain.access import OAuth2Auth, Secret
    from otelbridge.store.tokens import Broken, Link


class NoAccess(NamedTuple):
    """Why there is no access token.

    Attributes:
        outcome: One of few words: it becomes a label.
        text: For the gateway, at most 400 characters; no secret is in it.
    """

    outcome: str
    text: str

    @classmethod
    def of(cls, reason: NoToken) -> NoAccess:
        """Return one of the contract's reasons."""
        return cls(reason.name.lower(), reason.value)


def standing(
    link: Link | None, auth: OAuth2Auth, *, now_ns: int, refused: Link | None = None
) -> Secret | NoAccess | None:
    """Return what a link is good for; None if an access token must be got first.

    Args:
        link: As it is in the file.
        auth: How tokens are got.
        now_ns: The time.
        refused: A link whose access token was tried and is invalid.
    """
    if link is None:
        is_for_all = auth.grant is Grant.CLIENT_CREDENTIALS
        return None if is_for_all else NoAccess.of(NoToken.NO_LINK)
    mark = active_mark(link, auth)
    if mark is not None:
        return refusal(mark)
    if not link.is_expired(now_ns) and not link.is_same_login(refused):
        return link.access_token
    if auth.grant is Grant.REFRESH_TOKEN and link.refresh_token is None:
        return NoAccess.of(NoToken.EXPIRED)
    return None


def refusal(mark: Broken) -> NoAccess:
    """Return what is told of a broken link: what is wrong with the settings, or that it is over."""
    if not mark.settings:
        return NoAccess.of(NoToken.EXPIRED)
    return NoAccess("refused", mark.reason)
