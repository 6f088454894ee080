"""What a server answered, and what it means if it is no success.

Source: RFC 6749 (sections 5.1 and 5.2), RFC 9110 (section 10.2.3).
"""

from __future__ import annotations

import json
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.errors import OAuthError
from otelbridge.oauth.redaction import safe_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.access import Secret

#: Those 4xx tell of a moment, not of the request (RFC 9110, 15.5.9; RFC 6585, section 4).
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
#: And so do these words, whatever the status (RFC 6749, section 4.1.2.1; RFC 8628, section 3.5).
_PASSING_CODES = frozenset(
    {"authorization_pending", "server_error", "slow_down", "temporarily_unavailable"}
)


class Answer(NamedTuple):
    """A server's answer with any status but a redirect. Its repr shows no content.

    Attributes:
        status: The status code.
        headers: By lower-case name.
        body: All of it, at most 1 MiB.
        url: Where it came from, without its query.
        sent: The secrets in the request; no error repeats them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    sent: tuple[Secret, ...] = ()

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, url={self.url!r}, {len(self.body)} bytes)"

    @property
    def is_success(self) -> bool:
        """Return whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> dict[str, object]:
        """Return the JSON object in the body.

        Raises:
            OAuthError: If it holds none; nothing of the body is in the text.
        """
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise OAuthError(
                f"{self.url}: the answer ({self.status}) is not a JSON object", status=self.status
            )
        return data

    def error(self) -> OAuthError:
        """Return what an answer without success means (RFC 6749, section 5.2).

        A 4xx is permanent, except 408 and 429, and so is a 2xx with an
        ``error`` in it, as some servers answer.
        """
        code, words = self._words()
        is_refusal = self.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in _PASSING
        return OAuthError(
            ": ".join(filter(None, (self.url, f"status {self.status}", code, words))),
            is_permanent=is_refusal and code not in _PASSING_CODES,
            code=code,
            status=self.status,
            retry_after_s=self.retry_after_s(),
        )

    def retry_after_s(self) -> float | None:
        """Return the seconds to wait by Retry-After, which may be a date; None without one."""
        value = self.headers.get("retry-after", "")
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            # A date is held against the server's own clock where it tells it.
            now = parsedate_to_datetime(self.headers.get("date") or formatdate(usegmt=True))
            return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
        except (ValueError, TypeError, OverflowError):
            return None

    def _words(self) -> tuple[str, str]:
        try:
            data = self.json()
        except OAuthError:
            return "", ""
        code, words = (
            safe_words(value, self.sent) if isinstance(value, str) else ""
            for value in (data.get("error"), data.get("error_description"))
        )
        return code, words
