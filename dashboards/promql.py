"""PromQL of the bridge's instruments: a name that it does not tell is an error here.

Names are those of /metrics, which are those that Prometheus gives metrics that
it receives over OTLP: the same queries serve both ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelbridge.delivery.prometheus_names import family_name, label_name
from otelbridge.telemetry import semconv as sc
from otelbridge.telemetry.instrument import Instrument, InstrumentKind
from otelbridge.telemetry.instruments import INSTRUMENTS

if TYPE_CHECKING:
    from collections.abc import Collection

PROVIDER = label_name(sc.PROVIDER_NAME)
MODEL = label_name(sc.REQUEST_MODEL)
CLIENT = label_name(sc.CLIENT)
USER = label_name(sc.USER_ID)
OUTCOME = label_name(sc.OUTCOME)
COMPONENT = label_name(sc.COST_COMPONENT)
TOKEN_TYPE = label_name(sc.TOKEN_TYPE)
ERROR = label_name(sc.ERROR_TYPE)
TOOL = label_name(sc.TOOL_NAME)
SERVER = label_name(sc.SERVER_ADDRESS)
INJECTED = label_name(sc.TOOL_INJECTED)
KIND = label_name(sc.RECORD_KIND)
REASON = label_name(sc.REASON)
DESTINATION = label_name(sc.DESTINATION)
SIGNAL = label_name(sc.SIGNAL)
GATEWAY = label_name(sc.GATEWAY)
PERIOD = label_name(sc.BUDGET_PERIOD)
METHOD = label_name(sc.RPC_METHOD)
STATUS = label_name(sc.RPC_STATUS)
RULE = label_name(sc.RULE)

#: Which variable of a dashboard chooses among a label's values.
_VARIABLES = {
    PROVIDER: "provider",
    MODEL: "model",
    CLIENT: "client",
    DESTINATION: "destination",
}
#: From which bridges: every query asks for them.
BRIDGES = 'job=~"$job", instance=~"$instance"'

RATE = "$__rate_interval"
RANGE = "$__range"


def names(instrument: Instrument) -> tuple[str, ...]:
    """Return the names of an instrument's series."""
    family = family_name(instrument)
    if instrument.kind is InstrumentKind.COUNTER:
        return (f"{family}_total",)
    if instrument.kind is InstrumentKind.HISTOGRAM:
        return tuple(f"{family}_{part}" for part in ("bucket", "sum", "count"))
    return (family,)


def series(name: str, *matchers: str, part: str = "", ignoring: Collection[str] = ()) -> str:
    """Return a selector of an instrument, filtered by every variable that it has a label for.

    Args:
        name: The instrument.
        matchers: Further matchers.
        part: Which of a histogram's series: bucket, sum or count.
        ignoring: Labels whose variables are not asked.
    """
    instrument = INSTRUMENTS[name]
    found = names(instrument)
    (metric,) = [each for each in found if each.endswith(f"_{part}")] if part else found
    labels = [label_name(key) for key in instrument.attributes]
    chosen = [
        f'{label}=~"${_VARIABLES[label]}"'
        for label in labels
        if label in _VARIABLES and label not in ignoring
    ]
    return f"{metric}{{{', '.join([BRIDGES, *chosen, *matchers])}}}"


def rate(selector: str) -> str:
    """Return the rate of a counter, a second."""
    return f"rate({selector}[{RATE}])"


def increase(selector: str, over: str = RANGE) -> str:
    """Return by how much a counter rose."""
    return f"increase({selector}[{over}])"


def total(expr: str, *by: str) -> str:
    """Return the sum by some labels."""
    return f"sum by ({', '.join(by)}) ({expr})" if by else f"sum({expr})"


def either(expr: str, otherwise: str) -> str:
    """Return the one, or where there is nothing the other.

    For instruments that depend on the profile of names: under ``dup`` both are
    told, and the first is taken.
    """
    return f"({expr} or {otherwise})"


def top(expr: str, count: int = 10) -> str:
    """Return the greatest series."""
    return f"topk({count}, {expr})"


def nothing() -> str:
    """Return 0 while a bridge is there, and no series while none is."""
    return f"0 * sum({series('otelbridge.journal.bytes')})"


def or_nothing(expr: str) -> str:
    """Return a number of what may never have happened; 0 only while a bridge tells so."""
    return f"{expr} or {nothing()}"


def share(some: str, whole: str) -> str:
    """Return which part of the whole some of it is; 0 where that has never happened."""
    return f"({or_nothing(total(some))}) / ({total(whole)} > 0)"


def or_none(expr: str, label: str) -> str:
    """Return series of what may never have happened; without any a 0 that is labelled none."""
    return f'{expr} or label_replace({nothing()}, "{label}", "none", "", "")'


def quantile(share: float, buckets: str) -> str:
    """Return a quantile of a histogram's buckets."""
    return f"histogram_quantile({share:g}, {buckets})"
