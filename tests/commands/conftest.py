"""Fixtures: an authorization server over TLS, and an installation whose MCP servers trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.commands.mcp_world import OTHER_SERVERS, Installation, oauth2
from tests.oauth.authorization_server import Authority
from tests.oauth.login_server import LoginServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[LoginServer]:
    async with LoginServer(authority.server) as started:
        started.publish()
        yield started


@pytest.fixture
def here(tmp_path: Path, authority: Authority, server: LoginServer) -> Installation:
    installation = Installation(tmp_path, authority)
    installation.store(oauth2(server), OTHER_SERVERS)
    return installation
