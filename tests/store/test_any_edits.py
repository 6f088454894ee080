"""Whatever is done to a store's files: the last state that was right is answered, in whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otelbridge.domain.access import Snapshot
from otelbridge.errors import StoreError
from otelbridge.store import Store
from otelbridge.store.reloading import StoreFile
from tests.store.files import ALICE, sha256

versions = st.integers(0, 9)
wrong = st.sampled_from(["", "[[user", "# nothing", "user = 1", '[[key]]\nid = "x"', "\0"])


def text(version: int) -> str:
    """Return a store whose tables all tell its version; its provider's key is in a file."""
    return f"""
[[gateway]]
name = "v{version}"
key_sha256 = "{sha256(str(version))}"
[[user]]
id = "{ALICE}"
name = "v{version}"
[[key]]
id = "key000000{version}"
user = "v{version}"
secret_sha256 = "{sha256("s")}"
[[provider]]
name = "v{version}"
type = "t"
keys = [{{ file = "key" }}]
"""


def told(snapshot: Snapshot) -> tuple[set[str], str]:
    """Return the versions that a snapshot's tables tell, and the provider's key."""
    names = {user.name for user in snapshot.users.values()} | set(snapshot.providers)
    names |= {gateway.name for gateway in snapshot.gateways.values()}
    names |= {key.user.name for key in snapshot.keys.values()}
    names |= {f"v{key_id[-1]}" for key_id in snapshot.keys}
    ((key,),) = [provider.keys for provider in snapshot.providers.values()]
    return names, key.reveal()


class Edits(RuleBasedStateMachine):
    """The model: what the files hold now, and what was right when they came to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "store.toml"
        self.ticks = count(1_700_000_000 * 10**9, 10**9)
        self.version: int | None = None
        self.key: str | None = None
        self.is_private = True

    def teardown(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.directory)

    @initialize(version=versions)
    def load(self, version: int) -> None:
        self.write_key("first")
        self.write(version)
        self.file = StoreFile(self.path, {})
        self.store = Store(self.file.load(), tokens_path=self.directory / "tokens.json")
        self.right = self.now()

    @property
    def is_right(self) -> bool:
        return self.version is not None and self.key is not None and self.is_private

    def now(self) -> tuple[set[str], str | None]:
        return {f"v{self.version}"}, self.key

    def put(self, path: Path, content: str, *, mode: int = 0o600) -> None:
        path.write_text(content)
        path.chmod(mode)
        at_ns = next(self.ticks)  # tests outrun the disk's clock
        os.utime(path, ns=(at_ns, at_ns))

    @rule(version=versions)
    def write(self, version: int) -> None:
        self.put(self.path, text(version), mode=0o600)
        self.version, self.is_private = version, True

    @rule(version=versions)
    def replace(self, version: int) -> None:
        self.put(self.directory / "new", text(version))
        (self.directory / "new").rename(self.path)
        self.version, self.is_private = version, True

    @rule(version=versions)
    def link(self, version: int) -> None:
        target = self.directory / f"mounted-{next(self.ticks)}"
        self.put(target, text(version))
        (self.directory / "link").symlink_to(target)
        (self.directory / "link").rename(self.path)
        self.version, self.is_private = version, True

    @rule(content=wrong | versions.map(lambda version: text(version)[:-5]))
    def spoil(self, content: str) -> None:
        self.put(self.path, content)
        self.version, self.is_private = None, True

    @rule()
    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.version = None

    @rule(mode=st.sampled_from([0o600, 0o400, 0o640, 0o604]))
    def change_mode(self, mode: int) -> None:
        if self.path.exists():
            self.path.chmod(mode)
            self.is_private = not mode & 0o077

    @rule()
    def touch(self) -> None:
        if self.path.exists():
            at_ns = next(self.ticks)
            os.utime(self.path, ns=(at_ns, at_ns))

    @rule(key=st.sampled_from(["first", "second"]))
    def write_key(self, key: str) -> None:
        self.put(self.directory / "key", key)
        self.key = key

    @rule()
    def delete_key(self) -> None:
        (self.directory / "key").unlink(missing_ok=True)
        self.key = None

    @rule()
    def look(self) -> None:
        """Do what a watcher does at its intervals."""
        if self.file.has_changed():
            try:
                self.store.swap(self.file.load())
            except StoreError as error:
                self.store.keep(error.problems)
            if self.is_right:
                self.right = self.now()

    @rule()
    def rest(self) -> None:
        """Leave the files alone until they were read."""
        for _ in range(3):
            self.look()

        assert bool(self.store.health.problems) == (not self.is_right)
        if self.is_right:
            assert told(self.store.snapshot) == self.now()

    @invariant()
    def the_last_right_state_is_answered_in_whole(self) -> None:
        assert told(self.store.snapshot) == self.right


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
