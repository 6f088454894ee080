"""Fixtures: a certificate authority, an authorization server, and the bridge beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelbridge.oauth.http import OAuthHttp
from tests.oauth.authorization_server import Authority, AuthorizationServer
from tests.oauth.login_server import LoginServer
from tests.oauth.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def authorization(authority: Authority) -> AsyncIterator[AuthorizationServer]:
    async with AuthorizationServer(authority.server) as server:
        yield server


@pytest.fixture
async def world(
    authority: Authority, authorization: AuthorizationServer, tmp_path: Path
) -> AsyncIterator[World]:
    path = tmp_path / "tokens.json"
    async with World(path=path, authority=authority, authorization=authorization) as world:
        yield world


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[LoginServer]:
    async with LoginServer(authority.server) as started:
        started.publish()
        yield started


@pytest.fixture
async def http(authority: Authority) -> AsyncIterator[OAuthHttp]:
    async with OAuthHttp(timeout_s=5.0, context=authority.client) as client:
        yield client
