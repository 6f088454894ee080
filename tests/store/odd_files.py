"""Store files as nobody would write them, and what is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from tests.store.files import sha256

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

#: An array's name, and what tells its tables apart.
Owner: TypeAlias = tuple[str, str]

NAMES = ["alice", "o'neil", "a]b", "[[user]]", "#1", 'qu"ote', "ünal", "b.c", "= [", "x" * 64]
_STATUSES = [None, "active", "suspended", "dormant"]


@dataclass
class Model:
    """What a store holds, by what people call it."""

    users: dict[str, tuple[str, str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    gateways: set[str] = field(default_factory=set)
    budgets: set[str] = field(default_factory=set)
    tokens: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class OddFile:
    """A store file.

    Attributes:
        text: What is in it.
        model: The same.
        comments: All comments in their order, each with the table that it is in.
        blocks: Tables as they are written.
    """

    model: Model
    text: str = ""
    comments: list[tuple[str, Owner | None]] = field(default_factory=list)
    blocks: dict[Owner, str] = field(default_factory=dict)


class _Writer:
    """Writes tables in a style that it draws anew for each line."""

    def __init__(self, draw: DrawFn, file: OddFile) -> None:
        self.draw = draw
        self._file = file

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def comment(self, owner: Owner | None) -> str:
        """Return a comment that no other is like, some of which look like what they are not."""
        looks = self.draw(st.sampled_from(["", "[[user]] ", "'''", '"""', "= [ ", "\t"]))
        text = f"# {looks}c{len(self._file.comments)};"
        self._file.comments.append((text, owner))
        return text

    def header(self, name: str) -> str:
        forms = [f"[[{name}]]", f"[[ {name} ]]", f'[["{name}"]]', f"  [[{name}]]"]
        return self.draw(st.sampled_from(forms))

    def value(self, text: str) -> str:
        forms = [json.dumps(text, ensure_ascii=False), f'"""\\\n   {json.dumps(text)[1:-1]}"""']
        if "'" not in text:
            forms.append(f"'{text}'")
        return self.draw(st.sampled_from(forms))

    def line(self, owner: Owner, key: str, value: str) -> str:
        equals = self.draw(st.sampled_from(["=", " = ", "   =\t"]))
        key = f'"{key}"' if self.chance() else key
        above = f"  {self.comment(owner)}\n" if self.chance() else ""
        beside = f"   {self.comment(owner)}" if self.chance() else ""
        return f"{above}{self.draw(st.sampled_from(['', '  ']))}{key}{equals}{value}{beside}\n"

    def table(self, owner: Owner, row: dict[str, str]) -> str:
        """Return a table with what is in it, and what is below it."""
        header = self.header(owner[0])
        beside = f" {self.comment(owner)}" if self.chance() else ""
        items = self.draw(st.permutations(list(row.items())))
        text = f"{header}{beside}\n" + "".join(self.line(owner, *item) for item in items)
        self._file.blocks[owner] = text
        return text + (f"{self.comment(owner)}\n\n" if self.chance() else "")

    def gap(self, *, is_last: bool) -> str:
        """Return what is between two tables."""
        lines = [self.comment(None) if self.chance() else "" for _ in range(self.draw(sizes))]
        if is_last or self.chance():
            lines.insert(0, "")
        elif "" in lines:
            # A comment right below a table is the table's own, but for those above the next.
            lines = ["", *lines]
        return "".join(f"{line}\n" for line in lines)

    def inline(self, array: str, rows: dict[Owner, dict[str, str]]) -> str:
        """Return an array that is written as a value."""
        is_long = self.chance()
        text = f"{array} = ["
        for number, (owner, row) in enumerate(rows.items(), 1):
            above = f"\n  {self.comment(None)}\n  " if is_long and self.chance() else ""
            block = f"{{ {', '.join(f'{key} = {value}' for key, value in row.items())} }}"
            block = block.replace("\\\n   ", "")
            self._file.blocks[owner] = block
            comma = "," if number < len(rows) or (is_long and self.chance()) else ""
            beside = f" {self.comment(owner)}" if is_long and self.chance() else ""
            text += f"{above}{block}{comma}{beside}" + ("\n  " if is_long else " ")
        return f"{text}] {self.comment(None)}\n"


