"""The ProviderConfigurator service, from the store file to its answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.methods import Call
from otelbridge.servicers.provider_configurator import ProviderConfiguratorServicer
from otelbridge.store import load_store
from tests.store.files import GATEWAY, open_store, write_store

if TYPE_CHECKING:
    from pathlib import Path

CALL = Call(raw=b"", gateway="eu-1", trusted=True)
ANTHROPIC = """
[[provider]]
name = "anthropic"
type = "anthropic"
base_url = "https://api.anthropic.com/"
keys = ["first", { env = "SECOND" }]
"""
BEDROCK = """
[[provider]]
name = "aws"
type = "anthropic"
enabled = true
[provider.bedrock]
region = "eu-1"
access_key = "AKIA"
access_key_secret = "hush"
model = "m"
small_fast_model = "s"
role_arn = "arn"
external_id = "x"
protocol = "p"
resolved_model = "rm"
resolved_small_fast_model = "rs"
"""
ENVIRON = {"SECOND": "second"}


async def providers(directory: Path, text: str) -> list[pb.AIProvider]:
    servicer = ProviderConfiguratorServicer(open_store(directory, text, ENVIRON))
    response = await servicer.GetAIProviders(pb.GetAIProvidersRequest(), CALL)
    return list(response.providers)


async def test_an_enabled_provider_is_told_with_its_keys(tmp_path: Path) -> None:
    assert await providers(tmp_path, ANTHROPIC) == [
        pb.AIProvider(
            name="anthropic",
            type="anthropic",
            enabled=True,
            base_url="https://api.anthropic.com/",
            keys=["first", "second"],
        )
    ]


async def test_a_bedrock_provider_is_told_with_all_its_fields(tmp_path: Path) -> None:
    (provider,) = await providers(tmp_path, BEDROCK)

    assert provider.bedrock == pb.AIProviderKindBedrock(
        region="eu-1",
        access_key="AKIA",
        access_key_secret="hush",
        model="m",
        small_fast_model="s",
        role_arn="arn",
        external_id="x",
        protocol="p",
        resolved_model="rm",
        resolved_small_fast_model="rs",
    )
    assert len(provider.bedrock.ListFields()) == len(pb.AIProviderKindBedrock.DESCRIPTOR.fields)


async def test_a_provider_without_bedrock_has_no_such_field(tmp_path: Path) -> None:
    (provider,) = await providers(tmp_path, ANTHROPIC)

    assert not provider.HasField("bedrock")


async def test_a_disabled_provider_is_told_without_keys_or_credentials(tmp_path: Path) -> None:
    text = ANTHROPIC + "enabled = false\n" + BEDROCK.replace("true", "false")

    assert await providers(tmp_path, text) == [
        pb.AIProvider(name="anthropic", type="anthropic", base_url="https://api.anthropic.com/"),
        pb.AIProvider(name="aws", type="anthropic"),
    ]


async def test_a_store_without_providers_has_an_empty_list(tmp_path: Path) -> None:
    assert await providers(tmp_path, GATEWAY) == []


async def test_a_watcher_gets_a_message_at_once_and_one_for_each_change_until_the_store_closes(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path, GATEWAY)
    servicer = ProviderConfiguratorServicer(store)
    received: asyncio.Queue[pb.WatchAIProvidersResponse] = asyncio.Queue()

    async def watch() -> None:
        async for message in servicer.WatchAIProviders(pb.WatchAIProvidersRequest(), CALL):
            await received.put(message)

    watching = asyncio.create_task(watch())
    assert await asyncio.wait_for(received.get(), 5) == pb.WatchAIProvidersResponse()
    store.swap(load_store(write_store(tmp_path, ANTHROPIC), ENVIRON))
    await asyncio.wait_for(received.get(), 5)
    store.swap(load_store(write_store(tmp_path, GATEWAY + ANTHROPIC), ENVIRON))
    store.swap(load_store(write_store(tmp_path, ANTHROPIC), {"SECOND": "rotated"}))
    await asyncio.wait_for(received.get(), 5)
    store.close()

    await asyncio.wait_for(watching, 5)
    assert received.empty()


async def test_a_watcher_that_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    servicer = ProviderConfiguratorServicer(open_store(tmp_path, GATEWAY))
    others = asyncio.all_tasks()

    stream = servicer.WatchAIProviders(pb.WatchAIProvidersRequest(), CALL)
    waiting = asyncio.ensure_future(anext(stream))
    await waiting
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert asyncio.all_tasks() == others
