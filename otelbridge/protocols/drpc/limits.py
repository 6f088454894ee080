"""How much a DRPC peer may send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from otelbridge.errors import ConfigError
from otelbridge.protocols.drpc.wire import CONTROL, DONE, KINDS, Kind

_MIB: Final = 1 << 20
_COUNTS: Final = (
    "max_packet_bytes",
    "max_metadata_bytes",
    "max_rpc_name_bytes",
    "max_packet_frames",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is accepted of a peer; a packet beyond is refused before it is buffered.

    Attributes:
        max_packet_bytes: Data of a message, or of an error. No longer message
            is sent, either: the Go library's limit is the same 4 MiB.
        max_metadata_bytes: An InvokeMetadata packet. W3C allows 8,192 bytes of
            baggage; traceparent and tracestate come on top.
        max_rpc_name_bytes: The name of an RPC; the longest we serve has 44.
        max_packet_frames: Frames of one packet. The Go library splits at
            64 KiB, which makes 64; a frame costs time even without data.
        max_bytes_of_kind: What follows from these, for each kind of packet.
        max_bytes_of_whole: The same by the first byte of a packet that is one
            frame; -1 where it does not begin one, or one of unknown kind.

    Raises:
        ConfigError: If one is less than 1.
    """

    max_packet_bytes: int = 4 * _MIB
    max_metadata_bytes: int = 16 * 1024
    max_rpc_name_bytes: int = 1024
    max_packet_frames: int = 16 * 1024
    max_bytes_of_kind: tuple[int, ...] = field(init=False, repr=False)
    max_bytes_of_whole: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fail at start-up; work out the tables once, as each call of a gateway has a transport."""
        for name in _COUNTS:
            if (count := getattr(self, name)) < 1:
                raise ConfigError(f"drpc.{name}", f"{count} is less than 1")
        of_kind = [self.max_packet_bytes] * KINDS
        of_kind[Kind.INVOKE] = self.max_rpc_name_bytes
        of_kind[Kind.INVOKE_METADATA] = self.max_metadata_bytes
        of_whole = [-1] * 256
        for kind in Kind:
            for first in (kind << 1 | DONE, kind << 1 | DONE | CONTROL):
                of_whole[first] = of_kind[kind]
        object.__setattr__(self, "max_bytes_of_kind", tuple(of_kind))
        object.__setattr__(self, "max_bytes_of_whole", tuple(of_whole))


DEFAULT_LIMITS: Final = Limits()