sizes = st.integers(0, 3)


@st.composite
def odd_files(draw: DrawFn) -> OddFile:
    """Draw a valid store file."""
    file = OddFile(model=_model(draw))
    writer = _Writer(draw, file)
    rows = _rows(writer, file.model)
    inline = draw(st.sets(st.sampled_from(["user", "key", "gateway", "budget"])))
    text = f"{writer.comment(None)}\n" + writer.gap(is_last=True)
    for array in sorted(inline):
        own = {owner: row for owner, row in rows.items() if owner[0] == array}
        text += writer.inline(array, own) + writer.gap(is_last=True)
    tables = draw(st.permutations([owner for owner in rows if owner[0] not in inline]))
    for number, owner in enumerate(tables, 1):
        text += writer.table(owner, rows[owner])
        text += _auth(writer, file, owner[1]) if owner[0] == "mcp_server" else ""
        text += writer.gap(is_last=number == len(tables))
    text = text.rstrip("\n") if draw(st.booleans()) else text
    file.text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return file


def _model(draw: DrawFn) -> Model:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
    users = {
        name: (str(UUID(int=number)), draw(st.sampled_from(_STATUSES)) or "")
        for number, name in enumerate(names, 1)
    }
    some = st.sampled_from(names)
    return Model(
        users=users,
        keys={f"key{number:07}": draw(some) for number in range(draw(sizes))},
        gateways={f"g{number}" for number in range(draw(sizes))},
        budgets=set(draw(st.lists(st.sampled_from([*names, "*"]), max_size=3))),
        tokens={f"s{n}": set(draw(st.lists(some, max_size=3))) for n in range(draw(sizes))},
    )


def _rows(writer: _Writer, model: Model) -> dict[Owner, dict[str, str]]:
    value = writer.value
    rows: dict[Owner, dict[str, str]] = {("provider", "p"): {"name": '"p"', "type": '"t"'}}
    for name, (id_, status) in model.users.items():
        rows["user", name] = {"id": f'"{id_}"', "name": value(name)}
        if status:
            rows["user", name]["status"] = value(status)
    for key_id, name in model.keys.items():
        secret = f'"{sha256(key_id)}"'
        rows["key", key_id] = {"id": value(key_id), "user": value(name), "secret_sha256": secret}
    for name in sorted(model.gateways):
        rows["gateway", name] = {"name": value(name), "key_sha256": f'"{sha256(name)}"'}
    for name in sorted(model.budgets):
        rows["budget", name] = {"user": value(name), "limit_usd": "5.5", "period": '"day"'}
    for name in model.tokens:
        rows["mcp_server", name] = {"id": value(name), "url": '"https://h"'}
    return rows


def _auth(writer: _Writer, file: OddFile, server: str) -> str:
    """Return a server's tokens, in one of the forms that they can have."""
    names = sorted(file.model.tokens[server])
    tokens = {json.dumps(name, ensure_ascii=False): writer.value("t") for name in names}
    text = "[mcp_server.auth]\nkind = 'static'\ntoken = 't'\n"
    form = writer.draw(st.sampled_from(["inline", "table", "tables", "dotted"]))
    if form == "inline":
        items = ", ".join(f"{name} = 't'" for name in tokens)
        return f"{text}tokens = {{ {items} }}\n"
    if form == "table":
        lines = "".join(f"{name} = {value}\n" for name, value in tokens.items())
        return f"{text}[mcp_server.auth.tokens]\n{lines}"
    if form == "tables":
        return text + "".join(
            f"\n{writer.comment(None)}\n[mcp_server.auth.tokens.{name}]\nenv = 'T'\n"
            for name in tokens
        )
    return text + "".join(f"tokens.{name}.env = 'T'\n" for name in tokens)
