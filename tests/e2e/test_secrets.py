"""Canaries: what is secret leaves nowhere, what is content only where it was asked for."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import pytest_asyncio

from tests.collector import Collector
from tests.e2e import gateways as gw
from tests.e2e.bridges import running
from tests.e2e.canaries import (
    CONTENT,
    KEPT,
    PLAIN,
    SECRETS,
    TOKENS,
    TOLD,
    UNTOLD,
    Traces,
    everything_logged,
    leave_traces,
)
from tests.interop.otlp import attributes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Traces]:
    """Return what a bridge leaves, by its mode."""
    return {mode: await leave_traces(tmp_path_factory.mktemp(mode), mode) for mode in TOLD}


@pytest.mark.parametrize("name", [*SECRETS, *UNTOLD])
@pytest.mark.parametrize("mode", TOLD)
async def test_a_secret_leaves_nowhere_and_in_no_mode(
    traces: dict[str, Traces], mode: str, name: str
) -> None:
    secret = {**SECRETS, **UNTOLD}[name].encode()

    assert secret not in traces[mode].exported
    assert secret not in traces[mode].elsewhere


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("mode", TOLD)
async def test_a_secret_is_not_in_the_journal(
    traces: dict[str, Traces], mode: str, name: str
) -> None:
    assert SECRETS[name].encode() not in traces[mode].journal


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("mode", TOLD)
async def test_content_is_exported_where_it_was_asked_for_and_leaves_nowhere_else(
    traces: dict[str, Traces], mode: str, name: str
) -> None:
    content = CONTENT[name].encode()

    assert (content in traces[mode].exported) == (name in TOLD[mode])
    assert content not in traces[mode].elsewhere


@pytest.mark.parametrize("name", CONTENT)
async def test_content_that_nobody_may_have_is_not_kept(
    traces: dict[str, Traces], name: str
) -> None:
    assert CONTENT[name].encode() not in traces["NO_CONTENT"].journal


@pytest.mark.parametrize("place", TOKENS)
@pytest.mark.parametrize("mode", TOLD)
async def test_a_token_of_a_known_format_leaves_in_no_mode_wherever_it_stands(
    traces: dict[str, Traces], mode: str, place: str
) -> None:
    token = TOKENS[place].encode()

    assert token not in traces[mode].exported
    assert token not in traces[mode].elsewhere


@pytest.mark.parametrize("place", KEPT)
async def test_a_token_in_content_that_nobody_may_have_is_not_kept(
    traces: dict[str, Traces], place: str
) -> None:
    assert TOKENS[place].encode() not in traces["NO_CONTENT"].journal


@pytest.mark.parametrize("mode", TOLD)
async def test_a_token_is_told_as_the_rule_that_found_it(
    traces: dict[str, Traces], mode: str
) -> None:
    told = {
        f"{CONTENT['prompt']} [REDACTED:github-token]": "prompt",
        f"{CONTENT['thought']} [REDACTED:github-token]": "thought",
        f"{CONTENT['error message']} [REDACTED:github-token]": "error message",
        f"{CONTENT['invocation error']} [REDACTED:github-token]": "invocation error",
    }

    found = {place for text, place in told.items() if text.encode() in traces[mode].exported}

    assert found == TOLD[mode] - {"tool input"}
    assert b"https://h/[REDACTED:github-token]" in traces[mode].exported
    assert b"PLAINmodel [REDACTED:github-token]" in traces[mode].elsewhere
    assert b'otelbridge_redaction_rule="github-token"' in traces[mode].elsewhere


async def test_words_of_a_failure_that_are_not_kept_still_name_its_type(tmp_path: Path) -> None:
    interception = gw.fresh_id()
    failed = gw.tool(interception, invocation_error="context deadline exceeded")
    over = gw.end(interception, error_message="overloaded, try later")

    async with Collector() as collector, running(tmp_path, collector) as bridge:
        await gw.send(bridge, over, failed, gw.start(interception))
        span = await gw.told(bridge, interception)

    assert attributes(span.attributes)["error.type"] == "_OTHER"
    assert (span.status.code, span.status.message) == (span.status.STATUS_CODE_ERROR, "")
    assert attributes(span.events[0].attributes)["error.type"] == "timeout"


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("mode", TOLD)
async def test_what_is_neither_is_found_by_the_scan(
    traces: dict[str, Traces], mode: str, name: str
) -> None:
    plain = PLAIN[name].encode()

    assert plain in traces[mode].exported
    assert (plain in traces[mode].elsewhere) == (name != "session")
    assert plain in traces[mode].journal


async def test_the_log_is_listened_to() -> None:
    with everything_logged() as lines:
        logging.getLogger("otelbridge.any").debug("a line")

    assert lines == ["a line"]
