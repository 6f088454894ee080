"""The composition root: everything is built, started, drained and stopped here."""

from otelbridge.server.server import Server

__all__ = ["Server"]
