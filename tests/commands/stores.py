"""Commands that look at a store and edit it, run in the test's own process."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from otelbridge.cli import cli
from otelbridge.domain.access import Snapshot
from otelbridge.store.editing import view_store
from tests.store.files import GATEWAY, KEYS, PEOPLE, PROVIDER, write_store

#: A provider's key is in the environment of the server alone.
STORE = f'# Who may call.\n{GATEWAY}{PEOPLE}{KEYS}{PROVIDER}keys = [{{ env = "NOT_SET_HERE" }}]\n'


class Bridge:
    """The files of a bridge."""

    def __init__(self, directory: Path, text: str = STORE) -> None:
        self.config = directory / "bridge.toml"
        self.config.write_text('[store]\npath = "store.toml"\n')
        self.store = write_store(directory, text)

    @property
    def snapshot(self) -> Snapshot:
        """Return what the store holds."""
        return view_store(self.store)

    def run(self, *arguments: str) -> Result:
        """Run a command; a traceback fails the test."""
        return CliRunner().invoke(
            cli, [*arguments, "--config", str(self.config)], catch_exceptions=False
        )

    def refusal(self, *arguments: str) -> str:
        """Return what a command says that fails and leaves the store as it is."""
        before = self.store.read_bytes()
        done = self.run(*arguments)
        assert (done.exit_code, done.stdout) == (1, "")
        assert self.store.read_bytes() == before
        return done.stderr
