"""A store file that is read again when it, or a file that it names, has changed.

It is looked at in intervals: docs/adr/0006 says why nothing waits for events.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from otelbridge.errors import StoreError
from otelbridge.store.files import signature
from otelbridge.store.loading import read_store
from otelbridge.store.references import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otelbridge.domain.access import Snapshot
    from otelbridge.store.files import Signature

# A file that does not come to rest must not keep the others' changes away:
# 4 looks are a second, which is what an edit may take.
_MAX_UNREST = 3


class StoreFile:
    """A store file with the files that it names, and what they looked like when they were read.

    Not for several threads at a time.

    Args:
        path: The store file.
        environ: See `load_store`.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._read: dict[Path, Signature] = {}
        self._last_look: dict[Path, Signature] = {}
        self._unrest = 0
        self.path = path

    def load(self) -> Snapshot:
        """Read and check the file as it is now.

        Raises:
            StoreError: See `load_store`.
        """
        sources = Sources(environ=self._environ, base=self.path.parent)
        try:
            return read_store(self.path, sources)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # a bug here must not end the watch
            raise StoreError([f"{self.path.name}: cannot be loaded: {_bug(error)}"]) from None
        finally:
            self._read = sources.seen
            self._unrest = 0

    def has_changed(self) -> bool:
        """Return whether a file is no longer what was read, and is not being written.

        To be called at equal intervals: files are at rest when they look as
        they did last time. If they do not come to rest they are taken as they
        are, at the fourth look.
        """
        look = {path: signature(path) for path in self._read}
        is_at_rest = look == self._last_look
        self._last_look = look
        if look == self._read:
            self._unrest = 0
            return False
        self._unrest += 1
        return is_at_rest or self._unrest > _MAX_UNREST


def _bug(error: Exception) -> str:
    """Return what can be told of a bug: its message may hold what is in the file."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}, line {frame.lineno}"
