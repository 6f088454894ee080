"""The bytes that the Go implementation wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).parents[1] / "vectors" / "drpc.txt"


@dataclass
class Exchange:
    """One call: what each end wrote."""

    client: list[bytes] = field(default_factory=list)
    server: list[bytes] = field(default_factory=list)


ENCODINGS: Final[dict[str, bytes]] = {}
CALLS: Final[dict[str, Exchange]] = {}

for _line in _FILE.read_text().splitlines():
    _what, _, _rest = _line.partition(" ")
    match _what:
        case "one":
            _name, _data = _rest.split()
            ENCODINGS[_name] = bytes.fromhex(_data)
        case "call":
            CALLS[_rest] = _call = Exchange()
        case "C>S":
            _call.client.append(bytes.fromhex(_rest))
        case "S>C":
            _call.server.append(bytes.fromhex(_rest))
