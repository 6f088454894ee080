"""The secret of the fingerprints: from the settings, a variable or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelbridge.config import build_config
from otelbridge.core.fingerprint_key import load_fingerprinter
from otelbridge.errors import ConfigError
from otelbridge.telemetry.fingerprint import Fingerprinter

KEY = "a key of 16 char"
FILE = "fingerprint.key"


def load(base: Path, environ: dict[str, str] | None = None, **keys: object) -> Fingerprinter | None:
    return load_fingerprinter(build_config({"content": keys}, environ or {}, base=base).content)


def test_without_a_key_there_are_no_fingerprints(tmp_path: Path) -> None:
    assert load(tmp_path) is None


def test_a_key_makes_the_same_fingerprints_wherever_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"\n{KEY}\n")

    found = [
        load(tmp_path, fingerprint_key=KEY),
        load(tmp_path, {"OTELBRIDGE_CONTENT__FINGERPRINT_KEY": KEY}),
        load(tmp_path, fingerprint_key_file=FILE),
        load(tmp_path, {"OTELBRIDGE_CONTENT__FINGERPRINT_KEY_FILE": FILE}),
    ]

    assert {each.prompt("why?") for each in found if each} == {
        Fingerprinter(KEY.encode()).prompt("why?")
    }
    assert None not in found


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "no such file or directory"),
        (b"short", "the key has 5 characters, at least 16 are needed"),
        (b"\xff" * 20, "not UTF-8 text"),
        (b"x" * 65537, "larger than 65536 bytes, which is the limit"),
    ],
)
def test_a_file_that_holds_no_key_is_named_and_its_text_is_not(
    tmp_path: Path, data: bytes | None, problem: str
) -> None:
    if data is not None:
        (tmp_path / FILE).write_bytes(data)

    with pytest.raises(ConfigError) as raised:
        load(tmp_path, fingerprint_key_file=FILE)

    assert str(raised.value) == f"content.fingerprint_key_file: {tmp_path / FILE}: {problem}"
