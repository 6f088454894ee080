"""Limits that make no sense are refused at the start."""

from __future__ import annotations

from dataclasses import fields

import pytest

from otelbridge.errors import ConfigError
from otelbridge.protocols.yamux import Limits


def test_the_defaults_are_those_of_the_protocol_and_its_peers() -> None:
    limits = Limits()

    assert limits.window_bytes == limits.max_frame_bytes == 262_144
    assert limits.max_streams == limits.accept_backlog == 4096
    assert (limits.ping_interval_s, limits.ping_timeout_s) == (30.0, 10.0)


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_no_limit_is_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"yamux\.{name}: 0 is (less than 1|not above 0)"):
        Limits(**{name: 0})


def test_a_window_is_at_most_what_a_frame_can_name() -> None:
    Limits(window_bytes=2**32 - 1)

    with pytest.raises(ConfigError, match="4294967296 is more than 4294967295"):
        Limits(window_bytes=2**32)
