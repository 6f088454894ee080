"""What a session grants its peer."""

from __future__ import annotations

from dataclasses import dataclass

from otelbridge.errors import ConfigError

# yamux spec.md, "Flow Control": what both ends assume of a new stream.
_WINDOW_BYTES = 256 * 1024
_MAX_WINDOW_BYTES = 2**32 - 1
_COUNTS = (
    "window_bytes",
    "max_streams",
    "accept_backlog",
    "max_frame_bytes",
    "max_queued_bytes",
    "max_queued_replies",
)
_TIMES = ("ping_interval_s", "ping_timeout_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one session.

    Attributes:
        window_bytes: What either end may send on a stream before it is
            acknowledged. The protocol fixes it; another value fits only a
            peer with the same one.
        max_streams: Streams open at once. The peer's next is refused with
            RST, ours with LimitExceededError. 200 parallel requests of a
            gateway were seen to open 386.
        accept_backlog: Streams that the peer may open before the events are
            taken; the next is refused with RST.
        max_frame_bytes: Largest payload of a frame; a larger one ends the
            session before any of it is kept.
        max_queued_bytes: What may wait to be sent, in all streams together,
            while the peer does not read; `Session.send_data` refuses more.
        max_queued_replies: Frames that only answer the peer (of a stream it
            opened, of a ping) and may wait to be sent; one more ends the
            session. A peer that reads has no reason to come near.
        ping_interval_s: Time between pings, in seconds.
        ping_timeout_s: How long a peer may be silent after a ping, in seconds.

    Raises:
        ConfigError: If one is less than 1, a time is not above 0, or the
            window is over 4,294,967,295 bytes, the largest that a frame names.
    """

    window_bytes: int = _WINDOW_BYTES
    max_streams: int = 4096
    accept_backlog: int = 4096
    max_frame_bytes: int = _WINDOW_BYTES
    max_queued_bytes: int = 64 * 1024 * 1024
    max_queued_replies: int = 16_384
    ping_interval_s: float = 30.0
    ping_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Fail at start-up, where someone is watching."""
        for name in _COUNTS:
            if (count := getattr(self, name)) < 1:
                raise ConfigError(f"yamux.{name}", f"{count} is less than 1")
        for name in _TIMES:
            if not (time_s := getattr(self, name)) > 0:
                raise ConfigError(f"yamux.{name}", f"{time_s} is not above 0")
        if self.window_bytes > _MAX_WINDOW_BYTES:
            problem = f"{self.window_bytes} is more than {_MAX_WINDOW_BYTES}"
            raise ConfigError("yamux.window_bytes", problem)
