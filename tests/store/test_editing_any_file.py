"""Whatever a file looks like: edits do what they say, and comments and other tables stay."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge.domain.access import Secret, Snapshot, StaticAuth, Status
from otelbridge.store import NewGatewayKey, NewKey
from otelbridge.store.editing.parts import split_parts
from otelbridge.store.files import FileContent
from otelbridge.store.loading import load_content
from tests.store.edits import Edited
from tests.store.files import sha256
from tests.store.odd_files import NAMES, Model, OddFile, Owner, odd_files

_STATUSES = (Status.ACTIVE, Status.SUSPENDED)
_COMMENT = re.compile(r"# [^#\r\n]*?c\d+;")


def told(snapshot: Snapshot) -> Model:
    """Return what a snapshot holds."""
    names = {user.id: user.name for user in snapshot.users.values()}
    tokens = {
        server.id: {names[id_] for id_ in server.auth.tokens}
        for server in snapshot.mcp_servers.values()
        if isinstance(server.auth, StaticAuth)
    }
    return Model(
        users={u.name: (str(u.id), u.status.value) for u in snapshot.users.values()},
        keys={key.id: key.user.name for key in snapshot.keys.values()},
        gateways={gateway.name for gateway in snapshot.gateways.values()},
        budgets={"*" if id_ is None else names[id_] for id_ in snapshot.budgets},
        tokens=tokens,
    )


class Editing:
    """A file and its model, edited alike."""

    def __init__(self, file: OddFile) -> None:
        self.file = file
        self.model = file.model
        for name, (id_, status) in self.model.users.items():
            self.model.users[name] = id_, status or "active"
        self.store = Edited(file.text)
        self.touched: set[Owner] = set()
        self._drawn = 0

    def add_user(self, name: str) -> None:
        self._drawn += 1
        id_ = str(UUID(int=1000 + self._drawn))
        self.store.edit.add_user(name, id_)
        self.model.users[name] = id_, "active"

    def set_status(self, name: str, status: Status) -> None:
        id_, old = self.model.users[name]
        assert self.store.edit.set_status(name, status) == (old != status)
        self.model.users[name] = id_, status.value
        self.touched.add(("user", name))

    def remove_user(self, name: str) -> None:
        keys = [key_id for key_id, user in self.model.keys.items() if user == name]
        removed = self.store.edit.remove_user(name)
        assert sorted(removed.keys) == sorted(keys)
        self._gone(("user", name), ("budget", name), *(("key", key_id) for key_id in keys))
        del self.model.users[name]
        self.model.budgets.discard(name)
        for key_id in keys:
            del self.model.keys[key_id]
        for users in self.model.tokens.values():
            users.discard(name)

    def add_key(self, user: str) -> None:
        self._drawn += 1
        key_id = f"new{self._drawn:07}"
        key = NewKey(id=key_id, key=Secret(""), secret_sha256=sha256(key_id))
        self.store.edit.add_key(user, key)
        self.model.keys[key_id] = user

    def remove_key(self, key_id: str) -> None:
        assert self.store.edit.remove_key(key_id) == self.model.keys.pop(key_id)
        self._gone(("key", key_id))

    def add_gateway(self) -> None:
        self._drawn += 1
        name = f"new {self._drawn}"
        key = NewGatewayKey(key=Secret(""), key_sha256=sha256(name))
        self.store.edit.add_gateway(name, key)
        self.model.gateways.add(name)

    def remove_gateway(self, name: str) -> None:
        self.store.edit.remove_gateway(name)
        self.model.gateways.remove(name)
        self._gone(("gateway", name))

    def draw_step(self, data: st.DataObject) -> None:
        """Make an edit that can be made."""
        users, keys = sorted(self.model.users), sorted(self.model.keys)
        steps: list[Callable[[], None]] = [self.add_gateway]
        steps += [partial(self.add_user, name) for name in NAMES if name not in users]
        for name in users:
            steps += [partial(self.add_key, name), partial(self.remove_user, name)]
            steps += [partial(self.set_status, name, status) for status in _STATUSES]
        steps += [partial(self.remove_key, key_id) for key_id in keys]
        steps += [partial(self.remove_gateway, name) for name in sorted(self.model.gateways)]
        data.draw(st.sampled_from(steps))()

    def _gone(self, *owners: Owner) -> None:
        self.touched |= set(owners)
        comments = self.file.comments
        self.file.comments = [(text, owner) for text, owner in comments if owner not in owners]


def loaded(text: str) -> Snapshot:
    return load_content(FileContent(text.encode(), 0o600), Path("store.toml"), {"T": "t"})


any_file = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(file=odd_files())
@any_file
def test_parts_are_the_text_and_begin_at_its_tables(file: OddFile) -> None:
    parts = split_parts(file.text)

    assert "".join(part.text for part in parts) == file.text
    headers = [block.partition("\n")[0] for block in file.blocks.values() if "[[" in block[:5]]
    assert sum(part.is_element for part in parts) == len(headers)


@given(file=odd_files(), data=st.data())
@any_file
def test_the_store_after_edits_is_the_edited_store(file: OddFile, data: st.DataObject) -> None:
    editing = Editing(file)
    assert told(loaded(file.text)) == editing.model

    for _ in range(data.draw(st.integers(1, 6))):
        editing.draw_step(data)
        assert told(loaded(editing.store.text)) == editing.model


@given(file=odd_files(), data=st.data())
@any_file
def test_comments_and_other_tables_stay_as_and_where_they_are(
    file: OddFile, data: st.DataObject
) -> None:
    editing = Editing(file)
    crlf = "\r\n" in file.text

    for _ in range(data.draw(st.integers(1, 6))):
        editing.draw_step(data)

    text = editing.store.text
    assert _COMMENT.findall(text) == [comment for comment, _ in file.comments]
    for owner, block in file.blocks.items():
        if owner not in editing.touched:
            assert block.rstrip("\n") in text.replace("\r\n", "\n")
    assert text.count("\n") == (text.count("\r\n") if crlf else text.count("\n"))
