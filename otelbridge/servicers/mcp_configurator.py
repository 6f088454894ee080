"""The MCPConfigurator service: which MCP servers a user has, with which access tokens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from otelbridge.domain.access import OAuth2Auth, Secret
from otelbridge.errors import InvalidRequestError, StoreError, escaped
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.messages import parse_uuid
from otelbridge.store.tokens import token_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from otelbridge.domain.access import McpServer
    from otelbridge.servicers.methods import Call, Count
    from otelbridge.store import Store
    from otelbridge.store.tokens import Links

logger = logging.getLogger(__name__)


class MCPConfiguratorServicer:
    """Answers from the store.

    Args:
        store: The MCP servers, and the tokens for them.
        clock_ns: The bridge's clock.
        count: Counts the answers.
    """

    def __init__(self, store: Store, *, clock_ns: Callable[[], int], count: Count) -> None:
        self._store = store
        self._clock_ns = clock_ns
        self._count = count
        self._links_problem = ""

    async def GetMCPServerConfigs(
        self,
        request: pb.GetMCPServerConfigsRequest,  # noqa: ARG002  # servers are for all users
        call: Call,  # noqa: ARG002  # every servicer's method has it
    ) -> pb.GetMCPServerConfigsResponse:
        """Return all servers; the one that receives Coder tokens stands apart."""
        response = pb.GetMCPServerConfigsResponse()
        for server in self._store.snapshot.mcp_servers.values():
            if server.receives_coder_token:
                response.coder_mcp_config.CopyFrom(_config(server))
            else:
                response.external_auth_mcp_configs.append(_config(server))
        return response

    async def GetMCPServerAccessTokensBatch(
        self,
        request: pb.GetMCPServerAccessTokensBatchRequest,
        call: Call,  # noqa: ARG002  # every servicer's method has it
    ) -> pb.GetMCPServerAccessTokensBatchResponse:
        """Return, for each server id, the user's access token or why there is none.

        Raises:
            InvalidRequestError: If servers are asked for and the user's id is
                not a UUID.
        """
        response = pb.GetMCPServerAccessTokensBatchResponse()
        if not request.mcp_server_config_ids:
            return response
        user_id = _user_id(request.user_id)
        known = self._store.snapshot.mcp_servers
        servers = {asked: known.get(asked) for asked in request.mcp_server_config_ids}
        links = await self._links(servers.values())
        now_ns = self._clock_ns()
        for server_id, server in servers.items():
            token = token_for(server, user_id, links=links, now_ns=now_ns)
            if isinstance(token, Secret):
                response.access_tokens[server_id] = token.reveal()
            else:
                response.errors[server_id] = token.value
            outcome = "token" if isinstance(token, Secret) else token.name.lower()
            self._count("aibridge.mcp.token_requests", outcome)
        return response

    async def _links(self, servers: Iterable[McpServer | None]) -> Links | None:
        """Read the users' logins if one is needed; None if they cannot be read."""
        if not any(server and isinstance(server.auth, OAuth2Auth) for server in servers):
            return {}
        try:
            links = await self._store.links()
        except StoreError as error:
            # Gateways ask often: the same problem is told once.
            if self._links_problem != str(error):
                logger.warning("OAuth2 tokens cannot be read: %s", error)
            self._links_problem = str(error)
            return None
        self._links_problem = ""
        return links


def _config(server: McpServer) -> pb.MCPServerConfig:
    return pb.MCPServerConfig(
        id=server.id,
        url=server.url,
        tool_allow_regex=server.tool_allow_regex,
        tool_deny_regex=server.tool_deny_regex,
    )


def _user_id(text: str) -> UUID:
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise InvalidRequestError(f'parse user_id: "{escaped(text)}": {error}') from None
