"""HPACK, as much of it as a gRPC load generator needs.

Both sides remember finished header blocks: once the dynamic tables have settled,
a request's headers and an answer's trailers cost one dictionary look-up each.

Source: RFC 7541.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Header: TypeAlias = tuple[bytes, bytes]

# RFC 7541, appendix A: the entries that gRPC uses. Others keep their number as a name.
_STATIC: Final[dict[int, Header]] = {
    3: (b":method", b"POST"),
    6: (b":scheme", b"http"),
    8: (b":status", b"200"),
    31: (b"content-type", b""),
    54: (b"server", b""),
}
_STATIC_INDEX: Final = {header: index for index, header in _STATIC.items()}
_FIRST_DYNAMIC: Final = 62
_DEFAULT_TABLE_SIZE: Final = 4096  # RFC 7540, 6.5.2: SETTINGS_HEADER_TABLE_SIZE
_ENTRY_OVERHEAD: Final = 32  # RFC 7541, 4.1

_INDEXED: Final = 0x80
_INCREMENTAL: Final = 0x40
_RESIZE: Final = 0x20
_HUFFMAN: Final = 0x80


class HeaderEncoder:
    """Encodes the header blocks of one connection's requests.

    Everything that is not in the static table is indexed at its first use, as gRPC clients
    do; a dozen short headers never fill the peer's table.
    """

    def __init__(self, constant: tuple[Header, ...]) -> None:
        self._constant = constant
        self._table: dict[Header, int] = {}
        self._blocks: dict[bytes, bytes] = {}

    def block(self, path: bytes) -> bytes:
        """The header block of a request to ``path``."""
        known = self._blocks.get(path)
        return self._encode(path) if known is None else known

    def _encode(self, path: bytes) -> bytes:
        inserted_before = len(self._table)
        block = b"".join(map(self._field, ((b":path", path), *self._constant)))
        if len(self._table) == inserted_before:
            self._blocks[path] = block
        else:
            self._blocks.clear()  # every insertion shifts the indices of what was there
        return block

    def _field(self, header: Header) -> bytes:
        if index := _STATIC_INDEX.get(header):
            return bytes((_INDEXED | index,))
        if (order := self._table.get(header)) is not None:
            return bytes((_INDEXED | (_FIRST_DYNAMIC + len(self._table) - 1 - order),))
        self._table[header] = len(self._table)
        return bytes((_INCREMENTAL,)) + _short_string(header[0]) + _short_string(header[1])


class HeaderDecoder:
    """Decodes the header blocks of one connection's answers.

    Huffman-coded strings are left as they are: gRPC core codes only binary values so.
    """

    def __init__(self) -> None:
        self._table: list[Header] = []  # newest first
        self._limit = _DEFAULT_TABLE_SIZE
        self._changes = 0
        self._blocks: dict[bytes, Mapping[bytes, bytes]] = {}

    def decode(self, block: bytes) -> Mapping[bytes, bytes]:
        """The headers in ``block``, which must be decoded in the order of arrival."""
        known = self._blocks.get(block)
        if known is not None:
            return known
        changes_before = self._changes
        headers = dict(self._fields(block))
        if self._changes == changes_before:
            self._blocks[block] = headers
        else:
            self._blocks.clear()
        return headers

    def _fields(self, block: bytes) -> Iterator[Header]:
        at = 0
        while at < len(block):
            first = block[at]
            if first & _INDEXED:
                index, at = _integer(block, at, bits=7)
                yield self._entry(index)
            elif first & (_INCREMENTAL | _RESIZE) == _RESIZE:
                self._limit, at = _integer(block, at, bits=5)
                self._evict()
            else:
                header, at = self._literal(block, at)
                if first & _INCREMENTAL:
                    self._table.insert(0, header)
                    self._evict()
                yield header

    def _literal(self, block: bytes, at: int) -> tuple[Header, int]:
        index, at = _integer(block, at, bits=6 if block[at] & _INCREMENTAL else 4)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return (name, value), at

    def _entry(self, index: int) -> Header:
        if index < _FIRST_DYNAMIC:
            return _STATIC.get(index, (b"static-%d" % index, b""))
        try:
            return self._table[index - _FIRST_DYNAMIC]
        except IndexError:
            raise BenchmarkError(f"HPACK index {index} is outside the table") from None

    def _evict(self) -> None:
        self._changes += 1
        size = sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in self._table)
        while size > self._limit:
            name, value = self._table.pop()
            size -= len(name) + len(value) + _ENTRY_OVERHEAD


def _short_string(text: bytes) -> bytes:
    """A string literal without Huffman coding, of at most 126 bytes."""
    return bytes((len(text),)) + text


def _integer(block: bytes, at: int, *, bits: int) -> tuple[int, int]:
    """An integer with a prefix of ``bits`` (RFC 7541, 5.1), and where the next thing begins."""
    limit = (1 << bits) - 1
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    shift = 0
    while True:
        value += (block[at] & 0x7F) << shift
        shift += 7
        at += 1
        if block[at - 1] < 0x80:
            return value, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """A string literal as it stands (RFC 7541, 5.2), and where the next thing begins."""
    coded = block[at] & _HUFFMAN
    length, at = _integer(block, at, bits=7)
    text = block[at : at + length]
    return (b"huffman:" + text.hex().encode() if coded else text), at + length
