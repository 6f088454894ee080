"""Metadata: what gateways send besides their fields, told within our own limits.

What is beyond them is left out or cut, and counted.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from otelbridge.domain.usage import USAGE_KEYS
from otelbridge.errors import escaped
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelbridge.domain.records import MetadataValue, TokensUsed
    from otelbridge.telemetry.limits import Cutter

#: How many keys are told, the first in byte order.
MAX_KEYS = 32
#: Length of a value, in bytes of UTF-8; what is longer is cut.
MAX_VALUE_BYTES = 1024
#: Length of a key, in characters; a longer one, or an empty one, is left out: cut keys
#: could collide.
MAX_KEY = 128
#: Where gateways put the user's name.
USERNAME = "Username"

_Metadata: TypeAlias = "Mapping[str, MetadataValue]"

# These are told under names of their own.
_NOT_REPEATED = USAGE_KEYS | {USERNAME, sc.CANARY}
# The number of keys left out stands under this one.
_TAKEN = sc.METADATA_DROPPED.removeprefix(f"{sc.METADATA}.")
_INT64 = 1 << 63
_MAX_CACHED = 64


def metadata_attributes(metadata: _Metadata, cut: Cutter) -> list[bytes]:
    """Return ``aibridge.metadata.<key>`` of each key, and how many were left out."""
    found, dropped = limited(metadata, cut)
    if dropped:
        found.append(wire.integer(sc.METADATA_DROPPED, dropped))
    return found


def limited(metadata: _Metadata, cut: Cutter) -> tuple[list[bytes], int]:
    """Return the metadata's attributes, and the number of keys left out.

    Keys without a value (null) are absent: neither told nor counted.

    Args:
        metadata: The metadata.
        cut: Counts values that are cut.
    """
    if metadata.keys() <= _NOT_REPEATED:
        return [], 0
    keys = [k for k, v in metadata.items() if v is not None and k not in _NOT_REPEATED]
    told = _names_of(keys)
    found = [_attribute(name, metadata[key], cut) for name, key in told]
    return found, len(keys) - len(told)


def extra_attributes(extra: Mapping[str, int | float], cut: Cutter) -> tuple[list[bytes], int]:
    """Return ``aibridge.usage.extra.<key>`` of each key, and the number of keys left out."""
    told = _first_keys(list(extra))
    found = [_attribute(f"{sc.USAGE_EXTRA}.{name}", extra[key], cut) for name, key in told.items()]
    return found, len(extra) - len(told)


def with_token_metadata(metadata: _Metadata, records: Iterable[TokensUsed]) -> _Metadata:
    """Return a start's metadata joined by what token records carry besides numbers.

    The start's keys win, then those of the earlier record. Token records have
    no event of their own, and their numbers are told as usage.
    """
    joined: dict[str, MetadataValue] | None = None
    for record in records:
        if record.metadata.keys() <= USAGE_KEYS:
            continue
        for key, value in record.metadata.items():
            if key not in USAGE_KEYS and not _is_number(value):
                joined = dict(metadata) if joined is None else joined
                joined.setdefault(key, value)
    return metadata if joined is None else joined


def _names_of(keys: list[str]) -> Sequence[tuple[str, str]]:
    """Return the attributes' names and the keys that they are told of."""
    if len(keys) == 1 and len(keys[0]) <= _MAX_CACHED:  # as a rule
        return _name_of(keys[0])
    told = _first_keys([key for key in keys if key != _TAKEN])
    return [(f"{sc.METADATA}.{name}", key) for name, key in told.items()]


@lru_cache(maxsize=1024)
def _name_of(key: str) -> tuple[tuple[str, str], ...]:
    told = _first_keys([key] if key != _TAKEN else [])
    return tuple((f"{sc.METADATA}.{name}", key) for name, key in told.items())


def _first_keys(keys: list[str]) -> dict[str, str]:
    """Return the first keys by the names that they are told under: made safe, none twice."""
    # The order of code points is the byte order of UTF-8.
    first = sorted(key for key in keys if 0 < len(key) <= MAX_KEY)[:MAX_KEYS]
    told: dict[str, str] = {}
    for key in first:
        told.setdefault(escaped(key, MAX_KEY), key)
    return told


def _attribute(key: str, value: MetadataValue, cut: Cutter) -> bytes:
    if isinstance(value, bool):
        return wire.boolean(key, value)
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return wire.integer(key, value)
    if isinstance(value, int | float):
        return wire.double(key, float(value))
    if isinstance(value, str) and len(value) <= _MAX_CACHED:
        return wire.label(key, value)
    return wire.text(key, _cut(value if isinstance(value, str) else json_of(value), cut))


def _cut(text: str, cut: Cutter) -> str:
    if len(text) * 4 <= MAX_VALUE_BYTES:  # at most four bytes a character
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_VALUE_BYTES:
        return text
    cut.count += 1
    return data[:MAX_VALUE_BYTES].decode("utf-8", "ignore")


def json_of(value: MetadataValue) -> str:
    """Return JSON that does not depend on the order of a map's keys."""
    try:
        return json.dumps(
            value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
        )
    except ValueError:
        return json_of(_finite(value))


def _finite(value: MetadataValue) -> MetadataValue:
    """Return the value with numbers that JSON cannot hold (NaN, infinities) as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value


def _is_number(value: MetadataValue) -> bool:
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return is_numeric and math.isfinite(value)  # type: ignore[arg-type]  # narrowed above
