"""Edits of a store's text, without a file."""

from __future__ import annotations

from otelbridge.domain.access import Secret
from otelbridge.store import NewGatewayKey, NewKey
from otelbridge.store.editing import StoreEdit
from otelbridge.store.editing.text import StoreText
from tests.store.files import ALICE, BOB, sha256

CAROL = "9b3e4a8f-3333-4c4b-9d5a-0a0b0c0d0e0f"
HASH = sha256("x")
KEY = NewKey(id="carolKey01", key=Secret("carolKey01-x"), secret_sha256=HASH)
GATEWAY_KEY = NewGatewayKey(key=Secret("g"), key_sha256=HASH)


def user(name: str, id_: str) -> str:
    return f'[[user]]\nid = "{id_}"\nname = "{name}"\n'


ALICES = user("alice", ALICE)
BOBS = user("bob", BOB)
CAROLS = user("carol", CAROL) + 'status = "active"\n'


class Edited:
    """A text, and the edits that can be made to it."""

    def __init__(self, text: str) -> None:
        self._text = StoreText(text)
        self.edit = StoreEdit(self._text)

    @property
    def text(self) -> str:
        """Return the edited text."""
        return self._text.render()
