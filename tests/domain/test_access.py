"""Access rules: keys, gateways and secrets."""

from __future__ import annotations

import hashlib
import hmac
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.domain.access import (
    NEEDS_TRUST,
    REFUSED,
    Gateway,
    Key,
    RefusedCallError,
    Secret,
    Snapshot,
    StaticAuth,
    Status,
    User,
    authorise,
    authorise_id,
    gateway_of,
)
from otelbridge.errors import CallError, PermissionDeniedError, UnauthenticatedError
from otelbridge.servicers.methods import request_classes
from tests.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_NS = 1_800_000_000_000_000_000  # Friday, 2027-01-15 08:00:00 UTC
SECRET = "s" * 22
ALICE = User(id=UUID(int=1), name="alice")
STATES = {
    Status.DELETED: "deleted user",
    Status.SUSPENDED: "inactive user",
    Status.DORMANT: "inactive user",
    Status.SYSTEM: "system user",
}


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def snapshot(*, status: Status = Status.ACTIVE, expires_at_ns: int | None = None) -> Snapshot:
    user = User(id=UUID(int=1), name="alice", status=status)
    key = Key(id="K" * 10, user=user, secret_sha256=sha256(SECRET), expires_at_ns=expires_at_ns)
    return Snapshot(users={user.id: user}, keys={key.id: key})


VALID = snapshot()
EXPIRED = snapshot(expires_at_ns=NOW_NS)
DELETED = snapshot(status=Status.DELETED)
GATEWAYS = Snapshot(
    gateways={
        sha256("gateway key"): Gateway(name="eu-1", key_sha256=sha256("gateway key")),
    }
)
RIGHT = f"{'K' * 10}-{SECRET}"
WRONG = f"{'K' * 10}-{'w' * 22}"
UNKNOWN = f"{'U' * 10}-{SECRET}"


def test_a_right_key_tells_its_owner() -> None:
    key = authorise(snapshot(expires_at_ns=NOW_NS + 1), RIGHT, now_ns=NOW_NS)

    assert (key.id, key.user.name) == ("K" * 10, "alice")


@fault(33)
@pytest.mark.parametrize(
    "key",
    [
        "",
        "nonsense",
        SECRET,
        f"{'K' * 10}{SECRET}",
        f"{'K' * 9}-{SECRET}",
        f"{'K' * 11}-{SECRET}",
        f"{'K' * 10}-{SECRET}s",
        f"{'K' * 10}-{SECRET[1:]}",
        f"{RIGHT}\n",
        f" {RIGHT}",
        f"{'U' * 10}-{'s' * 10}-{'s' * 11}",
    ],
)
def test_a_malformed_key_is_invalid(key: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"\Ainvalid key\Z"):
        authorise(VALID, key, now_ns=NOW_NS)


def test_a_key_with_an_unknown_id_is_unknown() -> None:
    with pytest.raises(UnauthenticatedError, match=r"\Aunknown key\Z"):
        authorise(VALID, UNKNOWN, now_ns=NOW_NS)


@fault(33)
@pytest.mark.parametrize("key", [RIGHT, WRONG])
def test_a_key_is_expired_from_its_end_on_before_its_secret_is_judged(key: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"\Aexpired\Z"):
        authorise(EXPIRED, key, now_ns=NOW_NS)


def test_a_wrong_secret_is_invalid_before_the_owner_is_judged() -> None:
    with pytest.raises(UnauthenticatedError, match=r"\Ainvalid key\Z"):
        authorise(DELETED, WRONG, now_ns=NOW_NS)


@pytest.mark.parametrize(("status", "text"), STATES.items())
def test_a_right_key_of_an_owner_who_is_not_active_is_denied(status: Status, text: str) -> None:
    with pytest.raises(PermissionDeniedError, match=rf"\A{text}\Z"):
        authorise(snapshot(status=status), RIGHT, now_ns=NOW_NS)


def test_every_state_but_active_is_denied() -> None:
    assert set(Status) - set(STATES) == {Status.ACTIVE}


def test_a_key_named_by_its_id_needs_no_secret() -> None:
    key = authorise_id(VALID, "K" * 10, now_ns=NOW_NS, is_trusted=True)

    assert key.user.name == "alice"


@pytest.mark.parametrize("key_id", ["K" * 10, "U" * 10, ""])
def test_who_is_not_trusted_learns_nothing_of_a_key_named_by_its_id(key_id: str) -> None:
    with pytest.raises(RefusedCallError) as caught:
        authorise_id(EXPIRED, key_id, now_ns=NOW_NS, is_trusted=False)

    assert (str(caught.value), caught.value.reason) == (REFUSED, "no_key")


@pytest.mark.parametrize(
    ("given_snapshot", "key_id", "error", "text"),
    [
        (VALID, "U" * 10, UnauthenticatedError, "unknown key"),
        (VALID, RIGHT, UnauthenticatedError, "unknown key"),
        (EXPIRED, "K" * 10, UnauthenticatedError, "expired"),
        (snapshot(status=Status.SYSTEM), "K" * 10, PermissionDeniedError, "system user"),
    ],
)
def test_a_key_named_by_its_id_is_judged_like_any_other(
    given_snapshot: Snapshot, key_id: str, error: type[CallError], text: str
) -> None:
    with pytest.raises(error, match=rf"\A{text}\Z"):
        authorise_id(given_snapshot, key_id, now_ns=NOW_NS, is_trusted=True)


