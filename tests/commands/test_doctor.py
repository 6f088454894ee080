"""``otelbridge doctor`` where no bridge runs: settings, files, certificates, journal."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from click.testing import CliRunner

from otelbridge.cli import cli
from otelbridge.commands.doctoring.certificates import certificates_in, validity_of
from otelbridge.domain.ports import OutboxRow, Signal
from otelbridge.journal import SqliteJournal
from otelbridge.journal.schema import open_database
from otelbridge.journal.transaction import Buried, Transaction
from tests.collector import Answer, Collector
from tests.commands.programs import run
from tests.journal.journals import subscribe, tell
from tests.store.files import ALICE, GATEWAY, KEYS, MCP, OAUTH2, PEOPLE, STATIC, write_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

SECRET = "Bearer t0k3n-that-nobody-may-see"
# A certificate holds by the machine's clock.
NOW = datetime.fromtimestamp(time.time(), tz=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with the files of `otelbridge init`."""
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(cli, ["init", "."], catch_exceptions=False)
    return tmp_path


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *arguments], catch_exceptions=False)


def diagnosed(*arguments: str) -> dict[str, Any]:
    """Return what it tells a script."""
    done = doctor("--json", *arguments)
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if told["ok"] else 1)
    assert done.stderr == ""
    return told


def of(told: dict[str, Any], area: str) -> list[tuple[str, str]]:
    """Return level and message of the findings of an area."""
    return [(f["level"], f["message"]) for f in told["findings"] if f["area"] == area]


def settings(folder: Path, text: str) -> None:
    (folder / "otelbridge.toml").write_text(text)


def store(folder: Path, text: str) -> None:
    (folder / "store.toml").write_text(text)


def test_what_init_wrote_is_right_and_nothing_runs_yet(folder: Path) -> None:
    done = doctor()

    assert folder.is_dir()
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok       settings: otelbridge.toml is right",
        (
            "ok       store: users: 1, keys: 1, gateways: 1, MCP servers: 0, providers: 0,"
            " budgets: 0"
        ),
        "ok       journal: journal.db is not there yet: the first start makes it",
        "warning  bridge: none runs with this journal: destinations are asked directly",
        "         → start it: `otelbridge serve`",
        "warning  destination: there is none: nothing is exported",
        "         → add a [[destination]]",
        "ok       clock: no server tells its time: this machine's clock was compared with none",
        "",
        "0 failed, 2 to be looked at, 4 ok",
    ]


def test_a_script_is_told_objects_and_how_many_there_are(folder: Path) -> None:
    told = diagnosed()

    assert folder.is_dir()
    assert told["ok"] is True
    assert told["summary"] == {"failure": 0, "warning": 2, "ok": 4}
    for finding in told["findings"]:
        assert set(finding) == {"area", "subject", "level", "message", "advice"}
        assert bool(finding["advice"]) == (finding["level"] != "ok")


def test_mistakes_in_the_settings_end_it(folder: Path) -> None:
    settings(folder, "[listen]\ngrpc = 5\n[nosuch]\n")

    told = diagnosed()

    assert {f["area"] for f in told["findings"]} == {"settings"}
    assert [level for level, _ in of(told, "settings")] == ["failure", "failure"]


def test_a_missing_file_of_settings_is_told(folder: Path) -> None:
    done = doctor("--config", "absent.toml")

    assert done.exit_code == 1
    assert folder.is_dir()
    assert "failure  settings: absent.toml: no such file" in done.stdout


def test_a_wrong_store_is_told_with_all_its_problems(folder: Path) -> None:
    store(folder, '[[user]]\nname = "x"\n[[gateway]]\nname = "y"\n')

    told = diagnosed()

    assert ("ok", "otelbridge.toml is right") in of(told, "settings")
    assert [level for level, _ in of(told, "store")] == ["failure"] * 2


def test_a_store_without_anybody_and_with_an_expired_key_is_looked_at(folder: Path) -> None:
    store(folder, PEOPLE + KEYS.replace("2099", "2001"))

    found = of(diagnosed(), "store")

    assert ("warning", "there are no gateways") in found
    assert ("warning", "keys that have expired: aliceKey01 of alice") in found


def test_logins_that_do_not_work_are_named_with_what_to_do(folder: Path) -> None:
    store(folder, PEOPLE + KEYS + GATEWAY + OAUTH2)
    write_tokens(
        folder,
        {"github": {ALICE: {"access_token": SECRET, "expires_at": "2001-01-01T00:00:00Z"}}},
    )

    told = diagnosed()

    (finding,) = (f for f in told["findings"] if f["area"] == "tokens" and f["level"] != "ok")
    assert finding["subject"] == "github for alice"
    assert finding["message"] == "expired: there is no refresh token: log in again"
    assert finding["advice"] == "`otelbridge mcp login github --user alice`"
    assert SECRET not in json.dumps(told)


