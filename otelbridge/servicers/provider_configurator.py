"""The ProviderConfigurator service: which LLM providers a gateway forwards to."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from otelbridge.proto import aibridged_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otelbridge.domain.access import Bedrock, Provider, Secret
    from otelbridge.servicers.methods import Call
    from otelbridge.store import Store


class ProviderConfiguratorServicer:
    """Answers from the store. Its responses hold keys: they are never logged.

    Args:
        store: The providers.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def GetAIProviders(
        self,
        request: pb.GetAIProvidersRequest,  # noqa: ARG002  # it is empty
        call: Call,  # noqa: ARG002  # every servicer's method has it
    ) -> pb.GetAIProvidersResponse:
        """Return all providers; keys and credentials of enabled ones only."""
        providers = self._store.snapshot.providers.values()
        return pb.GetAIProvidersResponse(providers=[_provider(one) for one in providers])

    async def WatchAIProviders(
        self,
        request: pb.WatchAIProvidersRequest,  # noqa: ARG002  # it is empty
        call: Call,  # noqa: ARG002  # every servicer's method has it
    ) -> AsyncIterator[pb.WatchAIProvidersResponse]:
        """Send a message at once and one for each change, until the store closes."""
        async with aclosing(self._store.watch_providers()) as changes:
            async for _ in changes:
                yield pb.WatchAIProvidersResponse()


def _provider(provider: Provider) -> pb.AIProvider:
    message = pb.AIProvider(
        name=provider.name,
        type=provider.type,
        enabled=provider.enabled,
        base_url=provider.base_url,
    )
    if provider.enabled:
        message.keys.extend(key.reveal() for key in provider.keys)
        if provider.bedrock is not None:
            message.bedrock.CopyFrom(_bedrock(provider.bedrock))
    return message


def _bedrock(bedrock: Bedrock) -> pb.AIProviderKindBedrock:
    return pb.AIProviderKindBedrock(
        region=bedrock.region,
        access_key=_revealed(bedrock.access_key),
        access_key_secret=_revealed(bedrock.access_key_secret),
        model=bedrock.model,
        small_fast_model=bedrock.small_fast_model,
        role_arn=bedrock.role_arn,
        external_id=bedrock.external_id,
        protocol=bedrock.protocol,
        resolved_model=bedrock.resolved_model,
        resolved_small_fast_model=bedrock.resolved_small_fast_model,
    )


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()
