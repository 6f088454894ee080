"""Secrets of the store file: written out, or by reference to the environment or a file.

A secret's value is never repeated in an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import PlainValidator, ValidationInfo

from otelbridge.domain.access import Secret
from otelbridge.errors import escaped
from otelbridge.store.files import read_regular, signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otelbridge.store.files import FileContent, Signature

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_SECRET_BYTES = 64 * 1024  # the longest tokens in the wild (JWTs) take a tenth


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where secrets are looked up: the context in which a store file is validated.

    Attributes:
        environ: For ``{ env = … }``.
        base: For ``{ file = … }``: what relative paths are relative to.
        seen: Every file that was asked for, with its signature before it was
            read: a change during the read is one that comes after it.
    """

    environ: Mapping[str, str]
    base: Path
    seen: dict[Path, Signature] = field(default_factory=dict)

    def read(self, path: Path, *, max_bytes: int) -> FileContent:
        """Read a file; see `read_regular`."""
        self.seen.setdefault(path, signature(path))
        return read_regular(path, max_bytes=max_bytes)


def _resolved(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, str):
        return _usable(value)
    if isinstance(value, dict) and len(value) == 1 and isinstance(info.context, Sources):
        form, name = next(iter(value.items()))
        if form == "env" and isinstance(name, str):
            return _of_env(name, info.context.environ)
        if form == "file" and isinstance(name, str):
            return _of_file(name, info.context)
    raise ValueError('not a string, { env = "NAME" } or { file = "PATH" }')


def _of_env(name: str, environ: Mapping[str, str]) -> Secret:
    if not _ENV_NAME.fullmatch(name):
        # It may be the secret itself: not repeated.
        raise ValueError("env is not the name of an environment variable")
    if name not in environ:
        raise ValueError(f'environment variable "{escaped(name)}" is not set')
    try:
        return _usable(environ[name])
    except ValueError as error:
        raise ValueError(f'environment variable "{escaped(name)}": {error}') from None


def _of_file(name: str, sources: Sources) -> Secret:
    try:
        data = sources.read(sources.base / name, max_bytes=_MAX_SECRET_BYTES).data
        return _usable(data.decode().strip())
    except UnicodeDecodeError:
        raise ValueError(f'file "{escaped(name)}": not UTF-8 text') from None
    except ValueError as error:
        raise ValueError(f'file "{escaped(name)}": {error}') from None


def _usable(text: str) -> Secret:
    if not text:
        raise ValueError("the secret is empty")
    if not text.isprintable():
        # It will be sent in a header (RFC 9110, section 5.5).
        raise ValueError("the secret has a line break or another unprintable character")
    return Secret(text)


#: A secret, resolved while it is validated.
SecretField: TypeAlias = Annotated[Secret, PlainValidator(_resolved)]
