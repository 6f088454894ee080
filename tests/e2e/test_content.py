"""Content, end to end: cut, redacted and recognised again, over restarts and by destination."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from otelbridge.telemetry.fingerprint import Fingerprinter
from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.faults import fault
from tests.interop.otlp import attributes
from tests.telemetry.secret_vectors import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.e2e.bridges import Bridge

MIB = 1024 * 1024
KEY = "a key of 16 char"
PROMPT, INPUT = "why is the sky blue?", '{"b": 1, "a": "sky"}'


def session(interception: str, prompt: str = PROMPT) -> list[Message]:
    """Return an interception, its end last."""
    return [
        gw.start(interception),
        gw.prompt(interception, prompt=prompt),
        gw.tool(interception, input=INPUT, injected=True),
        gw.end(interception),
    ]


def events(collector: Collector, interception: str) -> dict[str, dict[str, Any]]:
    """Return the attributes of the chat span's events, by name."""
    (span,) = gw.chat_spans(collector, interception)
    return {event.name: attributes(event.attributes) for event in span.events}


def kept(directory: Path) -> int:
    """Return how many bytes the journal and its log take."""
    return sum((directory / name).stat().st_size for name in ("journal.db", "journal.db-wal"))


@fault(27)
async def test_sixteen_mebibytes_are_accepted_and_told_by_their_beginning(tmp_path: Path) -> None:
    interception, prompt = gw.fresh_id(), "why? " * (16 * MIB // 5)
    settings = {"content": {"capture": "SPAN_AND_EVENT"}}

    async with Collector() as collector, running(tmp_path, collector, settings) as bridge:
        await gw.send(bridge, *session(interception, prompt))
        journal = kept(tmp_path)
        span = await gw.told(bridge, interception)
        counted = await bridge.total(
            "otelbridge_content_truncated_total", otelbridge_record_kind="prompt"
        )

    event = attributes(span.events[0].attributes)
    assert text_of(event) == prompt[: 64 * 1024 - 11] + "[TRUNCATED]"
    assert event["aibridge.prompt.length"] == len(prompt)
    assert event["aibridge.content.sha256"] == hashlib.sha256(prompt.encode()).hexdigest()
    assert event["aibridge.content.truncated"] == counted == 1
    assert 64 * 1024 < journal < MIB


@pytest.mark.parametrize("mode", ["NO_CONTENT", "EVENT_ONLY"])
async def test_a_repeat_is_recognised_after_a_restart_with_content_on_and_off(
    tmp_path: Path, mode: str
) -> None:
    first, second = gw.fresh_id(), gw.fresh_id()
    settings = {
        "content": {"capture": mode, "fingerprint_key": KEY},
        "assembly": {"grace_s": 0.05},
    }
    async with Collector() as collector:
        async with running(tmp_path, collector, settings) as bridge:
            await gw.send(bridge, *session(first)[:-1])  # open when the bridge stops
            await gw.send(bridge, *session(second))
            await gw.told(bridge, second)
        async with running(tmp_path, collector, settings) as bridge:
            await gw.send(bridge, session(first)[-1])
            await gw.told(bridge, first)

    make = Fingerprinter(KEY.encode())
    for interception in (first, second):
        found = events(collector, interception)
        prompt, tool = found["aibridge.prompt"], found["aibridge.tool_use"]
        assert prompt["aibridge.prompt.fingerprint"] == make.prompt(PROMPT).hex()
        arguments = make.tool_input('{"a":"sky","b":1}').hex()
        assert tool["aibridge.tool.input.fingerprint"] == arguments
        assert ("gen_ai.input.messages" in prompt) == (mode == "EVENT_ONLY")


async def test_what_was_cut_before_a_restart_is_told_as_if_there_had_been_none(
    tmp_path: Path,
) -> None:
    interceptions, prompt = (gw.fresh_id(), gw.fresh_id()), "ü" * 5000
    settings = {
        "content": {"capture": "EVENT_ONLY", "limits": {"item": 1024}},
        "assembly": {"grace_s": 0.05},
    }
    async with Collector() as collector:
        for interception, restarts in zip(interceptions, (True, False), strict=True):
            *before, end = session(interception, prompt)
            async with running(tmp_path, collector, settings) as bridge:
                await gw.send(bridge, *before, *([] if restarts else [end]))
                if not restarts:
                    await gw.told(bridge, interception)
            if restarts:
                async with running(tmp_path, collector, settings) as bridge:
                    await gw.send(bridge, end)
                    await gw.told(bridge, interception)

    told = [events(collector, each)["aibridge.prompt"] for each in interceptions]
    for each in told:
        del each["aibridge.interception.id"]
    assert told[0] == told[1]
    assert told[0]["aibridge.content.sha256"] == hashlib.sha256(prompt.encode()).hexdigest()


async def test_each_destination_is_told_the_content_that_it_asked_for(tmp_path: Path) -> None:
    token = next(each.secret for each in VECTORS if each.rule == "npm-token")
    interception = gw.fresh_id()
    modes = ("NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT")
    collectors = [Collector() for _ in modes]
    for each in collectors:
        await each.__aenter__()
    settings = {
        "assembly": {"grace_s": 0.02},
        "destination": [
            {"name": mode, "endpoint": collector.grpc_endpoint, "content": mode}
            for mode, collector in zip(modes, collectors, strict=True)
        ],
    }
    try:
        async with running(tmp_path, collectors[0], settings) as bridge:
            await gw.send(bridge, *session(interception, f"{PROMPT} {token}"))
            await asyncio.gather(
                *(
                    each.wait_for(lambda c: bool(gw.chat_spans(c, interception)))
                    for each in collectors
                )
            )
    finally:
        for each in collectors:
            await each.__aexit__(None, None, None)

    found = [told_content(each, interception) for each in collectors]
    marked = f"{PROMPT} [REDACTED:npm-token]"
    assert found == [(None, None), (marked, None), (None, marked), (marked, marked)]
    sent = b"".join(request.body for each in collectors for request in each.requests)
    assert token.encode() not in sent


def told_content(collector: Collector, interception: str) -> tuple[str | None, str | None]:
    """Return the prompt on the chat span and on its event."""
    (span,) = gw.chat_spans(collector, interception)
    places = attributes(span.attributes), events(collector, interception)["aibridge.prompt"]
    return text_of(places[0]), text_of(places[1])


def text_of(found: dict[str, Any]) -> str | None:
    """Return the prompt among the attributes; None if there is none."""
    messages = found.get("gen_ai.input.messages")
    return json.loads(messages)[0]["parts"][0]["content"] if messages else None


async def series(bridge: Bridge, name: str) -> set[str]:
    """Return the models of a metric's series."""
    samples = await bridge.metrics()
    return {dict(labels)["gen_ai_request_model"] for found, labels in samples if found == name}


async def test_series_that_were_admitted_stay_over_a_restart(tmp_path: Path) -> None:
    settings = {"metrics": {"series_limit": 2, "interval_s": 0.2}, "assembly": {"grace_s": 0.02}}
    told = []
    async with Collector() as collector:
        for models in ("abc", "ca"):
            async with running(tmp_path, collector, settings) as bridge:
                for model in models:
                    interception = gw.fresh_id()
                    await gw.send(bridge, gw.start(interception, model=model), gw.end(interception))
                    await gw.told(bridge, interception)
                told.append(await series(bridge, "aibridge_interceptions_total"))
                counted = await bridge.total("aibridge_interceptions_total")

    assert told == [{"a", "b", "_OTHER"}, {"a", "b", "_OTHER"}]
    assert counted == 5
