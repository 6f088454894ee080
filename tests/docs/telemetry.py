"""The tables and examples of docs/telemetry.md, made from the constants and from captures.

``python -m tests.docs.telemetry`` writes them into the page, between ``<!-- NAME -->`` and
``<!-- end -->``; a test fails until that is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from otelbridge.delivery.prometheus_names import family_name
from otelbridge.telemetry.instrument import Instrument, InstrumentKind
from otelbridge.telemetry.instruments import INSTRUMENTS
from otelbridge.telemetry.semconv import ATTRIBUTES, LATEST, PROFILES, PROVIDERS, V1_41, Attribute
from tests.docs.pages import ROOT
from tests.docs.traces import EXAMPLES, text_of

PAGE = ROOT / "docs/telemetry.md"
#: A block of the page: what comes before it, its name, itself, what comes after it.
BLOCK = re.compile(r"(<!-- (?P<name>[a-z][a-z :-]*) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

_KINDS = {
    InstrumentKind.COUNTER: "counter",
    InstrumentKind.UP_DOWN_COUNTER: "up-down counter",
    InstrumentKind.GAUGE: "gauge",
    InstrumentKind.HISTOGRAM: "histogram",
}
# A key for each value is told under these.
_TEMPLATES = {"aibridge.metadata", "aibridge.usage.extra"}


def blocks() -> Mapping[str, Callable[[], str]]:
    """Return what makes each block of the page, by its name."""
    named: dict[str, Callable[[], str]] = {
        f"attributes: {kind}": partial(_attributes, kind)
        for kind in ("conventions", "aibridge", "otelbridge")
    }
    named |= {
        f"instruments: {kind}": partial(_instruments, kind)
        for kind in ("conventions", "aibridge", "otelbridge")
    }
    named |= {f"trace: {name}": partial(_trace, name) for name in EXAMPLES}
    return {**named, "profiles": _profiles, "providers": _providers}


def written(page: str) -> str:
    """Return the page with its blocks replaced by what they should be."""
    found = blocks()
    return BLOCK.sub(lambda block: f"{block[1]}{found[block['name']]()}{block[4]}", page)


def kind_of(name: str, source: str = "") -> str:
    """Return in which table a name stands."""
    return name.partition(".")[0] if source == "otelbridge" else "conventions"


def _attributes(kind: str) -> str:
    rows = [
        f"| `{_key(key)}` | {each.description}{_only(each)} |{_source(each, kind)}"
        for key, each in sorted(ATTRIBUTES.items())
        if kind_of(key, each.source) == kind
    ]
    if kind == "conventions":
        return _table("| Attribute | Meaning | Source |\n|---|---|---|", rows)
    return _table("| Attribute | Meaning |\n|---|---|", rows)


def _key(key: str) -> str:
    return f"{key}.<key>" if key in _TEMPLATES else key


def _only(attribute: Attribute) -> str:
    """Return in which profiles an attribute is told, if not in all."""
    names = [name for name, each in PROFILES.items() if attribute.key in each.cache_write]
    return f" Profiles: {_listed(sorted(names))}." if names else ""


def _source(attribute: Attribute, kind: str) -> str:
    if kind != "conventions":
        return ""
    name = "GenAI" if "genai" in attribute.source else "registry"
    return f" [{name}]({attribute.source}) |"


def _instruments(kind: str) -> str:
    rows = [
        _instrument(each)
        for name, each in sorted(INSTRUMENTS.items())
        if kind_of(name, "" if name.startswith(("gen_ai.", "rpc.")) else "otelbridge") == kind
    ]
    head = "| Instrument | On `/metrics` | Kind | Unit | Meaning | Labels |"
    return _table(f"{head}\n|---|---|---|---|---|---|", rows)


def _instrument(instrument: Instrument) -> str:
    name = family_name(instrument)
    if instrument.kind is InstrumentKind.COUNTER:
        name += "_total"
    of = [each for each in PROFILES if instrument.name in PROFILES[each].metrics]
    only = f" Profiles: {_listed(sorted(of))}." if of else ""
    cells = (
        f"`{instrument.name}`",
        f"`{name}`",
        _KINDS[instrument.kind],
        f"`{instrument.unit}`",
        instrument.description + only,
        _listed(instrument.attributes) or "none",
    )
    return f"| {' | '.join(cells)} |"


def _profiles() -> str:
    rows = [
        _profile_row("Schema URL", lambda p: [p.schema_url] if p.schema_url else []),
        _profile_row("Tokens written to a cache", lambda p: p.cache_write),
        _profile_row("Counters of tokens", lambda p: [name for _, name in p.counters]),
        _profile_row("Histograms of tokens", lambda p: dict.fromkeys(n for _, n in p.histograms)),
        _profile_row("Histogram of durations", lambda p: p.durations),
    ]
    return _table(f"| | `{LATEST.name}` | `{V1_41.name}` |\n|---|---|---|", rows)


def _profile_row(title: str, names: Callable[..., Iterable[str]]) -> str:
    cells = (_listed(names(profile)) or "none" for profile in (LATEST, V1_41))
    return f"| {title} | {' | '.join(cells)} |"


def _providers() -> str:
    rows = [f"| `{sent}` | `{told}` |" for sent, told in PROVIDERS.items()]
    return _table("| Type, as gateways send it | `gen_ai.provider.name` |\n|---|---|", rows)


def _trace(name: str) -> str:
    return f"```text\n{text_of(EXAMPLES[name])}```\n"


def _table(head: str, rows: Iterable[str]) -> str:
    return "\n".join((head, *rows, ""))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
