"""Trying access tokens where the store file says that they can be tried."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.commands.mcp.running import HTTP_LIMIT_S
from otelbridge.errors import OAuthError
from otelbridge.oauth.http import OAuthHttp
from otelbridge.oauth.validation import is_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelbridge.commands.mcp.status import Standing

_AT_A_TIME = 8


async def tried(standings: Sequence[Standing]) -> list[Standing]:
    """Return how tokens stand after those that can be tried were tried at ``validate_url``."""
    gate = asyncio.Semaphore(_AT_A_TIME)
    async with OAuthHttp(timeout_s=HTTP_LIMIT_S) as http:
        return await asyncio.gather(*(_tried(http, each, gate) for each in standings))


async def _tried(http: OAuthHttp, standing: Standing, gate: asyncio.Semaphore) -> Standing:
    if standing.trial is None:
        return standing
    url, token = standing.trial
    try:
        async with gate:
            answer = await http.get(url, bearer=token)
    except OAuthError as error:
        return standing._replace(problem=f"cannot be tried: {error}")
    if is_refusal(answer):
        return standing.refused(answer.status)
    if not answer.is_success:
        return standing._replace(problem=f"cannot be tried: {answer.error()}")
    return standing