def test_a_variable_that_only_the_service_may_have_is_no_failure(folder: Path) -> None:
    static = STATIC + 'token = { env = "NOT_IN_THIS_SHELL" }\n'
    store(folder, PEOPLE + KEYS + GATEWAY + static)

    told = diagnosed()

    ((level, message),) = of(told, "store")
    assert level == "warning"
    assert message.endswith('environment variable "NOT_IN_THIS_SHELL" is not set')
    assert told["ok"]


def test_a_server_that_needs_no_token_works(folder: Path) -> None:
    store(folder, PEOPLE + KEYS + GATEWAY + MCP)

    assert of(diagnosed(), "tokens") == [("ok", "1 of 1 work, as far as files can tell")]


def test_files_that_others_may_read_are_named(folder: Path) -> None:
    settings(folder, '[auth]\nmetrics_token = "abc"\n')
    (folder / "otelbridge.toml").chmod(0o644)

    told = diagnosed()

    message = "otelbridge.toml: mode 0644 is open to others than its owner"
    assert ("warning", message) in of(told, "settings")


@pytest.mark.parametrize(
    ("ends", "level", "text"),
    [
        (-1, "failure", "it ended on "),
        (13, "warning", "it ends in 13 days: until "),
        (60, "ok", "it holds until "),
    ],
)
def test_a_certificate_that_ends_is_told_in_time(
    folder: Path, ends: float, level: str, text: str
) -> None:
    _write_pair(folder, trustme.CA(), NOW + timedelta(days=ends))
    settings(folder, '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n')

    ((told, message),) = of(diagnosed(), "certificate")

    assert (told, message.startswith(text)) == (level, True), message


def test_a_certificate_that_does_not_hold_yet_is_told(folder: Path) -> None:
    later = NOW + timedelta(days=3)
    _write_pair(folder, trustme.CA(), NOW + timedelta(days=30), later)
    settings(folder, '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n')

    assert of(diagnosed(), "certificate") == [
        ("failure", f"it holds from {later:%Y-%m-%d} on only")
    ]


def test_a_destination_s_certificates_are_looked_at(folder: Path) -> None:
    authority = trustme.CA()
    _write_pair(folder, authority, NOW - timedelta(days=1))
    authority.cert_pem.write_to_path(folder / "ca.pem")
    tls = '{ ca = "ca.pem", cert = "cert.pem", key = "key.pem" }'
    settings(
        folder,
        f'[[destination]]\nname = "sink"\nendpoint = "https://127.0.0.1:9"\ntls = {tls}\n',
    )

    told = diagnosed()

    levels = {f["subject"]: f["level"] for f in told["findings"] if f["area"] == "certificate"}
    assert levels == {
        "destination sink: tls.cert (cert.pem)": "failure",
        "destination sink: tls.ca (ca.pem)": "ok",
    }


def test_a_key_of_another_certificate_is_a_certificate_s_failure(folder: Path) -> None:
    _write_pair(folder, trustme.CA(), NOW + timedelta(days=60))
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(folder / "key.pem")
    settings(folder, '[tls]\ncert = "cert.pem"\nkey = "key.pem"\n')

    found = of(diagnosed(), "certificate")

    assert [level for level, _ in found] == ["failure", "ok"]
    assert "are not a certificate and its key" in found[0][1]


@pytest.mark.parametrize(
    "ends", [datetime(2049, 12, 31, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)]
)
def test_dates_are_read_in_both_forms(ends: datetime) -> None:
    """Source: RFC 5280, section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on."""
    made = trustme.CA().issue_cert("a.example", not_after=ends)
    (der,) = certificates_in(made.cert_chain_pems[0].bytes())

    assert validity_of(der).ends_s == ends.timestamp()


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x03\x02\x01", b"\x30\x80", b"\xff" * 40])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        validity_of(data)


def test_a_journal_at_rest_is_looked_at(folder: Path) -> None:
    SqliteJournal(folder / "journal.db").close()

    found = of(diagnosed(), "journal")

    assert found[0][1].startswith("journal.db: ")
    assert found[1] == ("ok", "the books balance: 0 records received")


def test_books_that_do_not_balance_are_a_failure(folder: Path) -> None:
    SqliteJournal(folder / "journal.db").close()
    database = open_database(folder / "journal.db")
    database.execute(
        "INSERT INTO series (instrument, attributes, born_at_ns, value)"
        """ VALUES ('otelbridge.records.received', '["start", ""]', 1, '7')"""
    )
    database.close()

    told = diagnosed()

    message = "the books do not balance: 7 records or items are not accounted for"
    assert ("failure", message) in of(told, "journal")


