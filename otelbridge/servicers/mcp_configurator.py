"""The MCPConfigurator service: which MCP servers a user has, with which access tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.domain.access import Secret
from otelbridge.errors import InvalidRequestError, LimitExceededError, escaped
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.messages import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from otelbridge.domain.access import McpServer
    from otelbridge.oauth.tokens import AccessTokens
    from otelbridge.servicers.methods import Call, Count
    from otelbridge.store import Store

# A gateway asks for the servers that it was told of; nobody configures as many.
_MAX_IDS = 1000


class MCPConfiguratorServicer:
    """Answers from the store, and with the tokens that it leads to.

    Args:
        store: The MCP servers.
        tokens: The users' access tokens for them.
        count: Counts the answers.
    """

    def __init__(self, store: Store, tokens: AccessTokens, *, count: Count) -> None:
        self._store = store
        self._tokens = tokens
        self._count = count

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

        Ids that stand there more than once are answered once. A server that
        is slow or fails changes nothing for the others.

        Raises:
            InvalidRequestError: If servers are asked for and the user's id is
                not a UUID.
            LimitExceededError: If more than 1000 ids are given.
        """
        response = pb.GetMCPServerAccessTokensBatchResponse()
        if not request.mcp_server_config_ids:
            return response
        user_id = _user_id(request.user_id)
        _check_count(len(request.mcp_server_config_ids))
        known = self._store.snapshot.mcp_servers
        ids = list(dict.fromkeys(request.mcp_server_config_ids))
        answers = [self._tokens.acquire(known.get(server_id), user_id) for server_id in ids]
        for server_id, answer in zip(ids, await asyncio.gather(*answers), strict=True):
            if isinstance(answer, Secret):
                response.access_tokens[server_id] = answer.reveal()
            else:
                response.errors[server_id] = answer.text
            outcome = "token" if isinstance(answer, Secret) else answer.outcome
            self._count("aibridge.mcp.token_requests", outcome)
        return response


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


def _check_count(count: int) -> None:
    if count > _MAX_IDS:
        raise LimitExceededError(
            f"mcp_server_config_ids: {count} ids, at most {_MAX_IDS} are accepted"
        )
