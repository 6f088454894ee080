"""The teller: records and interceptions become ledger entries and OTLP messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from otelbridge.domain.ports import OutboxItem, Signal
from otelbridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    PromptUsed,
    TokensUsed,
    ToolUsed,
)
from otelbridge.telemetry import instruments as ins
from otelbridge.telemetry import wire
from otelbridge.telemetry.accounts import Accounts
from otelbridge.telemetry.booking import Booker
from otelbridge.telemetry.briefs import brief_of, brief_of_open
from otelbridge.telemetry.cleaning import Cleaner
from otelbridge.telemetry.cost import GenaiPricer
from otelbridge.telemetry.events import interception_attribute, kind_name, log_event
from otelbridge.telemetry.ids import chat_place
from otelbridge.telemetry.late import late_event, start_of
from otelbridge.telemetry.prices import load_prices
from otelbridge.telemetry.providers import ProviderNames
from otelbridge.telemetry.redaction import Redactor
from otelbridge.telemetry.series import SeriesLimit
from otelbridge.telemetry.spans import spans_of
from otelbridge.telemetry.stripping import without_content
from otelbridge.telemetry.summary import summarise
from otelbridge.telemetry.truncation import Shortener
from otelbridge.telemetry.valuation import Valuation
from otelbridge.telemetry.variants import profiles_of, variants_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelbridge.config.sections import Config
    from otelbridge.domain.interception import Closed, Interception
    from otelbridge.domain.ledger import Changes, SeriesKey
    from otelbridge.domain.ports import Pricer
    from otelbridge.domain.recent import Brief, Recent
    from otelbridge.domain.records import Record
    from otelbridge.telemetry.labels import Labels
    from otelbridge.telemetry.summary import Summary
    from otelbridge.telemetry.variants import Variant

# Items are told and refused as a whole: a body larger than this is split, so that one
# interception with much content does not exceed a collector's limit (4 MiB for gRPC).
_MAX_BODY = 1024 * 1024
# What a canary consists of, but for its end, which is counted of nobody. Whatever else
# somebody sends with its id is counted.
_OF_CANARY = frozenset((InterceptionStarted, PromptUsed))


class OtlpTeller:
    """Tells everything as OTLP; see `otelbridge.domain.ports.Teller`.

    Called in the core's thread only.

    Args:
        variants: What is told to whom.
        accounts: Knows whose usage is counted.
        booker: Adds to the ledger.
        pricer: Knows prices.
        cleaner: Takes out what must not be told. Nothing else here sees a
            record before.
        recent: Where briefs of what is finalised are kept; None for nowhere.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        *,
        accounts: Accounts,
        booker: Booker,
        pricer: Pricer,
        cleaner: Cleaner,
        recent: Recent | None = None,
    ) -> None:
        self._variants = self._all_variants = tuple(variants)
        self._spared = 0
        self._accounts = accounts
        self._booker = booker
        self._values = Valuation(pricer)
        self._cleaner = cleaner
        self._recent = recent

    def record_arrived(
        self, record: Record, start: InterceptionStarted | None, changes: Changes
    ) -> None:
        """Book a record of an interception whose start is known (None: it never came)."""
        if start is None:
            changes.count(ins.RECORDS_ORPHAN, kind_name(record))
        kind = type(record)
        if kind is InterceptionEnded:
            return  # nothing is counted of it
        account, value = self._accounts.of(start), None
        if account.is_canary and kind in _OF_CANARY:
            return
        if kind is TokensUsed:
            used = cast("TokensUsed", record)
            value = self._values.arrived(used, start and self._cleaner.start(start))
        elif kind is ToolUsed:
            record = self._cleaner.with_safe_name(cast("ToolUsed", record))
        self._booker.record(record, account, value, changes)

    def interception_closed(
        self, interception: Interception, changes: Changes
    ) -> Sequence[OutboxItem]:
        """Book a finalised interception and return what will be told of it."""
        interception = self._cleaner.interception(interception, changes)
        start = interception.start
        account = self._accounts.of(start)
        summary = summarise(
            interception,
            provider=account.provider,
            value_of=lambda record: self._values.told(record, start),
        )
        if not account.is_canary:
            self._booker.interception(summary, account, changes)
        if self._recent is not None and not account.is_canary:
            changes.recent.append(brief_of(summary, account))
        return [item for variant in self._variants for item in _told(summary, variant)]

    def record_late(self, record: Record, closed: Closed, changes: Changes) -> Sequence[OutboxItem]:
        """Book a record that came after its interception was told; return what will be told."""
        changes.count(ins.RECORDS_LATE, kind_name(record))
        record, closed = self._cleaner.late(record, changes), self._cleaner.closed(closed)
        start = start_of(closed)
        value = self._values.told(record, start) if isinstance(record, TokensUsed) else None
        account = self._accounts.of_closed(closed)
        self._booker.record(record, account, value, changes)
        items: list[OutboxItem] = []
        for variant in self._variants:
            if variant.logs:
                event = late_event(
                    record,
                    chat_place(closed.id, closed.root_id, variant.trace_grouping),
                    provider=account.provider,
                    profile=variant.profile,
                    value=value,
                    with_content=variant.has_event_content,
                    is_spared=variant.is_spared,
                )
                items += _items(Signal.LOGS, variant.logs, [event])
        return items

    def spare(self, destinations: int) -> None:
        """Tell these destinations, and only these, no content from now on."""
        if destinations != self._spared:
            self._spared = destinations
            self._variants = tuple(without_content(self._all_variants, destinations))

    def committed(self, changes: Changes) -> None:
        """Note that the changes are durable: label values admitted in them count from now on."""
        self._booker.committed(changes)
        if self._recent is not None:
            self._recent.add(changes.recent)

    def brief_of_open(self, start: InterceptionStarted, records: Iterable[Record]) -> Brief:
        """Return the brief of an interception that is not finalised; nothing is booked."""
        return brief_of_open(
            self._cleaner.start(start),
            records,
            self._accounts.of(start),
            with_safe_name=self._cleaner.with_safe_name,
        )


