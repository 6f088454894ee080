"""Loading the store file: all of it is right, or every mistake is told."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from otelbridge.errors import StoreError, escaped
from otelbridge.store.building import build_snapshot
from otelbridge.store.crosschecks import cross_problems
from otelbridge.store.problems import problem_lines
from otelbridge.store.references import Sources
from otelbridge.store.schema import Document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otelbridge.domain.access import Snapshot
    from otelbridge.store.files import FileContent

#: Largest store file: 60,000 users with a key each.
MAX_BYTES = 16 * 1024 * 1024
_MAX_PROBLEMS = 100  # a log line each: a file of noise must not flood the log


def load_store(path: Path, environ: Mapping[str, str]) -> Snapshot:
    """Read and check the store file, and the secrets that it refers to.

    Args:
        path: The file; only its owner may have access to it.
        environ: Where ``{ env = … }`` is looked up. ``{ file = … }`` is
            relative to the store file.

    Raises:
        StoreError: If anything is wrong with it. Each problem is a line,
            ``store.toml: mcp_server[1].url: …``; no secret is in it.
    """
    return read_store(path, Sources(environ=environ, base=path.parent))


def read_store(path: Path, sources: Sources) -> Snapshot:
    """Load the store file as `load_store` does, and note in `sources` which files it took.

    Raises:
        StoreError: See `load_store`.
    """
    try:
        content = sources.read(path, max_bytes=MAX_BYTES)
    except ValueError as error:
        raise _store_error(path, [str(error)]) from None
    return _checked(content, path, sources)


def load_content(content: FileContent, path: Path, environ: Mapping[str, str]) -> Snapshot:
    """Check what a store file holds, or would hold if it were written.

    Args:
        content: Its bytes and mode.
        path: The file that errors name, and whose directory relative paths begin at.
        environ: See `load_store`.

    Raises:
        StoreError: See `load_store`.
    """
    return _checked(content, path, Sources(environ=environ, base=path.parent))


def _checked(content: FileContent, path: Path, sources: Sources) -> Snapshot:
    problems = [] if content.exposure is None else [content.exposure]
    try:
        data = _parsed(content.data)
    except ValueError as error:
        raise _store_error(path, [*problems, str(error)]) from None
    document, more = _validated(data, sources)
    # What both say is told once.
    problems += dict.fromkeys([*more, *cross_problems(data)])
    if document is None or problems:
        raise _store_error(path, problems)
    return build_snapshot(document)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode(), parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text: byte {error.start}") from None
    except RecursionError:
        raise ValueError("not a TOML file: nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        # Not only TOMLDecodeError: a number may be too long for int or Decimal.
        raise ValueError(f"not a TOML file: {escaped(str(error), 200)}") from None


def _validated(data: dict[str, Any], sources: Sources) -> tuple[Document | None, list[str]]:
    try:
        return Document.model_validate(data, context=sources), []
    except ValidationError as error:
        return None, problem_lines(error)


def _store_error(path: Path, problems: list[str]) -> StoreError:
    lines = [f"{path.name}: {problem}" for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"{path.name}: and {len(problems) - _MAX_PROBLEMS} more")
    return StoreError(lines)
