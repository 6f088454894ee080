"""The settings file: what is right is read, what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelbridge.config import Config, build_config, load_config
from otelbridge.errors import ConfigError

_NAMED = 'name = "otlp"\nendpoint = "http://127.0.0.1:4317"\n'
_DESTINATION = f"[[destination]]\n{_NAMED}"
# What is wrong in the text, and the error without the file's name.
_MISTAKES = {
    '[listen]\ngrcp = "127.0.0.1:1"': "listen.grcp: unknown key; known: "
    "grpc, http, drain_s, insecure",
    "[lisen]\nx = 1": "lisen: unknown key; known: listen, tls, store, journal, assembly, "
    "telemetry, auth, mcp, prices, content, metrics, page, log, destination",
    '"a\\nb" = 1': "a\\x0ab: unknown key; known: listen, tls, store, journal, assembly, "
    "telemetry, auth, mcp, prices, content, metrics, page, log, destination",
    "listen = 5": "listen: not a table",
    '[listen]\ngrpc = "127.0.0.1:65536"': 'listen.grpc: port "65536" is not a number '
    "from 0 to 65535",
    '[listen]\ngrpc = "127.0.0.1:http"': 'listen.grpc: port "http" is not a number from 0 to 65535',
    '[listen]\nhttp = "127.0.0.1"': 'listen.http: "127.0.0.1" is not of the form HOST:PORT',
    '[listen]\nhttp = "::1:8088"': 'listen.http: "::1:8088" is not of the form HOST:PORT',
    "[listen]\ngrpc = 50051": "listen.grpc: not a string",
    "[listen]\ndrain_s = -1": "listen.drain_s: -1 is less than 0",
    "[listen]\ndrain_s = 3601": "listen.drain_s: 3601 is more than 3600",
    "[listen]\ndrain_s = nan": "listen.drain_s: nan is not a finite number",
    "[listen]\ndrain_s = true": "listen.drain_s: true is not a number",
    '[listen]\ndrain_s = "soon"': 'listen.drain_s: "soon" is not a number',
    '[listen]\ninsecure = "perhaps"': 'listen.insecure: "perhaps" is not true or false',
    '[tls]\ncert = "server.crt"': "tls: cert and key must be given together",
    '[tls]\nclient_ca = "ca.crt"': "tls: client_ca needs cert and key",
    '[store]\npath = ""': 'store.path: "." is not the path of a file',
    '[store]\npath = "a\\u0000b"': 'store.path: "a\\x00b" is not the path of a file',
    "[store]\npath = 1979-05-27": "store.path: not a string",
    '[journal]\nurl = "journal.db"': 'journal.url: "journal.db" is not of the form sqlite:PATH',
    '[journal]\nurl = "sqlite:"': 'journal.url: "." is not the path of a file',
    '[journal]\nurl = "postgresql://db/otelbridge"': "journal.url: postgresql is not supported "
    "yet, use sqlite:PATH",
    "[journal]\nmax_bytes = 1048575": "journal.max_bytes: 1048575 is less than 1048576",
    '[journal]\nmax_bytes = "1 elephant"': 'journal.max_bytes: "1 elephant" is not a number of '
    'bytes, or a size such as "1GiB"',
    "[journal]\ndedup_s = 0": "journal.dedup_s: 0 is not more than 0",
    "[assembly]\ngrace_s = 61": "assembly.grace_s: 61 is more than 60",
    '[telemetry]\nsemconv = "v1_40"': 'telemetry.semconv: "v1_40" is not one of '
    "'dup', 'latest' or 'v1_41'",
    '[telemetry]\nproviders = ["x"]': "telemetry.providers: not a table",
    '[content]\ncapture = "ALL"': "content.capture: \"ALL\" is not one of 'NO_CONTENT', "
    "'SPAN_ONLY', 'EVENT_ONLY' or 'SPAN_AND_EVENT'",
    '[metrics.limits]\n"gen_ai.request.model" = 0': "metrics.limits.gen_ai.request.model: "
    "0 is less than 1",
    "[metrics.limits]\nx = 1.5": "metrics.limits.x: 1.5 is not an integer",
    "destination = 5": "destination: not a list: each destination is a table [[destination]]",
    "destination = [5]": "destination.0: not a table",
    "[[destination]]": "destination.0.name: missing, it has no default",
    '[[destination]]\nname = "otlp"': "destination.0: no endpoint for traces: "
    "set endpoint or traces_endpoint",
    _DESTINATION + _DESTINATION: 'destination: name "otlp" is used twice',
    _DESTINATION + "signals = []": "destination.0.signals: the list is empty",
    _DESTINATION + 'signals = "traces"': "destination.0.signals: not a list",
    _DESTINATION
    + 'signals = ["profiles"]': "destination.0.signals.0: \"profiles\" is not one of 'traces', "
    "'metrics' or 'logs'",
    _DESTINATION + 'start = "now"': "destination.0.start: unknown key; known: name, protocol, "
    "endpoint, traces_endpoint, metrics_endpoint, logs_endpoint, headers, compression, tls, "
    "signals, semconv, events, trace_grouping, content, temporality, from, max_bytes, timeout_s",
    _DESTINATION + 'tls.key = "client.key"': "destination.0.tls: cert and key must be given "
    "together",
    '[[destination]]\nname = "a b"\nendpoint = "http://h"': 'destination.0.name: "a b" does not '
    "match ^[A-Za-z0-9._-]{1,64}$",
    '[[destination]]\nname = "a"\nendpoint = "collector:4317"': "destination.0.endpoint: "
    '"collector:4317" is not a URL of the form http(s)://HOST[:PORT][/PATH]',
    '[[destination]]\nname = "a"\nendpoint = "http://h:0"': 'destination.0.endpoint: "http://h:0" '
    "is not a URL of the form http(s)://HOST[:PORT][/PATH]",
    '[[destination]]\nname = "a"\nendpoint = "http://h?x=1"': "destination.0.endpoint: a query or "
    "fragment is not allowed here, set traces_endpoint, metrics_endpoint and logs_endpoint",
    '[telemetry]\nevents = "log"\n'
    + _DESTINATION
    + 'signals = ["traces", "metrics"]': "destination"
    ' otlp: events = "log" needs the signal "logs", or prompts and tools are never told',
    _DESTINATION + 'events = "log"\nsignals = ["metrics"]': "destination"
    ' otlp: events = "log" needs the signal "logs", or prompts and tools are never told',
}


def _load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "otelbridge.toml"
    path.write_text(text)
    return load_config(path, {})


@pytest.mark.parametrize(("text", "line"), _MISTAKES.items(), ids=_MISTAKES.values())
def test_a_mistake_is_one_line_with_key_value_and_limit(
    tmp_path: Path, text: str, line: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, text)

    assert str(raised.value) == line


def test_a_number_with_more_digits_than_python_prints_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, f"[metrics.limits]\nx = 0x{'f' * 5000}")

    assert str(raised.value) == "metrics.limits.x: an integer of 20000 bits is more than 100000"


def test_a_single_mistake_is_an_error_of_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, '[listen]\ngrpc = "127.0.0.1"')

    assert raised.value.key == "listen.grpc"
    assert raised.value.problem == '"127.0.0.1" is not of the form HOST:PORT'


def test_several_mistakes_are_a_line_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        _load(tmp_path, '[log]\nlevel = "loud"\n[mcp]\ntimeout_s = 0')

    assert str(raised.value).splitlines() == [
        "mcp.timeout_s: 0 is not more than 0",
        "log.level: \"loud\" is not one of 'debug', 'info', 'warning' or 'error'",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "otelbridge.toml"

    with pytest.raises(ConfigError) as raised:
        load_config(path, {})

    assert str(raised.value) == f"{path}: No such file or directory"


@pytest.mark.parametrize(
    "content",
    [
        b"[listen",
        b"\xff",
        b"x = " + b"9" * 5000,  # more digits than Python reads
        b"x = " + b"[" * 100_000,  # deeper than Python goes
    ],
    ids=["cut short", "not UTF-8", "a long number", "deep"],
)
def test_what_is_no_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "otelbridge.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as raised:
        load_config(path, {})

    assert str(raised.value).startswith(f"{path}: not a TOML file: ")
    assert "\n" not in str(raised.value)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = f"""
        [store]
        path = "people/store.toml"
        [journal]
        url = "sqlite:data/journal.db"
        [prices]
        overrides = "prices.toml"
        [tls]
        cert = "tls.crt"
        key = "tls.key"
        client_ca = "ca.crt"
        {_DESTINATION}
        tls = {{ ca = "a.crt", cert = "b.crt", key = "b.key" }}
        """

    config = _load(tmp_path, text)

    assert config.store.path == tmp_path / "people/store.toml"
    assert config.journal.path == tmp_path / "data/journal.db"
    assert config.prices.overrides == tmp_path / "prices.toml"
    tls = (config.tls.cert, config.tls.key, config.tls.client_ca)
    assert tls == (tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.crt")
    client = config.destination[0].tls
    assert (client.ca, client.cert, client.key) == (
        tmp_path / "a.crt",
        tmp_path / "b.crt",
        tmp_path / "b.key",
    )


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = _load(tmp_path, '[store]\npath = "/etc/s.toml"\n[journal]\nurl = "sqlite:/var/j.db"')

    assert config.store.path == Path("/etc/s.toml")
    assert config.journal.url == "sqlite:/var/j.db"


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path, "")

    assert config.listen.grpc == "127.0.0.1:50051"
    assert config.journal.max_bytes == 1024**3
    assert config.destination == ()


def test_the_key_from_says_where_a_destination_starts(tmp_path: Path) -> None:
    config = _load(tmp_path, _DESTINATION + 'from = "beginning"')

    assert config.destination[0].start == "beginning"


def test_a_size_may_be_written_with_its_unit(tmp_path: Path) -> None:
    config = _load(tmp_path, '[journal]\nmax_bytes = "2GiB"')

    assert config.journal.max_bytes == 2 * 1024**3


def test_the_given_data_stay_as_they_were() -> None:
    data = {"listen": {"drain_s": 1.0}, "destination": [{"name": "a", "endpoint": "http://h"}]}
    environ = {
        "OTELBRIDGE_LISTEN__DRAIN_S": "2",
        "OTELBRIDGE_DESTINATION__0__NAME": "b",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }

    build_config(data, environ, base=Path())

    assert data == {
        "listen": {"drain_s": 1.0},
        "destination": [{"name": "a", "endpoint": "http://h"}],
    }
