"""From bytes to packets: ids, joining, limits."""

from __future__ import annotations

import pytest
from hypothesis import given

from otelbridge.errors import ConfigError, ProtocolError
from otelbridge.protocols.drpc import Limits
from otelbridge.protocols.drpc.packets import Packet, PacketReader
from otelbridge.protocols.drpc.wire import Kind
from tests.protocols.drpc.frames import call, cuts, frame, positions, streams
from tests.protocols.drpc.reading import BrokenError, read_packets

LIMITS = Limits(
    max_packet_bytes=300, max_metadata_bytes=200, max_rpc_name_bytes=100, max_packet_frames=4
)
MOST = 1 << 64
NO_LIMITS = Limits(
    max_packet_bytes=MOST, max_metadata_bytes=MOST, max_rpc_name_bytes=MOST, max_packet_frames=MOST
)
MESSAGE = Kind.MESSAGE


def read(*pieces: bytes, limits: Limits = LIMITS) -> list[Packet]:
    reader = PacketReader(limits)
    return [packet for piece in pieces for packet in reader.packets(piece)]


def problem(*pieces: bytes, limits: Limits = LIMITS) -> tuple[str, str]:
    with pytest.raises(ProtocolError) as raised:
        read(*pieces, limits=limits)
    return raised.value.kind, str(raised.value)


@given(data=streams, ends=positions)
def test_packets_are_as_the_specification_says_however_they_are_cut(
    data: bytes, ends: list[int]
) -> None:
    found: list[Packet] = []
    expected: list[Packet] = []
    problems: list[type[Exception]] = []
    reader = PacketReader(NO_LIMITS)

    try:
        for piece in cuts(data, ends):
            found.extend(reader.packets(piece))
    except ProtocolError as error:
        problems.append(type(error))
    try:
        expected.extend(read_packets(data))
    except BrokenError as error:
        problems.append(type(error))

    assert found == expected
    assert problems in ([], [ProtocolError, BrokenError])


def test_one_byte_at_a_time_is_the_same() -> None:
    data = call(data=bytes(200))

    assert read(*(data[at : at + 1] for at in range(len(data)))) == read(data)


def test_frames_of_one_id_are_joined_until_one_is_done() -> None:
    data = (
        frame(MESSAGE, 1, 1, b"a", done=False)
        + frame(MESSAGE, 1, 1, b"", done=False)
        + frame(MESSAGE, 1, 1, b"bc")
        + frame(MESSAGE, 1, 2, b"d")
    )

    assert read(data) == [(MESSAGE, 1, b"abc"), (MESSAGE, 1, b"d")]


@pytest.mark.parametrize("later", [(1, 2), (1, 9), (2, 1), (2, 0)])
def test_a_higher_id_discards_an_unfinished_packet(later: tuple[int, int]) -> None:
    data = frame(Kind.ERROR, 1, 1, b"lost", done=False) + frame(MESSAGE, *later, b"kept")

    assert read(data) == [(MESSAGE, later[0], b"kept")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 1), (1, 1)),  # done ids do not recur
        ((1, 5), (1, 5)),
        ((1, 5), (1, 4)),
        ((2, 1), (1, 9)),
        ((2, 1), (2, 1)),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_ids_never_decrease(before: tuple[int, int], after: tuple[int, int], done: bool) -> None:
    data = frame(MESSAGE, *before) + frame(MESSAGE, *after, done=done)

    lowest = (before[0], before[1] + 1)
    assert problem(data) == ("sequence", f"drpc id {after} after {lowest}")


@pytest.mark.parametrize("first", [(0, 0), (0, 1), (1, 0), (0, 9)])
def test_ids_begin_at_1_1(first: tuple[int, int]) -> None:
    assert problem(frame(MESSAGE, *first)) == ("sequence", f"drpc id {first} after (1, 1)")


def test_a_discarded_packet_cannot_go_on() -> None:
    data = (
        frame(MESSAGE, 1, 2, done=False)
        + frame(MESSAGE, 1, 3, done=False)
        + frame(MESSAGE, 1, 2, done=True)
    )

    assert problem(data) == ("sequence", "drpc id (1, 2) after (1, 3)")


def test_the_id_of_a_joined_packet_may_not_recur() -> None:
    packet = frame(MESSAGE, 1, 1, b"a", done=False) + frame(MESSAGE, 1, 1, b"b")

    assert problem(packet + frame(MESSAGE, 1, 1)) == ("sequence", "drpc id (1, 1) after (1, 2)")


