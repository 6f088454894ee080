"""Trying an access token where it is used."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from otelbridge.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.domain.access import Secret
    from otelbridge.oauth.http import Answer, OAuthHttp

_SHORTEST_S = 0.05  # TLS with a server far away; in less there is no use to try
#: How servers say that none of the allowed requests is left.
_REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")


async def is_valid(
    http: OAuthHttp,
    url: str,
    token: Secret,
    *,
    gate: asyncio.Semaphore,
    timeout_s: float,
) -> bool:
    """Return whether a token may be handed out: only a clear refusal says no.

    A server that is slow, down, or has too many requests says nothing about
    the token.

    Args:
        http: What to ask with.
        url: Where to try it.
        token: The access token.
        gate: Bounds how many are tried at a time.
        timeout_s: How long to wait, the gate included, in seconds.
    """
    clock = asyncio.get_running_loop().time
    until_s = clock() + timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            await gate.acquire()
    except TimeoutError:
        return True
    left_s = until_s - clock()
    try:
        if left_s < _SHORTEST_S:
            return True
        answer = await http.get(url, bearer=token, timeout_s=left_s)
    except OAuthError:
        return True
    finally:
        gate.release()
    return not is_refusal(answer)


def is_refusal(answer: Answer) -> bool:
    """Return whether an answer clearly says that the access token is of no use."""
    if answer.status == HTTPStatus.FORBIDDEN:
        return not _is_rate_limited(answer.headers)
    return answer.status == HTTPStatus.UNAUTHORIZED


def _is_rate_limited(headers: Mapping[str, str]) -> bool:
    return "retry-after" in headers or any(headers.get(name) == "0" for name in _REMAINING)
