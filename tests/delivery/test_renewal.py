from __future__ import annotations

import asyncio

from otelbridge.delivery.outcomes import Ok, Outcome, Retry
from otelbridge.delivery.renewal import RenewableExporter
from otelbridge.domain.ports import Signal


class Held:
    """An exporter whose requests wait until they are answered.

    Attributes:
        answer: What they wait for.
        is_closed: Whether it was closed.
    """

    def __init__(self) -> None:
        self.answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.is_closed = asyncio.Event()

    async def export(self, _signal: Signal, _body: bytes) -> Outcome:
        return await self.answer

    async def close(self) -> None:
        self.is_closed.set()


def renewable() -> tuple[RenewableExporter, list[Held]]:
    made: list[Held] = []

    def make() -> Held:
        made.append(Held())
        return made[-1]

    return RenewableExporter(make), made


async def started(exporter: RenewableExporter) -> asyncio.Task[Outcome]:
    task = asyncio.create_task(exporter.export(Signal.TRACES, b""))
    await asyncio.sleep(0)
    return task


async def test_requests_under_way_end_at_the_old_one_and_new_ones_go_to_the_new() -> None:
    exporter, made = renewable()
    before = await started(exporter)
    exporter.renew()
    after = await started(exporter)

    made[1].answer.set_result(Ok(message="new"))
    second = await after
    was_closed = made[0].is_closed.is_set()
    made[0].answer.set_result(Ok(message="old"))
    first = await before
    await made[0].is_closed.wait()

    assert (first, second) == (Ok(message="old"), Ok(message="new"))
    assert not was_closed
    assert not made[1].is_closed.is_set()


async def test_an_old_one_that_does_nothing_is_closed_at_once() -> None:
    exporter, made = renewable()

    exporter.renew()

    async with asyncio.timeout(1):
        await made[0].is_closed.wait()


async def test_silence_makes_a_new_one_and_only_one() -> None:
    exporter, made = renewable()
    both = [await started(exporter), await started(exporter)]

    made[0].answer.set_result(Retry(reason="timeout", is_silence=True))
    await asyncio.gather(*both)

    assert len(made) == 2


async def test_any_other_failure_keeps_the_connection() -> None:
    exporter, made = renewable()
    call = await started(exporter)

    made[0].answer.set_result(Retry(reason="http_503"))
    await call

    assert len(made) == 1


async def test_closing_closes_all_that_are_left() -> None:
    exporter, made = renewable()
    call = await started(exporter)
    exporter.renew()

    await exporter.close()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert all(each.is_closed.is_set() for each in made)
