"""Which end of a connection a session is."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """An end of a connection.

    Attributes:
        CLIENT: It dialled, and opens the streams: with odd ids.
        SERVER: It was dialled, and opens none.
    """

    CLIENT = "client"
    SERVER = "server"