def test_a_disk_without_the_reserve_is_looked_at(folder: Path) -> None:
    settings(folder, '[journal]\nreserve_bytes = "900TiB"\n')
    SqliteJournal(folder / "journal.db").close()

    level, message = of(diagnosed(), "journal")[0]

    assert level == "warning"
    assert message.endswith("which is less than reserve_bytes (921600.0 GiB)")


def test_what_waits_and_what_was_refused_is_looked_at(folder: Path) -> None:
    destination = 'endpoint = "http://127.0.0.1:9"\nmax_bytes = "1MiB"\nsignals = ["traces"]\n'
    settings(folder, "".join(f'[[destination]]\nname = "{n}"\n{destination}' for n in "ab"))
    journal = SqliteJournal(folder / "journal.db")
    subscribe(journal, "a", "b")
    tell(journal, b"x" * 900_000, mask=1)
    tell(journal, b"x" * 10, mask=2)
    refused = Buried("a", Signal.TRACES, OutboxRow(1, 2, b"body"), "refused")
    journal.commit(Transaction(buried=[refused]), now_ns=1)
    journal.close()
    (folder / "journal.db.corrupt-1").touch()

    found = [text for level, text in of(diagnosed(), "journal") if level == "warning"]

    assert found[0].startswith("879 KiB wait for it, the oldest for ")
    assert found[0].endswith(": 86% of max_bytes (1 MiB)")
    assert found[1].startswith("10 B wait for it, the oldest for ")
    assert found[2:] == [
        "2 spans or log records were refused for good and are kept as dead letters",
        "journal.db.corrupt-1: a start put a damaged journal aside",
    ]


def test_a_file_that_is_no_journal_is_a_failure(folder: Path) -> None:
    (folder / "journal.db").write_bytes(b"no database" * 1000)
    (folder / "journal.db").chmod(0o600)

    assert [level for level, _ in of(diagnosed(), "journal")] == ["failure"]


@pytest.mark.parametrize("url", ["localhost:16686", "ftp://h", "http://", "http://h:0"])
def test_a_backend_s_url_is_checked_and_not_repeated(folder: Path, url: str) -> None:
    done = doctor("--jaeger", url)

    assert folder.is_dir()
    assert done.exit_code == 2
    assert "not of the form http(s)://HOST[:PORT][/PATH]" in done.stderr


async def test_without_a_bridge_destinations_are_asked_with_their_own_settings(
    tmp_path: Path,
) -> None:
    async with Collector() as sink, Collector(judge=_refuses) as strict:
        (await run("init", ".", folder=tmp_path))
        settings(
            tmp_path,
            f'[[destination]]\nname = "sink"\nendpoint = "{sink.grpc_endpoint}"\n'
            f'[[destination]]\nname = "strict"\nendpoint = "{strict.http_endpoint}"\n'
            f'protocol = "http/protobuf"\nheaders = {{ authorization = "{SECRET}" }}\n'
            '[[destination]]\nname = "dead"\nendpoint = "http://127.0.0.1:9"\n',
        )
        (tmp_path / "otelbridge.toml").chmod(0o600)
        done = await run("doctor", "--json", folder=tmp_path)

    told = {f["subject"]: f for f in json.loads(done.out)["findings"] if f["area"] == "destination"}
    assert {subject: f["level"] for subject, f in told.items()} == {
        "sink traces, metrics, logs": "ok",
        "strict traces, metrics, logs": "failure",
        "dead traces, metrics, logs": "failure",
    }
    refused = told["strict traces, metrics, logs"]
    assert refused["message"] == "http_401: who is ***?"
    assert "look at `headers` and `tls`" in refused["advice"]
    assert "grpc_unavailable" in told["dead traces, metrics, logs"]["message"]
    assert len(sink.taken) == 3
    assert all(not each.body for each in (*sink.requests, *strict.requests))
    assert strict.requests[0].headers["authorization"] == SECRET
    assert SECRET not in done.out + done.err
    assert SECRET.split()[1] not in done.out + done.err
    assert (done.code, done.err) == (1, "")


def _refuses(_request: object) -> Answer:
    return Answer(http_status=401, message=f"who is {SECRET}?")


def _write_pair(
    folder: Path, authority: trustme.CA, ends: datetime, begins: datetime | None = None
) -> None:
    made = authority.issue_cert(
        "bridge.example", not_before=begins or NOW - timedelta(days=90), not_after=ends
    )
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
