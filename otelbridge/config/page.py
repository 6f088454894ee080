"""``[page]``: the page for people."""

from __future__ import annotations

from pydantic import field_validator

from otelbridge.config.addresses import check_link
from otelbridge.config.section import Section
from otelbridge.errors import escaped

#: What stands for a trace's id in ``[page] trace_url``.
TRACE_ID = "{trace_id}"


class PageConfig(Section):
    """The page that the HTTP listener shows to people, at ``/``.

    Attributes:
        enabled: Whether there is one.
        trace_url: Where a trace is shown, for a link from each interception:
            an http or https URL with ``{trace_id}`` in it.
        dashboard_url: Where dashboards are, for a link at the top.
    """

    enabled: bool = True
    trace_url: str | None = None
    dashboard_url: str | None = None

    @field_validator("trace_url", "dashboard_url")
    @classmethod
    def _link(cls, value: str | None) -> str | None:
        if value is not None:
            check_link(value)
        return value

    @field_validator("trace_url")
    @classmethod
    def _names_a_trace(cls, value: str | None) -> str | None:
        if value is not None and value.count(TRACE_ID) != 1:
            raise ValueError(f'"{escaped(value)}" does not have {TRACE_ID} in it, once')
        return value
