"""Who may call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelbridge.domain.ledger import Changes
from otelbridge.errors import LimitExceededError
from otelbridge.transports.access import GATEWAY_KEY, Caller, Door
from tests.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelbridge.domain.access import RefusedCallError

_KEYS = {"right": "eu", "other": "us"}
_S = 1_000_000_000


def _door(
    keys: Mapping[str, str],
    *,
    is_open: bool = False,
    certified: bool = False,
    clock_ns: Callable[[], int] = int,
    changes: Changes | None = None,
) -> Door:
    count = (Changes() if changes is None else changes).count
    return Door(keys.get, clock_ns=clock_ns, count=count, is_open=is_open, certified=certified)


_OPEN = _door(_KEYS, is_open=True)
_CLOSED = _door(_KEYS)
_CERTIFIED = _door(_KEYS, certified=True)
_RECORD = "Recorder/RecordInterception"
_TOKENS = "MCPConfigurator/GetMCPServerAccessTokensBatch"
_PROVIDERS = "ProviderConfigurator/GetAIProviders"


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "Bearer right")],
        [("authorization", "bearer  right ")],
        [("user-agent", "x"), (GATEWAY_KEY, "right")],
        [("authorization", "Bearer wrong"), (GATEWAY_KEY, "right")],
        [(GATEWAY_KEY, "right"), ("authorization", "Bearer wrong")],
    ],
)
def test_one_right_key_names_its_gateway(metadata: list[tuple[str, str | bytes]]) -> None:
    assert _CLOSED.identify(metadata) == Caller("eu", trusted=True)


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "Bearer wrong")],
        [("authorization", "right")],
        [("authorization", "Basic right")],
        [("authorization", "")],
        [(GATEWAY_KEY, "Bearer right")],
    ],
)
def test_a_key_that_is_nobodys_is_worse_than_none(metadata: list[tuple[str, str | bytes]]) -> None:
    caller = _OPEN.identify(metadata)

    assert not _OPEN.admits(caller, _RECORD)
    assert _OPEN.admits(_OPEN.identify([]), _RECORD)


@pytest.mark.parametrize("method", [_TOKENS, _PROVIDERS])
def test_what_hands_out_secrets_needs_a_key_even_where_the_door_is_open(method: str) -> None:
    assert not _OPEN.admits(_OPEN.identify([]), method)
    assert _OPEN.admits(_OPEN.identify([(GATEWAY_KEY, "right")]), method)


def test_a_closed_door_lets_nobody_in_without_a_key() -> None:
    assert not _CLOSED.admits(_CLOSED.identify([]), _RECORD)


def test_a_verified_certificate_is_enough_for_everything() -> None:
    keyless, wrong = _CERTIFIED.identify([]), _CERTIFIED.identify([(GATEWAY_KEY, "wrong")])

    assert _CERTIFIED.admits(keyless, _TOKENS)
    assert _CERTIFIED.admits(wrong, _TOKENS)


def test_a_key_beside_a_certificate_names_the_gateway() -> None:
    assert _CERTIFIED.identify([(GATEWAY_KEY, "other")]) == Caller("us", trusted=True)


def test_a_key_that_was_revoked_is_nobodys_at_once() -> None:
    keys = {"right": "eu"}
    door = _door(keys)
    shown = [(GATEWAY_KEY, "right")]
    assert door.identify(shown).trusted

    keys.clear()

    assert door.identify(shown).refused


def _refused(door: Door, *metadata: tuple[str, str]) -> RefusedCallError:
    return door.refusal(door.identify(metadata))


_GENERIC = "a valid gateway key is required"
_LIMITED = f"too many refused calls, at most 100 a second are answered: {_GENERIC}"


@fault(33)
def test_every_refusal_reads_the_same_and_is_counted_with_its_reason() -> None:
    changes = Changes()
    door = _door(_KEYS, changes=changes)

    keyless, wrong = _refused(door), _refused(door, (GATEWAY_KEY, "wrong"))
    told = [str(door.turn_away(each, "ipv4:10.0.0.1:1")) for each in (keyless, wrong, wrong)]

    assert told == [_GENERIC] * 3
    assert changes.counts == {
        ("otelbridge.calls.refused", ("no_key",)): 1,
        ("otelbridge.calls.refused", ("wrong_key",)): 2,
    }


def test_an_address_is_told_the_limit_beside_the_reason_until_it_has_waited() -> None:
    now_ns, changes = [0], Changes()
    door = _door(_KEYS, clock_ns=lambda: now_ns[0], changes=changes)
    wrong = _refused(door, (GATEWAY_KEY, "wrong"))

    told = [str(door.turn_away(wrong, f"ipv4:10.0.0.1:{port}")) for port in range(300)]
    assert told == [_GENERIC] * 100 + [_LIMITED] * 200
    assert isinstance(door.turn_away(wrong, "ipv4:10.0.0.1:1"), LimitExceededError)
    assert door.turn_away(wrong, "ipv4:10.0.0.2:1") is wrong
    assert changes.counts["otelbridge.calls.refused", ("rate_limited",)] == 201

    now_ns[0] = _S
    assert door.turn_away(wrong, "ipv4:10.0.0.1:1") is wrong


@fault(33)
def test_a_right_key_is_admitted_from_an_address_that_is_limited() -> None:
    door = _door(_KEYS)
    for _ in range(300):
        door.turn_away(_refused(door, (GATEWAY_KEY, "wrong")), "ipv4:10.0.0.1:1")

    assert door.admits(door.identify([(GATEWAY_KEY, "right")]), _TOKENS)


def test_the_log_names_a_limited_address_and_no_key(caplog: pytest.LogCaptureFixture) -> None:
    door = _door(_KEYS)

    for number in range(300):
        wrong = _refused(door, (GATEWAY_KEY, f"canary{number}"))
        door.turn_away(wrong, "ipv6:%5B2001:db8::1%5D:4711")

    (line,) = caplog.records
    assert line.getMessage() == "more than 100 refused calls a second from 2001:db8::1"
