"""Numbers, frames and error bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.errors import ProtocolError
from otelbridge.protocols.drpc.wire import (
    SPLIT_SIZE,
    Kind,
    decode_error,
    encode_error,
    encode_packet,
    read_header,
    read_varint,
    varint,
)
from tests.protocols.drpc.frames import frame

numbers = st.integers(0, 2**64 - 1) | st.sampled_from([127, 128, 16383, 16384, 2**63, 2**64 - 1])


@given(number=numbers, before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_a_number_is_read_as_written(number: int, before: bytes, after: bytes) -> None:
    data = varint(number)

    assert read_varint(before + data + after, len(before)) == (number, len(before) + len(data))
    assert all(read_varint(data[:length], 0) is None for length in range(len(data)))


def test_a_number_may_have_more_bytes_than_it_needs() -> None:
    assert read_varint(b"\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00", 0) == (1, 10)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff" * 9 + b"\x02", "drpc number 27670116110564327423, at most 2^64 - 1 is allowed"),
        (b"\xff" * 10, "drpc number of more than 10 bytes"),
        (b"\x80" * 10 + b"\x00", "drpc number of more than 10 bytes"),
    ],
)
def test_a_number_over_64_bits_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        read_varint(data, 0)

    assert (raised.value.kind, str(raised.value)) == ("framing", problem)


def test_a_number_of_nine_bytes_that_goes_on_is_not_complete() -> None:
    assert read_varint(b"\xff" * 9, 0) is None


@given(ids=st.tuples(numbers, numbers), data=st.binary(max_size=300))
def test_a_frame_is_first_byte_ids_size_and_data(ids: tuple[int, int], data: bytes) -> None:
    packet = encode_packet(Kind.MESSAGE, *ids, data)

    header = read_header(packet, 1)

    assert packet[0] == 0x05
    assert header is not None
    assert (*header[:3], packet[header.end :]) == (*ids, len(data), data)


@pytest.mark.parametrize("ids", [(128, 128), (127, 127), (1, 128), (128, 1)])
def test_ids_around_a_byte_are_written_right(ids: tuple[int, int]) -> None:
    assert encode_packet(Kind.CLOSE, *ids) == frame(Kind.CLOSE, *ids)


@pytest.mark.parametrize(
    ("kind", "is_control", "first"),
    [
        (Kind.INVOKE, False, 0x03),
        (Kind.MESSAGE, False, 0x05),
        (Kind.ERROR, False, 0x07),
        (Kind.CANCEL, True, 0x89),
        (Kind.CLOSE, False, 0x0B),
        (Kind.CLOSE_SEND, False, 0x0D),
        (Kind.INVOKE_METADATA, False, 0x0F),
    ],
)
def test_the_first_byte_says_kind_done_and_control(
    kind: Kind, is_control: bool, first: int
) -> None:
    assert encode_packet(kind, 1, 2, is_control=is_control) == bytes((first, 1, 2, 0))


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (SPLIT_SIZE - 1, [SPLIT_SIZE - 1]),
        (SPLIT_SIZE, [SPLIT_SIZE]),
        (SPLIT_SIZE + 1, [SPLIT_SIZE, 1]),
        (2 * SPLIT_SIZE, [SPLIT_SIZE, SPLIT_SIZE]),
        (4 << 20, [SPLIT_SIZE] * 64),
    ],
)
def test_data_over_64_kib_is_split_and_the_last_frame_is_done(size: int, sizes: list[int]) -> None:
    stream = encode_packet(Kind.MESSAGE, 1, 2, bytes(size))

    found, at = [], 0
    while at < len(stream):
        header = read_header(stream, at + 1)
        assert header is not None
        found.append((stream[at], header.stream, header.message, header.size))
        at = header.end + header.size

    firsts = [0x04] * (len(sizes) - 1) + [0x05]
    assert found == [(first, 1, 2, each) for first, each in zip(firsts, sizes, strict=True)]
    assert at == len(stream)


@given(code=numbers, text=st.text(max_size=50))
def test_an_error_is_read_as_written(code: int, text: str) -> None:
    assert decode_error(encode_error(code, text)) == (code, text)


@pytest.mark.parametrize("size", range(8))
def test_an_error_without_a_code_is_all_text(size: int) -> None:
    assert decode_error(b"invalid!"[:size]) == (0, "invalid!"[:size])


def test_an_error_that_is_no_utf_8_is_read_with_replacements() -> None:
    assert decode_error(bytes(8) + b"a\xff\xc3") == (0, "a\ufffd\ufffd")
    assert decode_error(b"\xff") == (0, "\ufffd")


def test_an_error_is_written_whatever_is_in_its_text() -> None:
    assert encode_error(0, "a\ud800b") == bytes(8) + b"a?b"


def test_the_text_of_an_error_is_cut_between_characters_to_fit_into_a_frame() -> None:
    whole = encode_error(0, "x" * SPLIT_SIZE)
    odd = encode_error(0, "x" + "é" * SPLIT_SIZE)

    assert len(whole) == SPLIT_SIZE
    assert odd[8:].decode() == "x" + "é" * ((SPLIT_SIZE - 9) // 2)
