"""Who may call."""

from __future__ import annotations

import pytest

from otelbridge.transports.access import GATEWAY_KEY, Caller, Door

_KEYS = {"right": "eu", "other": "us"}
_OPEN = Door(_KEYS.get, is_open=True)
_CLOSED = Door(_KEYS.get, is_open=False)
_CERTIFIED = Door(_KEYS.get, is_open=False, certified=True)
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
    door = Door(keys.get, is_open=False)
    shown = [(GATEWAY_KEY, "right")]
    assert door.identify(shown).trusted

    keys.clear()

    assert door.identify(shown).refused
