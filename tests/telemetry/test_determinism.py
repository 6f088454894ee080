"""Determinism: the same set of records always gives the same telemetry, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from hypothesis import given
from hypothesis import strategies as st

from otelbridge.config.content import Capture
from otelbridge.config.sections import Events, Semconv, TraceGrouping
from otelbridge.telemetry import semconv as sc
from tests.faults import fault
from tests.telemetry.records import (
    ASKED,
    BEGIN_NS,
    ENDED,
    PROMPTED,
    RAN,
    SESSION,
    STARTED,
    THOUGHT,
    USED,
    USED_MORE,
    changed,
    identity,
)
from tests.telemetry.test_threads import FOLLOW_UP
from tests.telemetry.told import attributes, tell

if TYPE_CHECKING:
    from otelbridge.domain.records import Record
    from tests.telemetry.told import Told

times = st.integers(0, 3).map(lambda step: BEGIN_NS + step)
texts = st.sampled_from(["", "a", "b", "ü" * 70])
metadata = st.dictionaries(
    st.sampled_from(["source", "tier", "odd", "cache_read_input"]),
    st.sampled_from(["x", 2.0, True, {"b": 1, "a": [None]}]),
)


@st.composite
def sessions(draw: st.DrawFn) -> list[Record]:
    """Draw the records of one interception, with times that often collide."""
    kinds: st.SearchStrategy[Record] = st.sampled_from(
        [USED, USED_MORE, PROMPTED, THOUGHT, ASKED, RAN, ENDED]
    )
    drawn = draw(st.lists(st.tuples(kinds, times, metadata, texts), max_size=8))
    records: list[Record] = [STARTED] if draw(st.booleans()) or not drawn else []
    for number, (record, at_ns, told, msg_id) in enumerate(drawn):
        fields = {"identity": identity(str(number)), "at_ns": at_ns, "metadata": told}
        if hasattr(record, "msg_id"):
            fields["msg_id"] = msg_id
        records.append(changed(record, **fields))
    return records


options = st.fixed_dictionaries(
    {
        "semconv": st.sampled_from(get_args(Semconv)),
        "content": st.sampled_from(get_args(Capture)),
        "events": st.sampled_from(get_args(Events)),
        "trace_grouping": st.sampled_from(get_args(TraceGrouping)),
    }
)


def bytes_of(told: Told) -> list[tuple[object, ...]]:
    """Return everything that goes to the outbox."""
    return [tuple(item) for item in told.items]


@given(records=sessions(), chosen=options, data=st.data())
def test_neither_order_nor_repeats_change_what_is_told(
    records: list[Record], chosen: dict[str, str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(records))
    repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(records), max_size=3))]

    told = tell(records, FOLLOW_UP, **chosen)

    assert bytes_of(tell(shuffled, FOLLOW_UP, **chosen)) == bytes_of(told)
    assert bytes_of(tell(repeated, FOLLOW_UP, **chosen)) == bytes_of(told)


@given(records=sessions(), data=st.data())
def test_the_order_does_not_change_what_is_booked(
    records: list[Record], data: st.DataObject
) -> None:
    first = tell(records).changes
    second = tell(data.draw(st.permutations(records))).changes

    assert second.series == first.series
    assert second.usage == first.usage
    assert {key: set(values) for key, values in second.admitted.items()} == {
        key: set(values) for key, values in first.admitted.items()
    }


@given(records=sessions(), chosen=options)
def test_only_attributes_that_are_declared_are_told(
    records: list[Record], chosen: dict[str, str]
) -> None:
    told = tell(records, FOLLOW_UP, **chosen)

    on_spans = [attributes(span.attributes) for span in told.spans]
    keys = {key for each in (*on_spans, *told.events) for key in each}
    templates = (f"{sc.METADATA}.", f"{sc.USAGE_EXTRA}.")
    assert {key for key in keys - sc.ATTRIBUTES.keys() if not key.startswith(templates)} == set()


@fault(29)
@given(text=st.text(), url=st.text() | st.text().map("https://{}/".format), chosen=options)
def test_any_text_can_be_told(text: str, url: str, chosen: dict[str, str]) -> None:
    start = changed(STARTED, provider=text, model=text, client=text, metadata={"Username": text})
    tool = changed(RAN, tool=text, server_url=url, invocation_error=text, tool_call_id=text)
    prompt = changed(PROMPTED, prompt=text, msg_id=text, metadata={text: [text, {text: 1.5}]})
    end = changed(ENDED, error_type=text, error_message=text)

    told = tell([start, tool, prompt, end], **chosen)

    assert len(told.spans) == 2
    assert len(told.events) >= 2


def test_a_map_sent_in_another_order_is_told_the_same() -> None:
    first = changed(STARTED, metadata={"b": {"y": 1, "x": 2}, "a": 1, "Username": "u"})
    second = replace(first, metadata={"Username": "u", "a": 1, "b": {"x": 2, "y": 1}})

    assert bytes_of(tell([first, ENDED])) == bytes_of(tell([second, ENDED]))


def test_telling_again_gives_the_same_bytes() -> None:
    assert bytes_of(tell(SESSION)) == bytes_of(tell(SESSION))
