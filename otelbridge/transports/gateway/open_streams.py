"""The open streams of a session, and since when each waits for the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.transports.gateway.calls import STREAM_BYTES, StreamCalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelbridge.transports.gateway.calls import Host


class OpenStreams:
    """Keeps the streams that are open.

    Args:
        host: What they share.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._by_id: dict[int, StreamCalls] = {}
        # Since when a stream waits for the gateway, in the order of these times. A stream that has
        # ended may be among them, if what was sent on it has not been read.
        self._waiting: dict[int, float] = {}
        self.get = self._by_id.get

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[StreamCalls]:
        return iter(tuple(self._by_id.values()))

    def open(self, stream_id: int, *, now: float) -> bool:
        """Open a stream, which waits for the gateway; return False if there is no memory for it."""
        if not self._host.share.take(STREAM_BYTES):
            return False
        self._by_id[stream_id] = StreamCalls(stream_id, self._host)
        self._waiting[stream_id] = now
        return True

    def waits(self, stream_id: int, *, now: float) -> None:
        """Note that a stream waits for the gateway from now on."""
        self._waiting.pop(stream_id, None)  # its place is the last now
        self._waiting[stream_id] = now

    def works(self, stream_id: int) -> None:
        """Note that a stream does not wait for the gateway."""
        self._waiting.pop(stream_id, None)

    def forget(self, stream_id: int) -> StreamCalls | None:
        """Close a stream, and return it if it was open: nobody waits for its answer any more."""
        stream = self._by_id.pop(stream_id, None)
        self._waiting.pop(stream_id, None)
        if stream is not None:
            stream.drop()
            self._host.share.give_back(STREAM_BYTES)
        return stream

    def take_expired(self, before: float) -> list[int]:
        """Return the streams that have waited since before a time; they are told once."""
        expired = []
        for stream_id, since in self._waiting.items():
            if since > before:
                break
            expired.append(stream_id)
        for stream_id in expired:
            del self._waiting[stream_id]
        return expired
