"""Certificates' dates: which have ended, or soon will.

Source: RFC 5280, section 4.1 (Certificate, TBSCertificate, Validity, Time); ITU-T X.690
(the encoding). Nothing else of a certificate is read: whether it fits its key is examined by
the TLS library.
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from otelbridge.config import Config

AREA = "certificate"
_DAY_S = 86400
# A person needs some days to renew one.
_SOON_S = 14 * _DAY_S
_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL | re.ASCII
)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
# "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY."
_CENTURY_TURNS_AT = 50
_LONG, _LENGTH = 0x80, 0x7F


class Validity(NamedTuple):
    """From when until when a certificate holds, in seconds since the Unix epoch."""

    begins_s: float
    ends_s: float


def certificate_findings(config: Config, *, now_s: float) -> Iterator[Finding]:
    """Yield how the certificates stand that the settings name.

    Those that cannot be read are told with the settings.

    Args:
        config: The settings.
        now_s: The time, in seconds since the Unix epoch.
    """
    yield from _of_file("tls.cert", config.tls.cert, now_s=now_s)
    yield from _of_file("tls.client_ca", config.tls.client_ca, now_s=now_s, is_bundle=True)
    for destination in config.destination:
        name, tls = f"destination {destination.name}: tls", destination.tls
        yield from _of_file(f"{name}.cert", tls.cert, now_s=now_s)
        yield from _of_file(f"{name}.ca", tls.ca, now_s=now_s, is_bundle=True)


def _of_file(
    key: str, path: Path | None, *, now_s: float, is_bundle: bool = False
) -> Iterator[Finding]:
    """Yield how a file's certificates stand.

    A chain holds as long as each of its certificates; of a bundle of
    authorities one is enough.
    """
    if path is None:
        return
    try:
        found = [validity_of(each) for each in certificates_in(path.read_bytes())]
    except (OSError, ValueError):
        return
    if found:
        choose = max if is_bundle else min
        yield standing(choose(found, key=lambda each: each.ends_s), f"{key} ({path})", now_s=now_s)


def standing(validity: Validity, subject: str, *, now_s: float) -> Finding:
    """Return how a certificate stands.

    Args:
        validity: When it holds.
        subject: Which one.
        now_s: The time, in seconds since the Unix epoch.
    """
    if validity.begins_s > now_s:
        text = f"it holds from {_day(validity.begins_s)} on only"
        return failure(AREA, text, "look at this machine's clock", subject=subject)
    days = (validity.ends_s - now_s) / _DAY_S
    text = f"until {_day(validity.ends_s)}"
    if days < 0:
        renew = "renew it: a running bridge takes a new file by itself"
        return failure(AREA, f"it ended on {_day(validity.ends_s)}", renew, subject=subject)
    if validity.ends_s - now_s < _SOON_S:
        renew = "renew it in time: a running bridge takes a new file by itself"
        return warning(AREA, f"it ends in {days:.0f} days: {text}", renew, subject=subject)
    return ok(AREA, f"it holds {text}", subject=subject)


def certificates_in(pem: bytes) -> list[bytes]:
    """Return the certificates of a PEM file, as DER.

    Raises:
        ValueError: If one is not of that form.
    """
    return [ssl.PEM_cert_to_DER_cert(each.decode("ascii")) for each in _PEM.findall(pem)]


def validity_of(certificate: bytes) -> Validity:
    """Return when a certificate holds.

    Args:
        certificate: As DER.

    Raises:
        ValueError: If that cannot be read.
    """
    try:
        (_, outer), *_ = _values(certificate)
        (_, body), *_ = _values(outer)
        fields = [value for tag, value in _values(body) if tag != _VERSION]
        begins, ends = _values(fields[3])  # serialNumber, signature, issuer, validity
        return Validity(_seconds(*begins), _seconds(*ends))
    except IndexError:
        raise ValueError("not a certificate") from None


def _values(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Return what stands one behind the other: each tag and its content."""
    found = []
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & _LONG:
            size = length & _LENGTH
            length, at = int.from_bytes(data[at : at + size]), at + size
        found.append((tag, data[at : at + length]))
        at += length
    return found


def _seconds(tag: int, content: bytes) -> float:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = f"{20 if int(text[:2]) < _CENTURY_TURNS_AT else 19}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%d")
