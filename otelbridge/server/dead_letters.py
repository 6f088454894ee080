"""What the control socket answers about dead letters."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from otelbridge.journal.dead_letters import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelbridge.recording.dead_letters import Moved
    from otelbridge.server.committed import Committed
    from otelbridge.transports.control import Answer


def dead_letter_answers(core: Committed) -> dict[str, Answer]:
    """Return what is answered, by name; `otelbridge.commands.letters` asks.

    A call that tells again or drops does so with some, the oldest of its
    selection: whoever asks goes on after the last of them.
    """

    async def listed(query: Mapping[str, str]) -> dict[str, Any]:
        found = await core.list_letters(_selection(query), limit=int(query["limit"]))
        letters = [letter._asdict() for letter in found.letters]
        return {"letters": letters, "total": found.total, "last": found.last}

    async def shown(query: Mapping[str, str]) -> dict[str, Any]:
        found = await core.show_letter(int(query["id"]))
        if found is None:
            return {"letter": None}
        return {"letter": found.letter._asdict(), "body": b64encode(found.body).decode()}

    async def resent(query: Mapping[str, str]) -> dict[str, int]:
        return _told(await core.resend_letters(_selection(query)))

    async def dropped(query: Mapping[str, str]) -> dict[str, int]:
        return _told(await core.drop_letters(_selection(query)))

    return {
        "deadletters-list": listed,
        "deadletters-show": shown,
        "deadletters-resend": resent,
        "deadletters-drop": dropped,
    }


def _selection(query: Mapping[str, str]) -> Selection:
    ids = query.get("ids")
    usual = Selection()
    return Selection(
        ids=None if ids is None else tuple(map(int, ids.split(","))),
        destination=query.get("destination"),
        after=int(query.get("after", usual.after)),
        through=int(query.get("through", usual.through)),
    )


def _told(moved: Moved) -> dict[str, int]:
    told = moved._asdict()
    del told["result"]  # the bridge has followed it
    return told