def build_teller(
    config: Config,
    bits: Mapping[str, int],
    labels: Labels,
    *,
    known: Iterable[SeriesKey] = (),
    recent: Recent | None = None,
) -> OtlpTeller:
    """Build a teller from the settings.

    Args:
        config: The settings.
        bits: Each destination's bit (``1 << i``), by its name.
        labels: Admits values as labels.
        known: The series of the ledger.
        recent: See `OtlpTeller`.

    Raises:
        ConfigError: If the file of prices cannot be read or is wrong.
    """
    providers = ProviderNames(config.telemetry.providers)
    overrides = config.prices.overrides
    variants = variants_of(config, bits)
    cleaner = _cleaner(config, variants)
    return OtlpTeller(
        variants,
        accounts=Accounts(providers, cleaner.start),
        booker=Booker(
            profiles_of(config),
            labels,
            SeriesLimit(config.metrics.series_limit, known),
            trace_grouping=config.telemetry.trace_grouping,
            user_label=config.metrics.user_label,
        ),
        pricer=GenaiPricer(providers, load_prices(overrides) if overrides else None),
        cleaner=cleaner,
        recent=recent,
    )


def build_shortener(config: Config) -> Shortener:
    """Build what cuts a text to what one may take, and goes through no secret."""
    safe_end = Redactor(config.content.redaction).safe_end
    return Shortener(config.content.limits.item, safe_end)


def _cleaner(config: Config, variants: Sequence[Variant]) -> Cleaner:
    return Cleaner(
        Redactor(config.content.redaction),
        build_shortener(config),
        total_bytes=config.content.limits.total,
        tells_content=any(variant.content != "NO_CONTENT" for variant in variants),
    )


def _told(summary: Summary, variant: Variant) -> Iterable[OutboxItem]:
    if variant.traces:
        yield from _items(Signal.TRACES, variant.traces, spans_of(summary, variant))
    if variant.logs and variant.events != "span":
        yield from _items(Signal.LOGS, variant.logs, _logs(summary, variant))


def _logs(summary: Summary, variant: Variant) -> list[bytes]:
    interception = summary.interception
    place = chat_place(interception.id, interception.thread.root_id, variant.trace_grouping)
    named = interception_attribute(str(interception.id))
    with_content = variant.has_event_content
    return [
        log_event(record, place, named, with_content=with_content, is_spared=variant.is_spared)
        for record in summary.events
    ]


def _items(signal: Signal, destinations: int, parts: Sequence[bytes]) -> list[OutboxItem]:
    """Return the parts as few items, each of a size that collectors take."""
    found: list[OutboxItem] = []
    batch: list[bytes] = []
    size = 0
    for part in parts:
        if batch and size + len(part) > _MAX_BODY:
            body = wire.joined(wire.SCOPE_ITEMS, batch)
            found.append(OutboxItem(signal, destinations, len(batch), body))
            batch, size = [], 0
        batch.append(part)
        size += len(part)
    if batch:
        body = wire.joined(wire.SCOPE_ITEMS, batch)
        found.append(OutboxItem(signal, destinations, len(batch), body))
    return found
