"""Totals of jobs by type and tenant, on both stores, in a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import wait_until

from toril import App, RetryPolicy
from toril.engine.hooks import HookEvent
from toril.library.job_totals import MAX_ERROR_CHARS, JobTotals, took
from toril.services.totals.memory import MemoryTotals
from toril.services.totals.port import JobTotal
from toril.services.totals.sql import SqlTotals


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    async with App(url) as made:

        @made.task(name="mail", queue="jobs", retry=RetryPolicy(max_attempts=2, base_s=0.0))
        async def mail(data: dict[str, Any]) -> None:
            if data.get("bad"):
                raise ValueError(f"no mail to {data['bad']}")

        yield made


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[SqlTotals]:
    made = SqlTotals(f"sqlite:///{tmp_path}/rows.db")
    yield made
    await made.close()


def payload(tenant_id: object = None, **data: Any) -> dict[str, Any]:
    return {"data": data, "tenantId": tenant_id}


async def counted(totals: JobTotals, many: int) -> list[JobTotal]:
    """Wait until so many attempts are counted, and return the totals."""
    found: list[JobTotal] = []

    async def are_there() -> bool:
        nonlocal found
        found = await totals.of_tenants("jobs")
        return sum(one.completed + one.failed + one.retried for one in found) == many

    await wait_until(are_there, what=f"{many} attempts to be counted")
    return found


async def test_attempts_are_counted_by_type_and_tenant(app: App, kept: SqlTotals) -> None:
    totals = JobTotals(kept)
    totals.watch(app)
    queue = app.queue("jobs")
    for tenant, bad in (("acme", None), ("acme", "jo"), ("globex", None), (None, None), (7, None)):
        await queue.add("mail", payload(tenant, bad=bad))

    async with app.worker():
        found = await counted(totals, 6)

    assert [(one.type, one.tenant_id, one.completed, one.failed, one.retried) for one in found] == [
        ("mail", None, 2, 0, 0),
        ("mail", "acme", 1, 1, 1),
        ("mail", "globex", 1, 0, 0),
    ]
    error = found[1].last_error
    assert error is not None
    assert "no mail to jo" in error.message
    assert error.job_id == "2"
    assert [one.last_error for one in (found[0], found[2])] == [None, None]
    spent = took(found[1])
    assert spent.count == 3
    assert spent.p50_s is not None
    assert spent.p95_s is not None
    assert 0 < spent.p50_s <= spent.p95_s
    (mail,) = totals.by_type(found)
    assert (mail.tenant_id, mail.completed, mail.failed, mail.retried) == (None, 4, 1, 1)
    assert mail.last_error == error
    assert [one.tenant_id for one in await totals.of_tenants("jobs", tenant_id="acme")] == ["acme"]


async def test_several_workers_count_together_and_nothing_twice(url: str, tmp_path: Path) -> None:
    many = 300
    apps = [App(url) for _ in range(3)]
    kept = [SqlTotals(f"sqlite:///{tmp_path}/rows.db") for _ in apps]
    for app, each in zip(apps, kept, strict=True):

        @app.task(name="note", queue="jobs")
        async def note() -> None: ...

        JobTotals(each).watch(app)
    async with apps[0], apps[1], apps[2]:
        await (
            apps[0]
            .queue("jobs")
            .add_many([("note", {"tenantId": f"t{number % 3}"}) for number in range(many)])
        )
        async with apps[0].worker(), apps[1].worker(), apps[2].worker():
            found = await counted(JobTotals(kept[0]), many)

    for each in kept:
        await each.close()
    assert [(one.tenant_id, one.completed) for one in found] == [
        ("t0", 100), ("t1", 100), ("t2", 100),
    ]  # fmt: skip


async def test_counts_wait_while_the_database_is_away(
    app: App, kept: SqlTotals, tmp_path: Path
) -> None:
    place = tmp_path / "rows.db"
    place.mkdir()  # no database can be there
    totals = JobTotals(kept)
    totals.watch(app)
    async with app.worker():
        first = await app.queue("jobs").add("mail", payload("acme"))
        await first.result(timeout_s=60)
        place.rmdir()
        await app.queue("jobs").add("mail", payload("acme"))
        (found,) = await counted(totals, 2)

    assert (found.tenant_id, found.completed) == ("acme", 2)


@pytest.mark.parametrize("data", ["no json", "[1]", '{"tenantId": ["a"]}', None, '{"tenantId":""}'])
async def test_payloads_without_a_tenant_count_for_none(data: str | None) -> None:
    totals = JobTotals(MemoryTotals())

    await totals.note(HookEvent(name="completed", queue="jobs", task="mail", data=data))

    (found,) = await totals.of_tenants("jobs")
    assert (found.tenant_id, found.completed) == (None, 1)


async def test_long_and_odd_texts_of_others_are_cut(kept: SqlTotals) -> None:
    totals = JobTotals(kept)
    odd = HookEvent(
        name="failed", queue="jobs", task="mail", job_id="1", reason="\0" + "x" * 5000,
        data='{"tenantId": "a\\u0000' + "b" * 500 + '"}', duration_s=0.5,
    )  # fmt: skip

    await asyncio.gather(*(totals.note(odd) for _ in range(5)))

    (found,) = await counted(totals, 5)
    assert found.tenant_id == "a�" + "b" * 198
    assert found.last_error is not None
    assert found.last_error.message == "�" + "x" * (MAX_ERROR_CHARS - 1)
    assert found.run_ms == 2500
    assert took(found).p50_s == pytest.approx(0.512, abs=0.05)