@pytest.mark.parametrize("exponent", [7, 14, 21, 28, 35, 56, 63])
@pytest.mark.parametrize("size", [0, 127, 128, 300])
def test_ids_may_have_64_bits(exponent: int, size: int) -> None:
    big = 1 << exponent
    data = (
        frame(MESSAGE, 1, big, bytes(size))
        + frame(MESSAGE, big, 0, bytes(size))
        + frame(MESSAGE, big, big, bytes(size))
    )

    assert read(data) == [(MESSAGE, stream, bytes(size)) for stream in (1, big, big)]


def test_the_kind_may_not_change_within_a_packet() -> None:
    data = frame(MESSAGE, 1, 1, done=False) + frame(Kind.ERROR, 1, 1)

    assert problem(data) == ("sequence", "drpc kind 3 in a packet of kind 2")


@pytest.mark.parametrize("kind", [0, 8, 9, 63])
def test_a_packet_of_unknown_kind_is_an_error(kind: int) -> None:
    assert problem(frame(kind, 1, 1, b"x")) == ("framing", f"drpc kind {kind} is unknown")


@pytest.mark.parametrize("kind", [0, 8, 9, 63])
def test_a_control_packet_of_unknown_kind_is_ignored(kind: int) -> None:
    whole = frame(kind, 1, 1, b"x", control=True)
    parts = frame(kind, 1, 2, b"x", control=True, done=False) + frame(kind, 1, 2, b"y")

    assert read(whole + parts + frame(MESSAGE, 1, 3)) == [(MESSAGE, 1, b"")]


def test_the_control_bit_of_a_packet_does_not_pass_to_the_next() -> None:
    data = frame(9, 1, 1, control=True, done=False) + frame(9, 1, 2)

    assert problem(data) == ("framing", "drpc kind 9 is unknown")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("control", [True, False])
def test_known_kinds_are_the_same_with_and_without_the_control_bit(
    kind: Kind, control: bool
) -> None:
    assert read(frame(kind, 1, 1, b"x", control=control)) == [(kind, 1, b"x")]


@pytest.mark.parametrize(
    ("kind", "most"),
    [(MESSAGE, 300), (Kind.ERROR, 300), (Kind.INVOKE_METADATA, 200), (Kind.INVOKE, 100)],
)
def test_a_packet_is_accepted_up_to_its_limit_and_refused_by_its_header(
    kind: Kind, most: int
) -> None:
    too_large = ("too_large", f"drpc packet of {most + 1} bytes, at most {most}")

    assert read(frame(kind, 1, 1, bytes(most))) == [(kind, 1, bytes(most))]
    assert problem(frame(kind, 1, 1, bytes(most + 1))[: -most - 1]) == too_large
    assert problem(frame(kind, 1, 1, bytes(most + 1))) == too_large


@pytest.mark.parametrize("split", [1, 99, 250, 300])
def test_the_limit_is_of_all_frames_of_a_packet_together(split: int) -> None:
    start = frame(MESSAGE, 1, 1, bytes(split), done=False)
    over = frame(MESSAGE, 1, 1, bytes(301 - split))

    assert read(start + frame(MESSAGE, 1, 1, bytes(300 - split))) == [(MESSAGE, 1, bytes(300))]
    assert problem(start + over[: -(301 - split)]) == (
        "too_large",
        "drpc packet of 301 bytes, at most 300",
    )


def test_a_packet_has_a_limited_number_of_frames() -> None:
    parts = frame(MESSAGE, 1, 1, done=False) * 3

    assert read(parts + frame(MESSAGE, 1, 1)) == [(MESSAGE, 1, b"")]
    assert problem(parts * 2) == ("too_large", "drpc packet of over 4 frames")


def test_4_mib_are_accepted_in_one_frame_and_in_many_and_not_a_byte_more() -> None:
    size, most = 64 * 1024, 4 << 20
    many = frame(MESSAGE, 1, 1, bytes(size), done=False) * 63

    assert read(frame(MESSAGE, 1, 1, bytes(most)), limits=Limits()) == [(2, 1, bytes(most))]
    assert read(many + frame(MESSAGE, 1, 1, bytes(size)), limits=Limits()) == [(2, 1, bytes(most))]
    assert problem(many + frame(MESSAGE, 1, 1, bytes(size + 1)), limits=Limits()) == (
        "too_large",
        f"drpc packet of {most + 1} bytes, at most {most}",
    )


def test_a_size_of_64_bits_is_refused_before_anything_is_kept() -> None:
    header = b"\x05\x01\x01" + b"\xff" * 9 + b"\x01"

    assert problem(header)[0] == "too_large"


@pytest.mark.parametrize(
    "name",
    ["max_packet_bytes", "max_metadata_bytes", "max_rpc_name_bytes", "max_packet_frames"],
)
def test_a_limit_is_at_least_1(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Limits(**{name: 0})

    assert str(raised.value) == f"drpc.{name}: 0 is less than 1"
    assert Limits(**{name: 1}) != Limits()
