"""The command line: its commands, and mistakes told in one line."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any

import click

from otelbridge.errors import OtelBridgeError

# A command is the function of its module's name. Each is imported when it is
# called: `--version` and `init` need no gRPC, and start in a third of the time.
_COMMANDS = (
    "init",
    "serve",
    "demo",
    "check",
    "doctor",
    "users",
    "keys",
    "gateways",
    "mcp",
    "replay",
    "usage",
    "top",
    "journal",
    "reconcile",
    "deadletters",
)


class Mistake(click.ClickException):
    """Something that the user can put right: a line each on standard error, exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print it."""
        for line in self.message.splitlines():
            click.echo(f"Error: {line}", file=file, err=True)


class Commands(click.Group):
    """The commands, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Return the commands' names, in the order in which one needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, None if there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        gc.disable()  # what is imported stays: looking for garbage is a sixth of the start
        try:
            module = import_module(f"otelbridge.commands.{cmd_name}")
        finally:
            gc.enable()
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            Mistake: If it raises an error of ours.
        """
        try:
            return super().invoke(ctx)
        except OtelBridgeError as error:
            raise Mistake(str(error)) from None


@click.group(cls=Commands)
@click.version_option(package_name="otelbridge", message="%(prog)s %(version)s")
def cli() -> None:
    """OpenTelemetry-native server for AI gateways.

    LLM interceptions in, spans and metrics out.
    """


def main() -> None:
    """Run the command line."""
    cli(prog_name="otelbridge")
