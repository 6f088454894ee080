"""Whatever stands in the file or the environment: settings or a ConfigError, nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.config import Config, build_config
from otelbridge.errors import ConfigError

_SECTIONS = tuple(Config.model_fields)
_KEYS = sorted(
    {
        name
        for section in Config.model_fields.values()
        for name in getattr(section.annotation, "model_fields", ())
    }
    | {"name", "endpoint", "headers", "signals", "tls", "from", "start", "events", "content"}
)
_texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["otlp", "http://h:4317", "127.0.0.1:1", "0.0.0.0:1", "log", "1GiB", "\x00"]),
)
_scalars = st.one_of(
    _texts,
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.datetimes(),
    st.dates(),
    st.times(),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(_KEYS), _texts), inner, max_size=4),
    ),
    max_leaves=8,
)
_tables = st.dictionaries(st.one_of(st.sampled_from(_KEYS), _texts), _values, max_size=4)
_files = st.dictionaries(
    st.one_of(st.sampled_from(_SECTIONS), _texts),
    st.one_of(_tables, st.lists(_tables, max_size=3), _values),
    max_size=5,
)
_variables = st.dictionaries(
    st.one_of(
        st.builds(
            "OTELBRIDGE_{}__{}".format,
            st.sampled_from([*map(str.upper, _SECTIONS), ""]),
            st.one_of(
                st.sampled_from([*map(str.upper, _KEYS), "0__NAME", "0__ENDPOINT", "1__X", "²__X"]),
                _texts,
            ),
        ),
        st.sampled_from(
            [
                "OTEL_METRIC_EXPORT_INTERVAL",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                "OTEL_EXPORTER_OTLP_HEADERS",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                "OTEL_TRACES_EXPORTER",
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
            ]
        ),
    ),
    st.one_of(
        _texts,
        st.sampled_from(["²", "9" * 5000, "[" * 5000, '{"a": 1e999}', "[1]", "\udcff", "none"]),
    ),
    max_size=6,
)


@settings(deadline=None)  # the first example imports
@given(data=_files, environ=_variables)
def test_any_settings_are_read_or_refused(data: dict[str, Any], environ: dict[str, str]) -> None:
    try:
        config = build_config(data, environ, base=Path("/etc"))
    except ConfigError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))  # noqa: PT017  # or none
    else:
        _assert_usable(config)


def _assert_usable(config: Config) -> None:
    assert config.store.path.is_absolute()
    assert config.journal.path.is_absolute()
    assert math.isfinite(config.listen.drain_s)
    assert all(destination.signals for destination in config.destination)
