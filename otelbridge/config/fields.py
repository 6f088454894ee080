"""Types of the settings' values, with the limits that several keys share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, PlainValidator

from otelbridge.errors import escaped

_KIB = 1024
_MIB = 1024**2
_EIB = 1024**6  # SQLite counts in 63 bits


def check_file(path: Path) -> Path:
    """Check that a path can name a file.

    Raises:
        ValueError: If it is empty, ends in no name or holds a NUL.
    """
    if not path.name or "\0" in str(path):
        raise ValueError(f'"{escaped(str(path))}" is not the path of a file')
    return path


def _refuse_bool(value: object) -> object:
    """Refuse what Python counts among the numbers."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")  # noqa: TRY004  # pydantic's way
    return value


class HeaderFile(NamedTuple):
    """A header's value that is kept in a file.

    Attributes:
        path: The file.
        prefix: What comes before its text, such as ``"Bearer "``.
    """

    path: Path
    prefix: str = ""


def _header(value: object) -> str | HeaderFile:
    """Return a header's value or where it is kept; what is given instead may be a secret."""
    if isinstance(value, str | HeaderFile):
        return value
    if isinstance(value, dict) and {"file"} <= value.keys() <= {"file", "prefix"}:
        path, prefix = value["file"], value.get("prefix", "")
        if isinstance(path, str | Path) and isinstance(prefix, str):
            return HeaderFile(check_file(Path(path)), prefix)
    raise ValueError('not a string, or { file = "PATH" } with or without a prefix')


HeaderValue: TypeAlias = Annotated[str | HeaderFile, PlainValidator(_header)]
File: TypeAlias = Annotated[Path, AfterValidator(check_file)]
Number: TypeAlias = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, BeforeValidator(_refuse_bool)]
#: Disk space.
Size: TypeAlias = Annotated[ByteSize, BeforeValidator(_refuse_bool), Field(ge=_MIB, le=_EIB)]
#: The size of a text.
TextSize: TypeAlias = Annotated[ByteSize, BeforeValidator(_refuse_bool), Field(ge=_KIB)]
