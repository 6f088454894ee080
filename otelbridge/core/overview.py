"""What the page shows of the journal and the open interceptions: read when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otelbridge.domain.ledger import UsageTotals
from otelbridge.domain.recent import OPEN_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelbridge.domain.assembler import Assembler
    from otelbridge.domain.recent import Brief, Recent
    from otelbridge.journal import SqliteJournal
    from otelbridge.telemetry.teller import OtlpTeller

#: How many models of a day are shown by name, the dearest.
MAX_MODELS = 12


class ModelUsage(NamedTuple):
    """What was used of a model.

    Attributes:
        provider: ``gen_ai.provider.name``.
        model: The requested model, as sent.
        totals: What was used.
    """

    provider: str
    model: str
    totals: UsageTotals


class Overview(NamedTuple):
    """What the page shows, all of one moment.

    Attributes:
        recent: Finalised interceptions, the oldest first.
        open: Open ones that have started, the newest arrivals first.
        open_count: How many are open, whether they have started or not.
        models: A day's usage by model, the dearest first.
        other_models: How many further models there are.
        total: All usage of that day.
    """

    recent: list[Brief] = []  # noqa: RUF012  # nobody changes it
    open: list[Brief] = []  # noqa: RUF012
    open_count: int = 0
    models: list[ModelUsage] = []  # noqa: RUF012
    other_models: int = 0
    total: UsageTotals = UsageTotals()


def look(
    day: str,
    *,
    journal: SqliteJournal,
    assembler: Assembler,
    teller: OtlpTeller,
    recent: Recent | None,
) -> Overview:
    """Read what the page shows. Some milliseconds, at most once a second.

    Args:
        day: Of which day usage is shown, ``YYYY-MM-DD``, UTC.
        journal: Has usage.
        assembler: Has open interceptions: committed ones, as long as no commit is under way.
        teller: Knows under which names they are told.
        recent: Has finalised ones; None if they are not kept.
    """
    usage = [ModelUsage(*row) for row in journal.ledger.usage_of_day(day)]
    return Overview(
        recent=recent.briefs() if recent else [],
        open=list(_open(assembler, teller)),
        open_count=len(assembler),
        models=usage[:MAX_MODELS],
        other_models=len(usage[MAX_MODELS:]),
        total=_sum(each.totals for each in usage),
    )


def _open(assembler: Assembler, teller: OtlpTeller) -> Iterable[Brief]:
    for key in assembler.newest(OPEN_SHOWN):
        start = assembler.start_of(key)
        if start is not None:
            yield teller.brief_of_open(start, assembler.records_of(key))


def _sum(parts: Iterable[UsageTotals]) -> UsageTotals:
    total = UsageTotals()
    for part in parts:
        total = total.plus(part)
    return total
