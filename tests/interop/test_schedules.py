"""BullMQ's job schedulers and our schedules: each lists, edits, works and removes the other's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.interop.watching import PATIENCE_S
from tests.support.node import Node
from tests.support.redis_server import RedisServer
from tests.support.redis_servers import SOFTWARE, Software
from tests.support.waiting import wait_until

from toril import App, State
from toril.core.clock import epoch_ms

pytestmark = pytest.mark.timeout(600)  # the first one installs

Q = "paint"
HOUR_MS = 3_600_000


@pytest.fixture(params=SOFTWARE)
def software(request: pytest.FixtureRequest) -> Software:
    """BullMQ takes a Valkey for the Redis that it says it is compatible with."""
    said: Software = request.param
    return said


async def soon(check: Callable[[], Any], what: str = "it") -> None:
    await wait_until(check, deadline_s=PATIENCE_S, what=what)


async def test_node_lists_our_schedules(app: App, node: Node) -> None:
    end = datetime(2099, 1, 1, tzinfo=UTC)
    await app.schedules.put(
        "daily", app.queue(Q), {"n": 1}, name="cars", cron="0 6 * * *", timezone="Europe/Berlin",
        end=end, limit=9,
    )  # fmt: skip
    await app.schedules.put("hourly", app.queue(Q), name="vans", every=3600.0)

    hourly, daily = sorted(
        await node.call(Q, "getJobSchedulers"), key=lambda one: str(one["key"]), reverse=True
    )

    assert (daily["key"], daily["name"], daily["pattern"], daily["tz"]) == (
        "daily", "cars", "0 6 * * *", "Europe/Berlin",
    )  # fmt: skip
    assert (daily["limit"], daily["endDate"]) == (9, epoch_ms(end))
    assert daily["template"]["data"] == {"n": 1}
    assert (hourly["every"], hourly["iterationCount"]) == (HOUR_MS, 1)
    mine = {one.id: one for one in await app.schedules.list(Q)}
    for theirs in (hourly, daily):
        next_at = mine[theirs["key"]].next_at
        assert next_at is not None
        assert theirs["next"] == epoch_ms(next_at)
        job = await node.job(Q, f"repeat:{theirs['key']}:{theirs['next']}")
        assert (job["repeatJobKey"], job["opts"]["repeat"]["count"]) == (theirs["key"], 1)


async def test_we_list_and_run_what_node_has_made(app: App, node: Node) -> None:
    ran: list[int] = []

    @app.task(queue=Q, name="cars")
    async def cars(n: int) -> None:
        ran.append(n)

    template = {"name": "cars", "data": {"n": 7}, "opts": {"priority": 3}}
    await node.upsert_scheduler(Q, "tick", {"every": 100, "limit": 5}, template)

    (found,) = await app.schedules.list(Q)
    assert (found.id, found.every_s, found.limit, found.data) == ("tick", 0.1, 5, {"n": 7})
    assert found.options == {"priority": 3}
    async with app.worker():
        await soon(lambda: len(ran) == 5)

        async def ended() -> bool:
            return (await app.schedules.list(Q))[0].ended

        await soon(ended)
    assert ran == [7] * 5
    completed = (await app.queue(Q).jobs(State.COMPLETED)).jobs
    assert len(completed) == 5
    assert {job.options["repeat"]["count"] for job in completed} == {1, 2, 3, 4, 5}
    (seen,) = await node.call(Q, "getJobSchedulers")
    assert seen["iterationCount"] == 5


async def test_node_works_what_we_have_made(app: App, node: Node) -> None:
    worker = await node.worker(Q, {"returns": 1})

    await app.schedules.put("tick", app.queue(Q), {"n": 1}, name="cars", every=0.1, limit=4)

    await worker.wait_for("completed", many=4, deadline_s=PATIENCE_S)
    found = await app.schedules.get("tick", queue=Q)
    assert found is not None
    assert (found.made, found.ended) == (4, True)


async def test_both_work_schedules_and_each_slot_once(app: App, node: Node) -> None:
    ours: list[str] = []

    @app.task(queue=Q, name="cars")
    async def cars() -> None:
        await asyncio.sleep(0.03)  # so that neither can work all of them alone
        ours.append("x")

    events = await node.queue_events(Q)
    theirs = await node.worker(Q, {"returns": 1, "sleepMs": 30})
    many, limit = 8, 10
    for number in range(many):
        await app.schedules.put(f"s{number}", app.queue(Q), name="cars", every=0.15, limit=limit)
    async with app.worker(concurrency=1):

        async def ended() -> bool:
            return all(one.ended for one in await app.schedules.list(Q))

        await soon(ended, "all schedules to end")

        async def done() -> bool:
            info = await app.queue(Q).info()
            return info is not None and info.completed == many * limit

        await soon(done, "all jobs to be done")

    completed = [one["jobId"] for one in await events.wait_for("completed", many=many * limit)]
    assert len(completed) == len(set(completed)) == many * limit
    assert ours, "ours took some"
    assert theirs.named("completed"), "theirs took some"


async def test_node_edits_and_removes_ours(app: App, node: Node) -> None:
    await app.schedules.put(
        "tick", app.queue(Q), {"n": 1}, name="cars", every=3600.0, missed="all", jitter=5.0
    )

    await node.upsert_scheduler(Q, "tick", {"pattern": "0 6 * * *", "tz": "UTC"}, {"name": "vans"})

    found = await app.schedules.get("tick", queue=Q)
    assert found is not None
    assert (found.name, found.cron, found.every_s, found.data) == ("vans", "0 6 * * *", None, {})
    assert (found.missed, found.jitter_s) == ("all", 5.0)  # what it cannot say stays
    assert len((await app.queue(Q).jobs(State.DELAYED)).jobs) == 1

    assert await node.call(Q, "removeJobScheduler", "tick") is True
    assert await app.schedules.list(Q) == []
    assert (await app.queue(Q).jobs(State.DELAYED)).jobs == []


async def test_we_edit_and_remove_theirs(app: App, node: Node) -> None:
    await node.upsert_scheduler(Q, "tick", {"every": HOUR_MS}, {"name": "cars", "data": {"n": 1}})

    await app.schedules.put("tick", app.queue(Q), {"n": 2}, name="cars", cron="*/5 * * * *")

    seen = await node.call(Q, "getJobScheduler", "tick")
    assert (seen["pattern"], seen["tz"], seen["template"]["data"]) == (
        "*/5 * * * *",
        "UTC",
        {"n": 2},
    )
    assert "every" not in seen
    assert (await node.counts(Q, "delayed", "wait")) == {"delayed": 1, "wait": 0}
    assert await app.schedules.remove("tick", queue=Q)
    assert await node.call(Q, "getJobSchedulers") == []
    assert (await node.counts(Q, "delayed")) == {"delayed": 0}


async def test_paused_schedule_makes_nothing_until_node_gives_it_a_job(
    app: App, node: Node
) -> None:
    await app.schedules.put("tick", app.queue(Q), name="cars", every=3600.0)
    await app.schedules.pause("tick", queue=Q)
    assert (await node.counts(Q, "delayed", "wait")) == {"delayed": 0, "wait": 0}

    await node.upsert_scheduler(Q, "tick", {"every": 100}, {"name": "cars"})

    found = await app.schedules.get("tick", queue=Q)
    assert found is not None
    assert not found.paused
    ran: list[str] = []

    @app.task(queue=Q, name="cars")
    async def cars() -> None:
        ran.append("x")

    async with app.worker():
        await soon(lambda: len(ran) >= 3)
    after = await app.backend().schedules.read(Q, ["tick"])
    assert after.schedules[0] is not None
    assert not after.schedules[0].beside.paused


async def test_both_find_the_same_moments(app: App, node: Node) -> None:
    """Where no clock changes; both are asked for the slot after now."""
    expressions = {
        "weekdays": "30 9 * * 1-5", "last": "0 0 L * *", "named": "15 3 1 JAN,JUL *",
        "nth": "0 12 * * 1#2", "step": "*/7 * * * *", "seconds": "*/20 * * * * *",
    }  # fmt: skip
    for schedule_id, cron in expressions.items():
        await app.schedules.put(
            schedule_id, app.queue(Q), name="x", cron=cron, timezone="Asia/Tokyo"
        )
    ours = {one.id: one.next_at for one in await app.schedules.list(Q)}
    for schedule_id, cron in expressions.items():
        template = {"name": "x"}
        repeat = {"pattern": cron, "tz": "Asia/Tokyo"}
        await node.upsert_scheduler("theirs", schedule_id, repeat, template)
    theirs = {one.id: one.next_at for one in await app.schedules.list("theirs")}

    for schedule_id in expressions:
        mine, their = ours[schedule_id], theirs[schedule_id]
        assert mine is not None
        assert their is not None
        slack = timedelta(minutes=8) if schedule_id in ("step", "seconds") else timedelta()
        assert abs(their - mine) <= slack, schedule_id


async def test_schedule_of_node_need_not_say_its_zone(app: App, node: Node) -> None:
    await node.upsert_scheduler(Q, "tick", {"pattern": "0 6 * * *"}, {"name": "cars"})

    (found,) = await app.schedules.list(Q)

    assert (found.cron, found.timezone, found.problem) == ("0 6 * * *", None, None)


async def test_schedule_that_somebody_wrote_by_hand_is_told(
    app: App, redis_server: RedisServer, redis_prefix: str
) -> None:
    base = f"{redis_prefix}:{Q}"
    redis_server.command("HSET", f"{base}:meta", "version", "by hand")
    for schedule_id, field, value in (
        ("a", "pattern", "61 * * * *"), ("b", "every", "-5"), ("c", "every", "soon"),
        ("d", "tz", "Mars"),
    ):  # fmt: skip
        redis_server.command("ZADD", f"{base}:repeat", 1, schedule_id)
        redis_server.command(
            "HSET", f"{base}:repeat:{schedule_id}", "name", "x", "ic", "nonsense", field, value
        )

    problems = {one.id: one.problem for one in await app.schedules.list(Q)}

    assert problems["a"] == "cron='61 * * * *': minutes are 0 to 59"
    assert all(problems[one] for one in "bcd")
    async with app.worker(queues=[Q]):
        pass  # it looked at them, and did not end
