"""The settings, and every file that they name."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from otelbridge.commands.doctoring.findings import Finding, failure, ok, warning
from otelbridge.commands.examination import Examination
from otelbridge.commands.mcp.status import Standing, State, standings
from otelbridge.errors import StoreError
from otelbridge.store.token_file import TokenFile
from otelbridge.store.watching import summed_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from otelbridge.commands.examination import Problem
    from otelbridge.config import Config
    from otelbridge.domain.access import Snapshot

_CORRECT = "correct it: the bridge does not start with it"
_LAST_GOOD = "correct it: a running bridge keeps the last good state, a start is refused"
_UNSET = "set it in this shell, too, or ask as the service does: what it holds cannot be looked at"
# Of keys that have ended; the others are counted.
_MAX_NAMED = 5
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LOGIN = frozenset({State.BROKEN, State.EXPIRED, State.NO_LOGIN})


def examined(path: Path, environ: Mapping[str, str]) -> tuple[Examination, list[Finding]]:
    """Look at the settings and the files that they name.

    Args:
        path: The settings' file.
        environ: Variables over the settings, and secrets of the store.
    """
    found = Examination(path, environ)
    found.run()
    findings = [_of_problem(each, path) for each in found.problems]
    if not any(each.area == "settings" for each in findings):
        findings.insert(0, ok("settings", f"{path} is right"))
    return found, findings


def _of_problem(problem: Problem, path: Path) -> Finding:
    if problem.file == str(path):
        is_certificate = problem.text.startswith("tls.") or ": tls" in problem.text
        area = "certificate" if is_certificate else "settings"
        return failure(area, str(problem), _CORRECT)
    area = "tokens" if problem.file == "tokens.json" else "store"
    if problem.text.endswith(" is not set"):
        return warning(area, str(problem), _UNSET)  # the service may have it
    return failure(area, str(problem), _LAST_GOOD)


def store_findings(snapshot: Snapshot, *, now_ns: int) -> Iterator[Finding]:
    """Yield what the store says that nobody can have meant.

    Args:
        snapshot: The store.
        now_ns: The time.
    """
    yield ok("store", summed_up(snapshot))
    for name, there, add in (
        ("users", snapshot.users, "otelbridge users add NAME"),
        ("keys", snapshot.keys, "otelbridge keys create USER"),
        ("gateways", snapshot.gateways, "otelbridge gateways add NAME"),
    ):
        if not there:
            yield warning("store", f"there are no {name}", f"add one: `{add}`")
    ended = [
        key
        for key in snapshot.keys.values()
        if key.expires_at_ns is not None and key.expires_at_ns <= now_ns
    ]
    if ended:
        names = ", ".join(f"{key.id} of {key.user.name}" for key in ended[:_MAX_NAMED])
        more = f" and {len(ended) - _MAX_NAMED} more" if len(ended) > _MAX_NAMED else ""
        advice = "remove what is not needed (`otelbridge keys revoke ID`), or make new ones"
        yield warning("store", f"keys that have expired: {names}{more}", advice)


def token_findings(snapshot: Snapshot, store: Path, *, now_ns: int) -> Iterator[Finding]:
    """Yield how users' logins at MCP servers stand.

    Args:
        snapshot: The store.
        store: Its file; the tokens are beside it.
        now_ns: The time.
    """
    try:
        links = TokenFile(store.with_name("tokens.json")).read()
    except StoreError:
        return  # told with the store's problems
    found = list(standings(snapshot, links, now_ns=now_ns))
    working = sum(each.works for each in found)
    if found:
        yield ok("tokens", f"{working} of {len(found)} work, as far as files can tell")
    for each in found:
        if not each.works:
            yield _of_standing(each)


def _of_standing(each: Standing) -> Finding:
    whom = each.user or "everybody"
    text = f"{each.state.value}: {each.problem}"
    user = f" --user {each.user}" if each.user else " --user NAME"
    advice = "look at the MCP server's auth in the store"
    if each.state in _LOGIN:
        advice = f"`otelbridge mcp login {each.server}{user}`"
    elif each.state is State.UNUSED:
        advice = f"nobody uses it: `otelbridge mcp logout {each.server}{user}`"
    return warning("tokens", text, advice, subject=f"{each.server} for {whom}")


def mode_findings(config: Config, path: Path) -> Iterator[Finding]:
    """Yield which files with secrets or content others may read.

    Args:
        config: The settings.
        path: Their file.
    """
    literal = any(
        isinstance(value, str) for d in config.destination for value in d.headers.values()
    )
    private = [("journal", config.journal.path), ("certificate", config.tls.key)]
    private += [("certificate", each.tls.key) for each in config.destination]
    if literal or config.auth.metrics_token is not None:
        private.append(("settings", path))
    for area, file in private:
        mode = 0 if file is None else _mode(file)
        if mode & _OTHERS:
            text = f"{file}: mode {mode:04o} is open to others than its owner"
            yield warning(area, text, f"`chmod 600 {file}`")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
