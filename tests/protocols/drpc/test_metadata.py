"""The pairs of an InvokeMetadata packet."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.errors import ProtocolError
from otelbridge.protocols.drpc.metadata import decode_metadata, encode_metadata

pairs = st.dictionaries(st.text(max_size=40), st.text(max_size=300), max_size=5)


def protobuf_type() -> Any:
    """Return the message type with a map of strings in field 1."""
    file = descriptor_pb2.FileDescriptorProto(name="metadata.proto", syntax="proto3")
    message = file.message_type.add(name="Metadata")
    entry = message.nested_type.add(name="PairsEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type="TYPE_STRING", label="LABEL_OPTIONAL")
    message.field.add(
        name="pairs",
        number=1,
        type="TYPE_MESSAGE",
        label="LABEL_REPEATED",
        type_name=".Metadata.PairsEntry",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Metadata"))


METADATA = protobuf_type()
PAIR = b"\x0a\x06\x0a\x01k\x12\x01v"


@given(metadata=pairs)
def test_metadata_is_read_as_written(metadata: dict[str, str]) -> None:
    assert decode_metadata(encode_metadata(metadata)) == metadata


@given(metadata=pairs)
def test_protobuf_reads_what_we_write_and_we_what_it_writes(metadata: dict[str, str]) -> None:
    theirs = METADATA(pairs=metadata)

    assert METADATA.FromString(encode_metadata(metadata)) == theirs
    assert decode_metadata(theirs.SerializeToString()) == metadata


@given(data=st.lists(st.sampled_from([b"\x0a", b"\x12", b"\x02", b"\x00", b"a"])).map(b"".join))
def test_what_protobuf_reads_is_read_alike(data: bytes) -> None:
    try:
        theirs = dict(METADATA.FromString(data).pairs)
    except DecodeError:
        return

    assert decode_metadata(data) == theirs


@given(data=st.binary(max_size=60))
def test_any_bytes_are_pairs_or_a_protocol_error(data: bytes) -> None:
    try:
        metadata = decode_metadata(data)
    except ProtocolError:
        return

    assert decode_metadata(encode_metadata(metadata)) == metadata


@pytest.mark.parametrize(
    ("data", "metadata"),
    [
        (b"", {}),
        (b"\x0a\x00", {"": ""}),
        (b"\x0a\x03\x12\x01v", {"": "v"}),
        (b"\x0a\x06\x12\x01v\x0a\x01k", {"k": "v"}),
        (PAIR + b"\x0a\x06\x0a\x01k\x12\x01w", {"k": "w"}),
        # unknown fields: a varint, 8 bytes, 4 bytes, delimited
        (b"\x10\x96\x01" + PAIR, {"k": "v"}),
        (b"\x19" + bytes(8) + PAIR, {"k": "v"}),
        (b"\x1d" + bytes(4) + PAIR, {"k": "v"}),
        (b"\x22\x01x" + PAIR, {"k": "v"}),
        (b"\x0a\x09\x0a\x03k\xff\xc3\x12\x02\xffv", {"k\ufffd\ufffd": "\ufffdv"}),
    ],
)
def test_odd_pairs_are_read(data: bytes, metadata: dict[str, str]) -> None:
    assert decode_metadata(data) == metadata


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a", "drpc metadata of 1 bytes is cut short"),
        (b"\x0a\x05\x0a\x01k", "drpc metadata of 5 bytes is cut short"),
        (b"\x19\x00", "drpc metadata of 2 bytes is cut short"),
        (b"\x10\x80", "drpc metadata of 2 bytes is cut short"),
        (b"\x0b\x0c", "drpc metadata with wire type 3"),
        (b"\x0f", "drpc metadata with wire type 7"),
    ],
)
def test_what_is_no_protobuf_is_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode_metadata(data)

    assert (raised.value.kind, str(raised.value)) == ("framing", problem)


def test_a_lone_surrogate_is_written_as_a_question_mark() -> None:
    assert decode_metadata(encode_metadata({"\ud800": "\udfff"})) == {"?": "?"}
