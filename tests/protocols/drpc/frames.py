"""Frames as a peer may write them, right or wrong."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from otelbridge.protocols.drpc.wire import CONTROL, DONE, Kind, varint

RPC = "/proto.Recorder/RecordTokenUsage"


def frame(  # what a frame says
    kind: int,
    stream: int,
    message: int,
    data: bytes = b"",
    *,
    done: bool = True,
    control: bool = False,
) -> bytes:
    """Return a frame."""
    first = kind << 1 | (DONE if done else 0) | (CONTROL if control else 0)
    return bytes((first,)) + varint(stream) + varint(message) + varint(len(data)) + data


def call(stream: int = 1, data: bytes = b"request", *, rpc: str = RPC) -> bytes:
    """Return what a Go client writes of a unary call."""
    return (
        frame(Kind.INVOKE, stream, 1, rpc.encode())
        + frame(Kind.MESSAGE, stream, 2, data)
        + frame(Kind.CLOSE_SEND, stream, 3)
    )


def cuts(data: bytes, positions: list[int]) -> list[bytes]:
    """Return the bytes, cut at these positions."""
    ends = sorted(position % (len(data) + 1) for position in positions)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@dataclass
class Step:
    """A frame, told by the one before it.

    Attributes:
        streams_on: How much the stream's id grows.
        messages_on: How much the message's id grows, or what it is in a new stream.
        kind: Of another packet; the frames of one have one kind.
        is_wrong: Whether what breaks a rule is left as it is.
    """

    streams_on: int
    messages_on: int
    kind: int
    data: bytes
    done: bool
    control: bool
    is_wrong: bool


def _walk(steps: list[Step]) -> bytes:
    """Return the frames, most of which break no rule."""
    out, stream, message, kind, is_done = b"", 1, 0, 0, True
    for step in steps:
        goes_on = step.streams_on == step.messages_on == 0 and not is_done
        if not step.is_wrong:
            step.kind = kind if goes_on else step.kind
            step.control |= step.kind not in set(Kind)
            step.messages_on = 0 if goes_on else max(step.messages_on, 1)
        stream += step.streams_on
        message = max(0, step.messages_on + (0 if step.streams_on else message))
        kind, is_done = step.kind, step.done
        out += frame(kind, stream, message, step.data, done=is_done, control=step.control)
    return out


positions = st.lists(st.integers(0, 1 << 16), max_size=8)
_sizes = st.sampled_from([0, 1, 2, 126, 127, 128, 129, 300])
_steps = st.builds(
    Step,
    st.sampled_from([0, 0, 0, 0, 1, 1 << 40]),
    st.sampled_from([0, 0, 0, 1, 1, 7, -1, 1 << 20]),
    st.sampled_from([*Kind, *[Kind.MESSAGE] * 7, 0, 8, 63]),
    st.builds(bytes, _sizes) | st.binary(max_size=10),
    done=st.booleans(),
    control=st.booleans(),
    is_wrong=st.sampled_from([False] * 15 + [True]),
)
#: Byte streams that are seldom refused at once, some of them cut or followed by anything.
streams = st.builds(
    lambda data, end, rest: data[: end or None] + rest,
    st.lists(_steps, max_size=10).map(_walk),
    st.integers(-5, 0),
    st.just(b"") | st.binary(max_size=12),
)
