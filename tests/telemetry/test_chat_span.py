"""The chat span: the field table, row by row."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.faults import fault
from tests.telemetry.records import (
    ASKED,
    BEGIN_NS,
    ENDED,
    INTERCEPTION,
    MODEL,
    MS,
    PROMPTED,
    SESSION,
    STARTED,
    USED,
    USED_MORE,
    USER,
    changed,
)
from tests.telemetry.told import attributes, key_values, tell

if TYPE_CHECKING:
    from otelbridge.domain.records import MetadataValue, Record
    from tests.telemetry.told import Value


def told(*records: Record, **options: object) -> dict[str, Value]:
    """Return the attributes of the chat span."""
    return attributes(tell(records, **options).chat.attributes)


def test_an_interception_is_a_client_span_with_its_own_times() -> None:
    chat = tell(SESSION).chat

    assert (chat.name, chat.kind) == (f"chat {MODEL}", Span.SPAN_KIND_CLIENT)
    assert (chat.trace_id, chat.parent_span_id) == (INTERCEPTION.bytes, b"")
    assert chat.start_time_unix_nano == BEGIN_NS
    assert chat.end_time_unix_nano == BEGIN_NS + 1000 * MS
    assert chat.status == Status()


def test_a_start_is_told_field_by_field() -> None:
    assert told(STARTED, ENDED, semconv="latest") == {
        "gen_ai.operation.name": "chat",
        "aibridge.interception.id": str(INTERCEPTION),
        "gen_ai.provider.name": "anthropic",
        "user.id": str(USER),
        "user.name": "alice",
        "gen_ai.request.model": MODEL,
        "aibridge.provider.name": "anthropic-eu",
        "aibridge.api_key.id": "key0000001",
        "user_agent.name": "Claude Code",
        "aibridge.client": "Claude Code",
        "user_agent.original": "claude-cli/2.1.92 (external, cli)",
        "aibridge.thread.root.id": str(INTERCEPTION),
    }


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("client_session_id", "session 1", "gen_ai.conversation.id"),
        ("credential_kind", "byok", "aibridge.credential.kind"),
        ("agent_firewall_session_id", "s", "aibridge.agent_firewall.session.id"),
        ("agent_firewall_sequence_number", 0, "aibridge.agent_firewall.sequence_number"),
        ("workspace_id", str(UUID(int=5)), "aibridge.workspace.id"),
        ("correlating_tool_call_id", "toolu_0", "aibridge.correlating_tool_call.id"),
    ],
)
def test_a_later_field_is_told_where_it_was_sent(field: str, value: str | int, key: str) -> None:
    assert key not in told(STARTED, ENDED)
    assert told(changed(STARTED, **{field: value}), ENDED)[key] == value


def test_a_credentials_hint_is_not_told() -> None:
    start = changed(STARTED, credential_hint="sk-a...wxyz")
    end = changed(ENDED, credential_hint="sk-a...wxyz")

    assert "sk-a...wxyz" not in told(start, end, content="SPAN_AND_EVENT").values()


def test_a_mapped_provider_keeps_its_type() -> None:
    found = told(changed(STARTED, provider="copilot", provider_name=""), ENDED)

    keys = ("gen_ai.provider.name", "aibridge.provider.type", "aibridge.provider.name")
    assert key_values(found, *keys) == ["github.copilot", "copilot", "copilot"]


def test_the_operators_provider_names_are_told() -> None:
    found = told(STARTED, ENDED, providers={"anthropic": "acme"})

    assert found["gen_ai.provider.name"] == "acme"


def test_an_empty_model_is_left_out() -> None:
    told_of = tell([changed(STARTED, model=""), ENDED])

    assert told_of.chat.name == "chat"
    assert "gen_ai.request.model" not in attributes(told_of.chat.attributes)


@fault(29)
def test_a_span_name_is_cut_and_printable_and_the_model_as_sent() -> None:
    model = "evil\n" + "x" * 100

    chat = tell([changed(STARTED, model=model), ENDED]).chat

    assert chat.name == f"chat evil\\x0a{'x' * 56}"
    assert attributes(chat.attributes)["gen_ai.request.model"] == model


def test_long_texts_are_cut() -> None:
    start = changed(STARTED, user_agent="u" * 600, client_session_id="s" * 2000)

    found = told(start, ENDED)

    assert found["user_agent.original"] == "u" * 512
    assert found["gen_ai.conversation.id"] == "s" * 1024


@pytest.mark.parametrize(
    ("profile", "keys"),
    [
        ("latest", {"cache_write"}),
        ("v1_41", {"cache_creation"}),
        ("dup", {"cache_write", "cache_creation"}),
    ],
)
def test_usage_is_the_sum_with_the_names_of_the_profile(profile: str, keys: set[str]) -> None:
    found = told(STARTED, USED, USED_MORE, ENDED, semconv=profile)

    usage = {key: value for key, value in found.items() if key.startswith("gen_ai.usage.")}
    # 4 + 14210 input, 5 + 131 output
    assert usage == {
        "gen_ai.usage.input_tokens": 14_214,
        "gen_ai.usage.output_tokens": 136,
        **{f"gen_ai.usage.{key}.input_tokens": 14_210 for key in keys},
    }


def test_all_zero_usage_is_told_as_input_and_output_of_zero() -> None:
    found = told(STARTED, changed(USED_MORE, output_tokens=0), ENDED)

    assert {k: v for k, v in found.items() if "usage" in k} == {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 0,
    }


def test_no_token_record_means_no_usage_and_no_cost() -> None:
    found = told(STARTED, PROMPTED, ENDED)

    assert [key for key in found if "usage" in key or "cost" in key] == []


def test_usage_without_a_convention_is_told_under_our_names() -> None:
    metadata = {
        "prompt_audio": 3.0,
        "completion_audio": 2.0,
        "completion_reasoning": 4.0,
        "cache_ephemeral_1h_input": 7.0,
        "web_search_requests": 1.0,
        "completion_accepted_prediction": 6.0,
        "total_tokens": 99.0,
    }

    found = told(STARTED, changed(USED, output_tokens=9, metadata=metadata), ENDED)

    assert found["gen_ai.usage.reasoning.output_tokens"] == 4
    assert {k: v for k, v in found.items() if k.startswith("aibridge.usage.")} == {
        "aibridge.usage.audio.input_tokens": 3,
        "aibridge.usage.audio.output_tokens": 2,
        "aibridge.usage.cache_write.ephemeral_1h.input_tokens": 7,
        "aibridge.usage.web_search.requests": 1,
        "aibridge.usage.extra.completion_accepted_prediction": 6,
    }


def test_inconsistent_usage_is_flagged() -> None:
    found = told(STARTED, changed(USED, output_tokens=-1), USED_MORE, ENDED)

    assert found["aibridge.usage.inconsistent"] is True
    assert found["gen_ai.usage.output_tokens"] == 131


def test_cost_is_told_by_component_with_its_price() -> None:
    found = told(STARTED, USED, USED_MORE, ENDED)

    cost = {key: value for key, value in found.items() if key.startswith("aibridge.cost.")}
    # USD for a million: input 3, output 15, written 3.75
    assert cost == {
        "aibridge.cost.total": pytest.approx(0.0553395),
        "aibridge.cost.input": pytest.approx(4 * 3e-6),
        "aibridge.cost.output": pytest.approx(136 * 15e-6),
        "aibridge.cost.cache_write": pytest.approx(14_210 * 3.75e-6),
        "aibridge.cost.price.id": "anthropic/claude-sonnet-4-5",
        "aibridge.cost.price.version": version("genai-prices"),
    }


def test_usage_without_a_price_says_so() -> None:
    found = told(changed(STARTED, model="no-such-model"), USED, ENDED)

    assert {key for key in found if key.startswith("aibridge.cost")} == {"aibridge.cost.unpriced"}


def test_one_response_id_is_told_alone() -> None:
    found = told(STARTED, USED, PROMPTED, ENDED)

    assert found["gen_ai.response.id"] == "msg_1"
    assert "aibridge.response.ids" not in found


def test_two_response_ids_are_both_told() -> None:
    found = told(STARTED, changed(USED, msg_id="msg_0"), PROMPTED, ENDED)

    assert found["aibridge.response.ids"] == ["msg_0", "msg_1"]


def test_of_very_many_response_ids_the_last_are_told() -> None:
    many = [changed(PROMPTED, msg_id=f"{n:03}", at_ns=BEGIN_NS + n) for n in range(130)]

    found = told(STARTED, *many, ENDED)

    assert found["aibridge.response.ids"] == [f"{number:03}" for number in range(2, 130)]


@pytest.mark.parametrize("username", ["", 7.0, None, {"name": "alice"}])
def test_a_users_name_that_is_no_text_is_left_out(username: MetadataValue) -> None:
    found = told(changed(STARTED, metadata={"Username": username}), ENDED)

    assert "user.name" not in found


def test_several_response_ids_stand_each_at_its_last_record() -> None:
    first = changed(USED, msg_id="a", at_ns=BEGIN_NS + 1)
    again = changed(ASKED, msg_id="a", at_ns=BEGIN_NS + 5)
    between = changed(PROMPTED, msg_id="b", at_ns=BEGIN_NS + 3)
    at_once = changed(USED_MORE, msg_id="c", at_ns=BEGIN_NS + 5)
    nameless = changed(PROMPTED, msg_id="", at_ns=BEGIN_NS + 9)

    found = told(STARTED, again, between, first, nameless, at_once, ENDED)

    assert found["aibridge.response.ids"] == ["b", "a", "c"]
    assert found["gen_ai.response.id"] == "c"


def test_an_error_sets_the_status_and_its_words_stay_here() -> None:
    end = changed(ENDED, error_type="rate_limited", error_message="secret words")

    told_of = tell([STARTED, end], content="EVENT_ONLY")

    assert told_of.chat.status == Status(code=Status.STATUS_CODE_ERROR)
    assert attributes(told_of.chat.attributes)["error.type"] == "rate_limited"


@pytest.mark.parametrize("mode", ["SPAN_ONLY", "SPAN_AND_EVENT"])
def test_an_errors_words_are_told_where_spans_may_carry_content(mode: str) -> None:
    end = changed(ENDED, error_type="rate_limited", error_message="slow down")

    assert tell([STARTED, end], content=mode).chat.status.message == "slow down"


def test_an_error_without_a_type_is_other() -> None:
    found = told(STARTED, changed(ENDED, error_type=None, error_message="boom"))

    assert found["error.type"] == "_OTHER"


def test_an_end_before_the_start_is_clamped_and_flagged() -> None:
    told_of = tell([STARTED, changed(ENDED, at_ns=BEGIN_NS - 5)])

    assert told_of.chat.end_time_unix_nano == told_of.chat.start_time_unix_nano == BEGIN_NS
    assert attributes(told_of.chat.attributes)["aibridge.timestamp.clamped"] is True


@pytest.mark.parametrize(
    "records",
    [
        (changed(STARTED, synthetic_time=True), ENDED),
        (STARTED, changed(ENDED, synthetic_time=True)),
    ],
)
def test_a_time_that_is_a_receipt_is_flagged(records: tuple[Record, ...]) -> None:
    assert told(*records)["aibridge.timestamp.synthetic"] is True
    assert "aibridge.timestamp.synthetic" not in told(STARTED, ENDED)


@fault(23)
def test_without_an_end_the_last_record_ends_the_span() -> None:
    told_of = tell([STARTED, ASKED, PROMPTED])

    assert told_of.chat.end_time_unix_nano == PROMPTED.at_ns
    assert attributes(told_of.chat.attributes)["aibridge.interception.incomplete"] is True
    assert told_of.chat.status == Status()


def test_differing_ends_are_flagged_and_the_earliest_counts() -> None:
    told_of = tell([changed(ENDED, at_ns=ENDED.at_ns + 1), STARTED, ENDED])

    assert told_of.chat.end_time_unix_nano == ENDED.at_ns
    assert attributes(told_of.chat.attributes)["aibridge.end.conflict"] is True


@fault(23)
def test_an_orphan_is_a_placeholder_with_what_came() -> None:
    told_of = tell([USED, PROMPTED])

    assert (told_of.chat.name, told_of.chat.trace_id) == ("chat", INTERCEPTION.bytes)
    assert told_of.chat.start_time_unix_nano == USED.at_ns
    assert told_of.chat.end_time_unix_nano == PROMPTED.at_ns
    found = attributes(told_of.chat.attributes)
    assert found["gen_ai.provider.name"] == "unknown"
    assert found["aibridge.interception.orphan"] is True
    assert found["gen_ai.usage.input_tokens"] == 14_214
    assert found["aibridge.cost.unpriced"] is True
