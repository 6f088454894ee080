"""``[page]``: addresses that a person's browser is led to."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelbridge.config import build_config
from otelbridge.errors import ConfigError


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("trace_url", "http://jaeger/trace/", "does not have {trace_id} in it, once"),
        ("trace_url", "http://j/{trace_id}/{trace_id}", "does not have {trace_id} in it, once"),
        ("trace_url", "javascript:alert('{trace_id}')", "is not a URL of the form http(s)://"),
        ("dashboard_url", "javascript:alert(1)", "is not a URL of the form http(s)://"),
        ("dashboard_url", "//grafana", "is not a URL of the form http(s)://"),
        ("dashboard_url", "http://grafana/\n", "is not a URL of the form http(s)://"),
        ("dashboard_url", "data:text/html,x", "is not a URL of the form http(s)://"),
    ],
)
def test_a_link_leads_to_http_or_nowhere(key: str, value: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build_config({"page": {key: value}}, {}, base=Path())

    assert str(raised.value).startswith(f"page.{key}: ")
    assert problem in str(raised.value)


def test_a_password_in_a_link_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError) as raised:
        build_config({"page": {"dashboard_url": "http://me:hunter2@grafana/"}}, {}, base=Path())

    assert "credentials are not allowed in a link" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_trace_s_address_may_have_the_id_anywhere() -> None:
    url = "https://grafana.example/explore?left={%22query%22:%22{trace_id}%22}"

    assert build_config({"page": {"trace_url": url}}, {}, base=Path()).page.trace_url == url
