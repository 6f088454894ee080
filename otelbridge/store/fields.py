"""Types of the store file's values; each says what is wrong in words of its own.

A value that may be a secret, even by mistake (a whole key where its hash
belongs), is never repeated in an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

import re2
from pydantic import AfterValidator, PlainValidator

from otelbridge.config import is_loopback
from otelbridge.errors import escaped

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEX = "[0-9a-fA-F]"
_UUID = re.compile(rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}")
_SHA256 = re.compile(rf"{_HEX}{{64}}")
_KEY_ID = re.compile(r"[A-Za-z0-9]{10}")
_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_MAX_LABEL = 64  # names become labels of metrics and parts of errors
_MAX_TEXT = 512  # ids that others draw up
# USD * 10^9 fits in an int64.
_MAX_USD = Decimal(1_000_000_000)
_MICRO = Decimal("0.000001")


def _uuid(value: object) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError(f"{_shown(value)} is not a UUID")
    uuid = UUID(value)
    if not uuid.int:
        raise ValueError("the nil UUID is not allowed")
    return uuid


def _sha256(value: object) -> bytes:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        length = f" of {len(value)} characters" if isinstance(value, str) else ""
        raise ValueError(f"value{length} is not a SHA-256, which has 64 hex digits")
    if value.lower() == _EMPTY_SHA256:
        raise ValueError("this is the hash of an empty text")
    return bytes.fromhex(value)


def _key_id(value: object) -> str:
    if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
        length = f" of {len(value)} characters" if isinstance(value, str) else ""
        raise ValueError(f"value{length} is not a key id, which has 10 of A-Z, a-z, 0-9")
    return value


def _label(value: str) -> str:
    return _printable(value, _MAX_LABEL)


def _text(value: str) -> str:
    return _printable(value, _MAX_TEXT)


def _printable(value: str, limit: int) -> str:
    if not value.isprintable() or value != value.strip() or not 0 < len(value) <= limit:
        raise ValueError(
            f"{_shown(value)} is not allowed: 1 to {limit} printable characters, "
            "no space at the ends"
        )
    return value


def _user_name(value: str) -> str:
    if value == "*":
        raise ValueError('"*" means everybody and cannot be a name')
    return _label(value)


def _regex(value: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(value, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{_shown(value)} is not an RE2 pattern: {escaped(text)}") from None
    return value


def _http_url(value: str) -> str:
    try:
        url = urlsplit(value)
        is_web = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_web = False
    if is_web and "@" in url.netloc:
        raise ValueError("a user name or password in a URL is not allowed")
    if not is_web or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"{_address(value)} is not a URL of the form http(s)://HOST[:PORT][/PATH]")
    return value


def _address(value: str) -> str:
    """Return a URL as an error shows it: passwords and queries may be secrets."""
    return "the value" if "@" in value else _shown(value.partition("?")[0])


def _secure_url(value: str) -> str:
    url = urlsplit(_http_url(value))
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    if url.scheme != "https" and not is_loopback(f"{host}:{url.port or 80}"):
        raise ValueError(f"{_address(value)} is not https, http is for loopback addresses only")
    return value


def _instant_ns(value: object) -> int:
    if not isinstance(value, datetime) or value.tzinfo is None:
        shown = _shown(str(value) if isinstance(value, datetime) else value)
        raise ValueError(f"{shown} is not a TOML time with an offset, as 2027-01-01T00:00:00Z")
    return (value - _EPOCH) // _MICROSECOND * 1000


def _usd_micros(value: object) -> int:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f'{_shown(value)} is not a decimal number, as "50.00"') from None
    if not amount.is_finite() or not 0 <= amount <= _MAX_USD:
        raise ValueError(f"{_shown(str(value))} is not from 0 to {_MAX_USD} USD")
    rounded = amount.quantize(_MICRO)
    if rounded != amount:
        raise ValueError(f"{_shown(str(value))} has more than 6 decimal places")
    return int(rounded / _MICRO)


def _shown(value: object) -> str:
    """Return a value as an error shows it; of what is no scalar, only what it is."""
    if isinstance(value, str):
        return f'"{escaped(value)}"'
    return escaped(str(value)) if isinstance(value, int | Decimal) else f"a {type(value).__name__}"


UuidField: TypeAlias = Annotated[UUID, PlainValidator(_uuid)]
Sha256Field: TypeAlias = Annotated[bytes, PlainValidator(_sha256)]
KeyIdField: TypeAlias = Annotated[str, PlainValidator(_key_id)]
LabelField: TypeAlias = Annotated[str, AfterValidator(_label)]
TextField: TypeAlias = Annotated[str, AfterValidator(_text)]
UserNameField: TypeAlias = Annotated[str, AfterValidator(_user_name)]
RegexField: TypeAlias = Annotated[str, AfterValidator(_regex)]
HttpUrlField: TypeAlias = Annotated[str, AfterValidator(_http_url)]
SecureUrlField: TypeAlias = Annotated[str, AfterValidator(_secure_url)]
InstantField: TypeAlias = Annotated[int, PlainValidator(_instant_ns)]
UsdField: TypeAlias = Annotated[int, PlainValidator(_usd_micros)]
