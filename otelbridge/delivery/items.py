"""Cutting an outbox body into its items.

Source: opentelemetry-proto v1: ScopeSpans.spans and ScopeLogs.log_records are both field 2;
protobuf, "Encoding".
"""

from __future__ import annotations

_TAG = 2 << 3 | 2  # field 2, length-delimited


def items_of(body: bytes) -> list[bytes]:
    """Return a body for each span or log record in it: the same bytes, in their order.

    Args:
        body: See `otelbridge.domain.ports.OutboxItem`.

    Raises:
        ValueError: If it holds anything else.
    """
    found = []
    begin = 0
    while begin < len(body):
        if body[begin] != _TAG:
            raise ValueError(f"byte {begin} of {len(body)} begins no span or log record")
        length, content = _varint(body, begin + 1)
        end = content + length
        if end > len(body):
            raise ValueError(f"an item ends at byte {end} of {len(body)}")
        found.append(body[begin:end])
        begin = end
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004  # the last seven bits
            return value, at
    raise ValueError(f"a length is cut off at byte {at}")
