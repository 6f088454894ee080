"""The Authorizer service, from a store file to the exact texts of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from otelbridge.domain.access import REFUSED
from otelbridge.domain.ledger import Changes, UsageKey, UsageTotals
from otelbridge.domain.spending import Spending
from otelbridge.errors import (
    CallError,
    InvalidRequestError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from otelbridge.proto import aibridged_pb2 as pb
from otelbridge.servicers.authorizer import AuthorizerServicer
from otelbridge.servicers.methods import Call
from tests.faults import fault
from tests.store.files import ALICE, ALICE_KEY, BOB, KEYS, PEOPLE, open_store, sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

S = 1_000_000_000
EXPIRY_NS = 4_070_908_800 * S  # 2099-01-01T00:00:00Z, when Alice's key ends
NOW_NS = 1_798_761_600 * S - 1  # on Thursday, 2026-12-31
LOCAL = Call(raw=b"")
TRUSTED = Call(raw=b"", gateway="eu-1", trusted=True)
UNKNOWN_KEY = f"unknown123-{'S' * 22}"
WRONG_KEY = f"aliceKey01-{'W' * 22}"


def authorizer(
    directory: Path,
    *,
    text: str = PEOPLE + KEYS,
    now_ns: int = NOW_NS,
    clock_ns: Callable[[], int] | None = None,
    changes: Changes | None = None,
) -> AuthorizerServicer:
    store = open_store(directory, text)
    changes = Changes() if changes is None else changes
    clock_ns = clock_ns or (lambda: now_ns)
    return AuthorizerServicer(store, spending(), clock_ns=clock_ns, count=changes.count)


def spending() -> Spending:
    """Return what Alice spent: 2 USD last month, 3 USD on Monday, 4 USD today."""
    spent = Spending()
    for day, usd in (("2026-11-30", 2), ("2026-12-28", 3), ("2026-12-31", 4)):
        key = UsageKey(day, UUID(ALICE).bytes, "anthropic", "m", "c")
        spent.apply([(key, UsageTotals(cost_nanos=usd * S))])
    return spent


def with_status(status: str) -> str:
    return PEOPLE.replace('name = "alice"', f'name = "alice"\nstatus = "{status}"') + KEYS


async def test_a_right_key_is_answered_with_its_owner(tmp_path: Path) -> None:
    response = await authorizer(tmp_path).IsAuthorized(pb.IsAuthorizedRequest(key=ALICE_KEY), LOCAL)

    assert response == pb.IsAuthorizedResponse(
        owner_id=ALICE, api_key_id="aliceKey01", username="alice"
    )


async def test_a_trusted_caller_may_name_a_key_by_its_id(tmp_path: Path) -> None:
    request = pb.IsAuthorizedRequest(key_id="aliceKey01")

    response = await authorizer(tmp_path).IsAuthorized(request, TRUSTED)

    assert (response.owner_id, response.username) == (ALICE, "alice")


@pytest.mark.parametrize("key_id", ["aliceKey01", "unknown123", "x"])
async def test_any_other_caller_is_told_nothing_of_a_key_named_by_its_id(
    tmp_path: Path, key_id: str
) -> None:
    with pytest.raises(UnauthenticatedError, match=r"\Aa valid gateway key is required\Z"):
        await authorizer(tmp_path).IsAuthorized(pb.IsAuthorizedRequest(key_id=key_id), LOCAL)


AMBIGUOUS = "both key and key_id set; exactly one required"


@pytest.mark.parametrize(
    ("request_", "call", "error", "text"),
    [
        ({"key": ALICE_KEY, "key_id": "x"}, TRUSTED, InvalidRequestError, AMBIGUOUS),
        ({"key": "x", "key_id": "aliceKey01"}, LOCAL, InvalidRequestError, AMBIGUOUS),
        ({}, LOCAL, UnauthenticatedError, "invalid key"),
        ({"key": "nonsense"}, LOCAL, UnauthenticatedError, "invalid key"),
        ({"key": UNKNOWN_KEY}, LOCAL, UnauthenticatedError, "unknown key"),
        ({"key": WRONG_KEY}, LOCAL, UnauthenticatedError, "invalid key"),
        ({"key_id": "unknown123"}, TRUSTED, UnauthenticatedError, "unknown key"),
    ],
)
async def test_a_key_that_is_not_accepted_is_told_why(
    tmp_path: Path, request_: dict[str, str], call: Call, error: type[CallError], text: str
) -> None:
    with pytest.raises(error) as caught:
        await authorizer(tmp_path).IsAuthorized(pb.IsAuthorizedRequest(**request_), call)

    assert str(caught.value) == text


@pytest.mark.parametrize("request_", [{"key": ALICE_KEY}, {"key_id": "aliceKey01"}])
async def test_a_key_ends_at_its_expiry(tmp_path: Path, request_: dict[str, str]) -> None:
    servicer = authorizer(tmp_path, now_ns=EXPIRY_NS)

    with pytest.raises(UnauthenticatedError, match=r"\Aexpired\Z"):
        await servicer.IsAuthorized(pb.IsAuthorizedRequest(**request_), TRUSTED)


@pytest.mark.parametrize("request_", [{"key": ALICE_KEY}, {"key_id": "aliceKey01"}])
@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("deleted", "deleted user"),
        ("suspended", "inactive user"),
        ("dormant", "inactive user"),
        ("system", "system user"),
    ],
)
async def test_a_right_key_of_a_user_who_may_not_call_is_denied(
    tmp_path: Path, request_: dict[str, str], status: str, text: str
) -> None:
    servicer = authorizer(tmp_path, text=with_status(status))

    with pytest.raises(PermissionDeniedError, match=rf"\A{text}\Z"):
        await servicer.IsAuthorized(pb.IsAuthorizedRequest(**request_), TRUSTED)


@pytest.mark.parametrize("key", [ALICE_KEY, WRONG_KEY, UNKNOWN_KEY, f"{ALICE_KEY}x"])
async def test_no_error_repeats_a_key_or_its_hash(tmp_path: Path, key: str) -> None:
    servicer = authorizer(tmp_path, text=with_status("deleted"))

    with pytest.raises(CallError) as caught:
        await servicer.IsAuthorized(pb.IsAuthorizedRequest(key=key), LOCAL)

    shown = f"{caught.value!r} {caught.value}"
    assert not any(part in shown for part in (*key.split("-"), sha256("S" * 22)))


def budget(period: str, *, user: str = "*", limit: str = "7") -> str:
    return f'\n[[budget]]\nuser = "{user}"\nlimit_usd = "{limit}"\nperiod = "{period}"\n'


@pytest.mark.parametrize(
    ("budgets", "user_id", "expected"),
    [
        # Alice spent 4 USD today, 7 this week and this month.
        (budget("day"), ALICE, (False, 7_000_000)),
        (budget("week"), ALICE, (True, 7_000_000)),
        (budget("month"), ALICE, (True, 7_000_000)),
        (budget("month", limit="7.000001"), ALICE, (False, 7_000_001)),
        (budget("month") + budget("month", user="alice", limit="8"), ALICE, (False, 8_000_000)),
        (
            budget("month", limit="8") + budget("day", user="alice", limit="4"),
            ALICE,
            (True, 4 * 10**6),
        ),
        (budget("month"), ALICE.upper(), (True, 7_000_000)),
        (budget("month"), BOB, (False, 7_000_000)),
        (budget("month", limit="0"), BOB, (True, 0)),
        (budget("month", user="bob"), ALICE, (False, None)),
        ("", ALICE, (False, None)),
        (budget("month"), "00000000-0000-0000-0000-000000000009", (False, None)),
        (budget("month"), "00000000-0000-0000-0000-000000000000", (False, None)),
    ],
)
async def test_a_budget_is_exceeded_when_the_periods_spend_has_reached_its_limit(
    tmp_path: Path, budgets: str, user_id: str, expected: tuple[bool, int | None]
) -> None:
    servicer = authorizer(tmp_path, text=PEOPLE + budgets)

    response = await servicer.IsBudgetExceeded(pb.IsBudgetExceededRequest(user_id=user_id), LOCAL)

    has_limit = response.HasField("spend_limit_micros")
    limit = response.spend_limit_micros if has_limit else None
    assert (response.exceeded, limit) == expected


@pytest.mark.parametrize(
    ("user_id", "text"),
    [
        ("", 'invalid user_id "": not a UUID'),
        ("alice\n", r'invalid user_id "alice\x0a": not a UUID'),
        ("x" * 100, f'invalid user_id "{"x" * 64}": not a UUID'),
    ],
)
async def test_a_user_id_that_is_no_uuid_is_named_escaped_and_cut(
    tmp_path: Path, user_id: str, text: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await authorizer(tmp_path).IsBudgetExceeded(
            pb.IsBudgetExceededRequest(user_id=user_id), LOCAL
        )

    assert str(caught.value) == text


def from_peer(peer: str, gateway: str = "") -> Call:
    return Call(raw=b"", gateway=gateway, trusted=bool(gateway), peer=lambda: peer)


async def answer(servicer: AuthorizerServicer, call: Call, **fields: str) -> str:
    """Return what a request is answered with: an owner's name, or an error's text."""
    try:
        response = await servicer.IsAuthorized(pb.IsAuthorizedRequest(**fields), call)
    except CallError as error:
        return f"{type(error).__name__}: {error}"
    return response.username


LIMITED = "LimitExceededError: too many wrong keys, at most 100 a second are answered"


@pytest.mark.parametrize(
    ("call", "fields", "text"),
    [
        (LOCAL, {"key": WRONG_KEY}, "invalid key"),
        (LOCAL, {"key": UNKNOWN_KEY}, "unknown key"),
        (LOCAL, {"key": "nonsense"}, "invalid key"),
        (LOCAL, {}, "invalid key"),
        (TRUSTED, {"key_id": "unknown123"}, "unknown key"),
    ],
)
async def test_a_source_is_told_of_a_hundred_wrong_keys_a_second_and_right_ones_as_ever(
    tmp_path: Path, call: Call, fields: dict[str, str], text: str
) -> None:
    clock_ns = [NOW_NS - 2 * S]
    servicer = authorizer(tmp_path, clock_ns=lambda: clock_ns[0])

    told = [await answer(servicer, call, **fields) for _ in range(300)]
    assert told == [f"UnauthenticatedError: {text}"] * 100 + [LIMITED] * 200
    assert [await answer(servicer, call, key=ALICE_KEY) for _ in range(300)] == ["alice"] * 300

    clock_ns[0] += S // 2
    told = [await answer(servicer, call, **fields) for _ in range(60)]
    assert told == [f"UnauthenticatedError: {text}"] * 50 + [LIMITED] * 10


@fault(33)
async def test_expired_keys_are_guesses_and_users_who_may_not_call_are_none(
    tmp_path: Path,
) -> None:
    expired = authorizer(tmp_path, now_ns=EXPIRY_NS)
    assert {await answer(expired, LOCAL, key=ALICE_KEY) for _ in range(101)} == {
        "UnauthenticatedError: expired",
        LIMITED,
    }

    suspended = authorizer(tmp_path, text=with_status("suspended"))
    denied = {await answer(suspended, LOCAL, key=ALICE_KEY) for _ in range(300)}
    assert denied == {"PermissionDeniedError: inactive user"}


@pytest.mark.parametrize(
    ("guesser", "others"),
    [
        # A gateway's users share its limit, wherever it calls from; so do a machine's processes.
        (from_peer("ipv4:10.0.0.1:1", "eu-1"), {"ipv4:10.0.0.1:1": "", "ipv4:10.0.0.9:1": "us"}),
        (from_peer("ipv4:10.0.0.1:1"), {"ipv4:10.0.0.2:1": "", "ipv4:10.0.0.1:2": "eu-1"}),
        (from_peer("ipv6:%5B::1%5D:1"), {"ipv6:%5B::2%5D:1": "", "ipv4:127.0.0.1:1": ""}),
        (from_peer("unix:"), {"ipv4:127.0.0.1:1": ""}),
    ],
)
async def test_a_guesser_costs_no_other_source_an_answer(
    tmp_path: Path, guesser: Call, others: dict[str, str]
) -> None:
    servicer = authorizer(tmp_path)
    for _ in range(200):
        await answer(servicer, guesser, key=WRONG_KEY)

    same = guesser._replace(peer=lambda: f"{guesser.peer()}77")
    assert await answer(servicer, same, key=WRONG_KEY) == LIMITED
    for peer, gateway in others.items():
        other = from_peer(peer, gateway)
        told = await answer(servicer, other, key=WRONG_KEY)
        assert told == "UnauthenticatedError: invalid key"


async def test_who_may_not_name_keys_by_id_is_refused_and_limited_elsewhere(
    tmp_path: Path,
) -> None:
    servicer = authorizer(tmp_path)

    told = {await answer(servicer, LOCAL, key_id="aliceKey01") for _ in range(300)}

    assert told == {f"RefusedCallError: {REFUSED}"}
    assert (await answer(servicer, LOCAL, key=WRONG_KEY)).endswith("invalid key")


@fault(33)
async def test_the_log_names_a_guesser_once_a_minute_and_nothing_of_its_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock_ns = [NOW_NS - 200 * S]
    servicer = authorizer(tmp_path, clock_ns=lambda: clock_ns[0])

    for _ in range(61):
        for number in range(300):
            await answer(servicer, from_peer(f"ipv4:10.0.0.{number % 2}:5"), key=WRONG_KEY)
        clock_ns[0] += S

    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [("WARNING", "more than 100 wrong keys a second from 10.0.0.0")] * 2


async def test_answers_are_counted_by_outcome(tmp_path: Path) -> None:
    changes = Changes()
    servicer = authorizer(tmp_path, text=with_status("suspended"), changes=changes)

    for key in (ALICE_KEY, WRONG_KEY, UNKNOWN_KEY):
        for _ in range(60):
            await answer(servicer, LOCAL, key=key)

    assert changes.counts == {
        ("aibridge.authorizations", ("permission_denied",)): 60,
        ("aibridge.authorizations", ("unauthenticated",)): 100,
        ("aibridge.authorizations", ("rate_limited",)): 20,
    }


@pytest.mark.parametrize("user_id", ["0" * 32, f"urn:uuid:{UUID(int=0)}", f"{{{UUID(int=0)}}}"])
async def test_no_form_of_a_uuid_blocks_a_request(tmp_path: Path, user_id: str) -> None:
    servicer = authorizer(tmp_path)

    response = await servicer.IsBudgetExceeded(pb.IsBudgetExceededRequest(user_id=user_id), LOCAL)

    assert response == pb.IsBudgetExceededResponse(exceeded=False)
