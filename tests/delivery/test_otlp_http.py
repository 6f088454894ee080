"""OTLP/HTTP against a real server."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from otelbridge.delivery.otlp_http import HttpExporter, accepted, retry_after_s
from otelbridge.delivery.outcomes import Ok, Refused, Retry, TooLarge
from otelbridge.domain.ports import Signal
from otelbridge.errors import ConfigError
from tests.collector import Answer, Collector
from tests.delivery.fakes import ENVELOPE, FakeTime, destination, span

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from otelbridge.delivery.outcomes import Exporter
    from tests.delivery.conftest import Certificates

ONE_SPAN = ENVELOPE.wrap([span("chat")])
NOW_NS = 1_700_000_000 * 10**9  # Tue, 14 Nov 2023 22:13:20 GMT
NO_CONTENT = 204


def http_exporter_to(endpoint: str, **settings: Any) -> HttpExporter:
    config = destination(endpoint, protocol="http/protobuf", **settings)
    return HttpExporter(config, user_agent="otelbridge/1.2.3", now_ns=FakeTime(NOW_NS).now_ns)


async def test_a_request_arrives_as_it_was_encoded(
    collector: Collector, http_exporter: Exporter
) -> None:
    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Ok()
    assert [request.body for request in collector.requests] == [ONE_SPAN]


async def test_the_base_gets_a_path_for_each_signal_and_an_own_endpoint_is_taken_as_it_is(
    collector: Collector,
) -> None:
    collector.paths["/own/logs"] = Signal.LOGS
    exporter = http_exporter_to(
        f"{collector.http_endpoint}/", logs_endpoint=f"{collector.http_endpoint}/own/logs"
    )

    for signal in Signal:
        await exporter.export(signal, b"")
    await exporter.close()

    assert [each.path for each in collector.requests] == ["/v1/traces", "/v1/metrics", "/own/logs"]


async def test_headers_and_the_user_agent_are_sent(collector: Collector) -> None:
    exporter = http_exporter_to(collector.http_endpoint, headers={"Authorization": "Bearer k"})

    await exporter.export(Signal.TRACES, ONE_SPAN)
    await exporter.close()

    headers = collector.requests[0].headers
    assert headers["authorization"] == "Bearer k"
    assert headers["user-agent"] == "otelbridge/1.2.3"
    assert headers["content-type"] == "application/x-protobuf"


async def test_gzip_makes_a_request_smaller(collector: Collector) -> None:
    body = ENVELOPE.wrap([span("chat", padding=100_000)])
    exporter = http_exporter_to(collector.http_endpoint, compression="gzip")

    outcome = await exporter.export(Signal.TRACES, body)
    await exporter.close()

    request = collector.requests[0]
    assert outcome == Ok()
    assert request.body == body
    assert int(request.headers["content-length"]) == len(gzip.compress(body, mtime=0)) < 10_000


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, Retry),
        (400, Refused),
        (401, Retry),
        (403, Retry),
        (404, Retry),
        (405, Retry),
        (408, Retry),
        (413, TooLarge),
        (415, Refused),
        (422, Refused),
        (429, Retry),
        (500, Refused),
        (501, Retry),
        (502, Retry),
        (503, Retry),
        (504, Retry),
        (599, Refused),
    ],
)
async def test_every_status_has_one_reaction(
    collector: Collector, http_exporter: Exporter, status: int, expected: type
) -> None:
    collector.script(Answer(http_status=status, message="why"))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert type(outcome) is expected
    assert isinstance(outcome, Retry | Refused | TooLarge)
    assert (outcome.reason, outcome.message) == (f"http_{status}", "why")


async def test_a_redirect_is_not_followed(collector: Collector, http_exporter: Exporter) -> None:
    collector.script(Answer(http_status=307, headers={"location": "/v1/logs"}, body=b""))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Retry(reason="http_307", message="Temporary Redirect")
    assert len(collector.requests) == 1


async def test_the_text_of_an_error_page_is_not_repeated(
    collector: Collector, http_exporter: Exporter
) -> None:
    collector.script(Answer(http_status=502, body=b"<h1>secret</h1>", content_type="text/html"))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Retry(reason="http_502", message="Bad Gateway")


@pytest.mark.parametrize("body", [b"\xff", b""])
async def test_a_status_of_which_nobody_knows_anything_is_a_number(
    collector: Collector, http_exporter: Exporter, body: bytes
) -> None:
    collector.script(Answer(http_status=599, body=body))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Refused(reason="http_599")


async def test_an_endless_answer_is_not_read_to_its_end(
    collector: Collector, http_exporter: Exporter
) -> None:
    collector.script(Answer(http_status=503, body=b"x" * 10_000_000))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Retry(reason="http_503", message="Service Unavailable")


async def test_a_page_for_people_is_no_acknowledgement(
    collector: Collector, http_exporter: Exporter
) -> None:
    collector.script(
        Answer(body=b"<h1>Please log in</h1>", content_type="text/html; charset=utf-8")
    )

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert isinstance(outcome, Retry)


@pytest.mark.parametrize(("body", "media_type"), [(b"", ""), (b"{}", "application/json")])
def test_a_2xx_without_a_message_is_an_acknowledgement(body: bytes, media_type: str) -> None:
    assert accepted(Signal.TRACES, body, media_type=media_type) == Ok()


def test_a_2xx_with_a_broken_message_is_an_acknowledgement() -> None:
    outcome = accepted(Signal.TRACES, b"\xff", media_type="application/x-protobuf")

    assert outcome == Ok(message="the response is no OTLP message")


async def test_partial_success_is_read(collector: Collector, http_exporter: Exporter) -> None:
    collector.script(Answer(rejected=2, message="too old"))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Ok(rejected=2, message="too old")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 -0000", 10.0),
        ("soon", None),
        ("-1", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_s(value, now_ns=NOW_NS) == expected


async def test_retry_after_says_when_to_try_again(
    collector: Collector, http_exporter: Exporter
) -> None:
    collector.script(Answer(http_status=503, headers={"retry-after": "2"}, body=b""))

    outcome = await http_exporter.export(Signal.TRACES, ONE_SPAN)

    assert outcome == Retry(reason="http_503", message="Service Unavailable", after_s=2.0)


async def test_a_server_that_never_answers_is_given_up(collector: Collector) -> None:
    collector.script(Answer(never=True))
    exporter = http_exporter_to(collector.http_endpoint, timeout_s=0.1)

    outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
    await exporter.close()

    assert outcome == Retry(reason="timeout", message="no answer within 0.1 s")


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    async with Collector() as collector:
        endpoint = collector.http_endpoint
    exporter = http_exporter_to(endpoint)

    outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
    await exporter.close()

    assert isinstance(outcome, Retry)
    assert outcome.reason == "connection"


async def test_own_certificates_are_used_whatever_the_environment_says(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text("not a certificate")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(other))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    tls = {"ca": certificates.ca, "cert": certificates.cert, "key": certificates.key}

    async with Collector(tls=certificates.mutual) as collector:
        exporter = http_exporter_to(collector.http_endpoint, tls=tls)
        outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
        await exporter.close()

    assert outcome == Ok()


async def test_a_server_with_a_certificate_of_an_unknown_authority_gets_nothing(
    certificates: Certificates,
) -> None:
    async with Collector(tls=certificates.server) as collector:
        exporter = http_exporter_to(collector.http_endpoint)
        outcome = await exporter.export(Signal.TRACES, ONE_SPAN)
        await exporter.close()

    assert isinstance(outcome, Retry)
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.message
    assert collector.requests == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tls": {"ca": "/nonexistent"}}, "d.tls.ca: /nonexistent: no such file or directory"),
        ({"headers": {"a b": "c"}}, 'd.headers: "a b" is not a header name'),
        ({"headers": {"a": "secret\n"}}, "d.headers: the value of a is not printable ASCII"),
    ],
)
def test_a_wrong_setting_is_a_configuration_error(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        http_exporter_to("https://127.0.0.1:1", **settings)

    assert str(raised.value) == f"destination {problem}"
