"""A valid store file becomes a snapshot."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from otelbridge.domain.access import (
    Bedrock,
    Gateway,
    Key,
    McpServer,
    OAuth2Auth,
    Provider,
    Snapshot,
    StaticAuth,
    User,
)
from otelbridge.domain.budgets import Budget
from otelbridge.store.schema import NoAuthTable, StaticAuthTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from otelbridge.store.schema import (
        BudgetTable,
        Document,
        KeyTable,
        McpServerTable,
        OAuth2AuthTable,
        ProviderTable,
    )

Users: TypeAlias = "Mapping[str, User]"


def build_snapshot(document: Document) -> Snapshot:
    """Return what the file says, indexed.

    Args:
        document: A file whose references were checked.

    Raises:
        KeyError: If it names a user that it does not have.
    """
    gateways = [Gateway(name=g.name, key_sha256=g.key_sha256) for g in document.gateway]
    users = {u.name: User(id=u.id, name=u.name, status=u.status) for u in document.user}
    keys = [_key(table, users) for table in document.key]
    servers = [_mcp_server(table, users) for table in document.mcp_server]
    providers = [_provider(table) for table in document.provider]
    return Snapshot(
        users=MappingProxyType({user.id: user for user in users.values()}),
        keys=MappingProxyType({key.id: key for key in keys}),
        gateways=MappingProxyType({gateway.key_sha256: gateway for gateway in gateways}),
        mcp_servers=MappingProxyType({server.id: server for server in servers}),
        providers=MappingProxyType({provider.name: provider for provider in providers}),
        budgets=MappingProxyType(_budgets(document.budget, users)),
    )


def _key(table: KeyTable, users: Users) -> Key:
    return Key(
        id=table.id,
        user=users[table.user],
        secret_sha256=table.secret_sha256,
        expires_at_ns=table.expires_at,
    )


def _mcp_server(table: McpServerTable, users: Users) -> McpServer:
    auth: StaticAuth | OAuth2Auth | None = None
    if isinstance(table.auth, StaticAuthTable):
        auth = _static(table.auth, users)
    elif not isinstance(table.auth, NoAuthTable):
        auth = _oauth2(table.auth)
    return McpServer(
        id=table.id,
        url=table.url,
        tool_allow_regex=table.tool_allow_regex,
        tool_deny_regex=table.tool_deny_regex,
        receives_coder_token=table.receives_coder_token,
        auth=auth,
    )


def _static(table: StaticAuthTable, users: Users) -> StaticAuth:
    tokens = {users[name].id: token for name, token in table.tokens.items()}
    return StaticAuth(token=table.token, tokens=MappingProxyType(tokens))


def _oauth2(table: OAuth2AuthTable) -> OAuth2Auth:
    return OAuth2Auth(
        grant=table.grant,
        client_id=table.client_id,
        client_secret=table.client_secret,
        scopes=tuple(table.scopes),
        issuer=table.issuer or "",
        token_url=table.token_url or "",
        authorization_url=table.authorization_url or "",
        device_authorization_url=table.device_authorization_url or "",
        validate_url=table.validate_url or "",
    )


def _provider(table: ProviderTable) -> Provider:
    bedrock = table.bedrock
    return Provider(
        name=table.name,
        type=table.type,
        enabled=table.enabled,
        base_url=table.base_url or "",
        keys=tuple(table.keys),
        bedrock=None if bedrock is None else Bedrock(**dict(bedrock)),
    )


def _budgets(tables: list[BudgetTable], users: Users) -> dict[UUID | None, Budget]:
    return {
        None if table.user == "*" else users[table.user].id: Budget(
            limit_micros=table.limit_usd, period=table.period
        )
        for table in tables
    }
