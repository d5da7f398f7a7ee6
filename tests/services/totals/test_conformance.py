"""What every store of totals promises, on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from toril.services.totals.memory import MemoryTotals
from toril.services.totals.port import JobTotal, LastError, Totals
from toril.services.totals.sql import SqlTotals


@pytest.fixture
async def totals(database: str | None) -> AsyncIterator[Totals]:
    made: Totals = MemoryTotals() if database is None else SqlTotals(database)
    yield made
    await made.close()


def at(second: int) -> datetime:
    return datetime(2026, 11, 29, 12, 0, second, tzinfo=UTC)


def failed(second: int, type: str = "mail", tenant_id: str | None = "acme") -> JobTotal:
    return JobTotal(
        queue="jobs", type=type, tenant_id=tenant_id, failed=1, run_ms=2.5, runs={4: 1},
        last_error=LastError(message=f"E{second}", job_id=f"j{second}", at=at(second)),
    )  # fmt: skip


def done(many: int = 1, type: str = "mail", tenant_id: str | None = "acme") -> JobTotal:
    return JobTotal(
        queue="jobs", type=type, tenant_id=tenant_id, completed=many, run_ms=10.0, runs={7: many}
    )


async def test_counts_of_one_type_and_tenant_are_summed(totals: Totals) -> None:
    await totals.add([done(2), failed(1), done()])
    await totals.add([done(), JobTotal(queue="jobs", type="mail", tenant_id="acme", retried=3)])

    (found,) = await totals.read("jobs")

    assert (found.queue, found.type, found.tenant_id) == ("jobs", "mail", "acme")
    assert (found.completed, found.failed, found.retried) == (4, 1, 3)
    assert found.run_ms == 32.5
    assert dict(found.runs) == {4: 1, 7: 4}


async def test_types_tenants_and_queues_are_apart(totals: Totals) -> None:
    await totals.add([done(1, "b", "globex"), done(2, "b", None), done(3, "a", "globex"), done(4)])
    await totals.add([JobTotal(queue="other", type="a", completed=9)])

    every = [(one.type, one.tenant_id, one.completed) for one in await totals.read("jobs")]
    globex = [(one.type, one.completed) for one in await totals.read("jobs", tenant_id="globex")]

    assert every == [("a", "globex", 3), ("b", None, 2), ("b", "globex", 1), ("mail", "acme", 4)]
    assert globex == [("a", 3), ("b", 1)]
    assert await totals.read("nothing") == []
    assert await totals.read("jobs", tenant_id="nobody") == []


async def test_last_error_is_the_latest_whoever_adds_first(totals: Totals) -> None:
    await totals.add([done()])
    assert (await totals.read("jobs"))[0].last_error is None

    await totals.add([failed(5)])
    await totals.add([failed(3), done()])
    (found,) = await totals.read("jobs")
    assert found.last_error == LastError(message="E5", job_id="j5", at=at(5))

    await totals.add([failed(8), failed(6)])
    (found,) = await totals.read("jobs")
    assert (found.last_error, found.failed) == (
        LastError(message="E8", job_id="j8", at=at(8)), 4,
    )  # fmt: skip


async def test_many_at_once_are_all_counted(totals: Totals) -> None:
    names = [f"t{number}" for number in range(700)]  # more than one statement takes

    await asyncio.gather(
        *(totals.add([done(1, "mail", tenant_id) for tenant_id in names]) for _ in range(4))
    )

    found = await totals.read("jobs")
    assert len(found) == 700
    assert {one.completed for one in found} == {4}
    assert {tuple(one.runs.items()) for one in found} == {((7, 4),)}


async def test_nothing_is_added_by_nothing(totals: Totals) -> None:
    await totals.add([])

    assert await totals.read("jobs") == []