@fault(33)
@given(key=st.text() | st.from_regex(r"[^-]{10}-[^-]{22}", fullmatch=True))
def test_any_other_text_is_refused_as_invalid_or_unknown(key: str) -> None:
    with pytest.raises(UnauthenticatedError, match=r"\A(invalid|unknown) key\Z"):
        authorise(VALID, key, now_ns=NOW_NS)


def native_calls(action: Callable[[], object]) -> Counter[str]:
    """Count the functions written in C that an action calls, by name."""
    calls: Counter[str] = Counter()

    def note(_frame: object, event: str, function: Any) -> None:
        if event == "c_call":
            calls[function.__name__] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    except CallError:
        pass
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: authorise(VALID, RIGHT, now_ns=NOW_NS),
        lambda: authorise(VALID, WRONG, now_ns=NOW_NS),
        lambda: authorise(VALID, UNKNOWN, now_ns=NOW_NS),
        lambda: authorise(VALID, "nonsense", now_ns=NOW_NS),
        lambda: authorise(EXPIRED, WRONG, now_ns=NOW_NS),
        lambda: authorise(DELETED, RIGHT, now_ns=NOW_NS),
        lambda: authorise(VALID, "", now_ns=NOW_NS),
        lambda: authorise_id(VALID, "K" * 10, now_ns=NOW_NS, is_trusted=True),
        lambda: authorise_id(VALID, "U" * 10, now_ns=NOW_NS, is_trusted=True),
        lambda: authorise_id(VALID, "K" * 10, now_ns=NOW_NS, is_trusted=False),
        lambda: gateway_of(GATEWAYS, "nobody's"),
        lambda: gateway_of(GATEWAYS, "gateway key"),
    ],
)
def test_every_path_hashes_and_compares_exactly_once(attempt: Callable[[], object]) -> None:
    calls = native_calls(attempt)

    assert calls["openssl_sha256"] == 1
    assert calls["compare_digest"] + calls["_compare_digest"] == 1


def cpu_ns(action: Callable[[], object], *, calls: int) -> float:
    """Return the CPU time of one call: what else the machine does is not in it."""
    began = time.thread_time_ns()
    for _ in range(calls):
        action()
    return (time.thread_time_ns() - began) / calls


def attempting(given_snapshot: Snapshot, key: str) -> Callable[[], None]:
    def attempt() -> None:
        with suppress(CallError):
            authorise(given_snapshot, key, now_ns=NOW_NS)

    return attempt


def hash_and_compare() -> None:
    hmac.compare_digest(hashlib.sha256(SECRET.encode()).digest(), bytes(32))


@fault(33)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (attempting(VALID, UNKNOWN), attempting(VALID, WRONG)),
        (attempting(EXPIRED, RIGHT), attempting(EXPIRED, WRONG)),
        (attempting(DELETED, WRONG), attempting(VALID, WRONG)),
    ],
    ids=["unknown id and wrong secret", "secret of an expired key", "secret of a deleted user"],
)
def test_a_guesser_learns_nothing_from_the_time_that_a_check_takes(
    one: Callable[[], None], other: Callable[[], None]
) -> None:
    """The distributions' quartiles lie closer together than half of what is hidden: a hash."""
    paths = [one, other, hash_and_compare]
    taken: dict[Callable[[], None], list[float]] = {path: [] for path in paths}

    for _ in range(300):  # interleaved: a machine that slows down does so for all
        random.shuffle(paths)
        for path in paths:
            taken[path].append(cpu_ns(path, calls=40))

    lower, middle, _ = zip(*(quantiles(taken[path], n=4) for path in (one, other)), strict=True)
    bound = median(taken[hash_and_compare]) / 2
    assert abs(lower[0] - lower[1]) < bound
    assert abs(middle[0] - middle[1]) < bound


def test_a_gateway_is_known_by_its_key() -> None:
    gateway = gateway_of(GATEWAYS, "gateway key")

    assert gateway is not None
    assert gateway.name == "eu-1"


@pytest.mark.parametrize("key", ["", "gateway", "gateway key ", "\ud800", sha256("k").hex()])
def test_no_other_key_is_a_gateways(key: str) -> None:
    assert gateway_of(GATEWAYS, key) is None


def test_what_hands_out_secrets_needs_trust_and_is_in_the_contract() -> None:
    assert {
        "MCPConfigurator/GetMCPServerAccessTokensBatch",
        "ProviderConfigurator/GetAIProviders",
    } == NEEDS_TRUST
    assert set(request_classes()) >= NEEDS_TRUST


def test_a_users_own_token_goes_before_everybodys() -> None:
    auth = StaticAuth(token=Secret("all"), tokens={ALICE.id: Secret("own")})

    assert auth.token_of(ALICE.id) == Secret("own")
    assert auth.token_of(UUID(int=2)) == Secret("all")
    assert StaticAuth(tokens={ALICE.id: Secret("own")}).token_of(UUID(int=2)) is None


def test_a_secret_is_shown_only_by_reveal() -> None:
    secret = Secret("canary")

    shown = f"{secret} {secret!r} {[secret]} {StaticAuth(token=secret)}"

    assert "canary" not in shown
    assert secret.reveal() == "canary"


def test_secrets_are_compared_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
