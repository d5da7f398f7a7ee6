"""The SaaS API while its Redis server is away, restarted, or full."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.examples.saas_api.conftest import Start
from tests.support.http_server import Answer, serving
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
NOTE = {"title": "T", "body": "B"}
BODY = {"type": "USER_NOTIFICATION", "data": NOTE, "options": {"removeOnComplete": False}}


def patience() -> float:
    """How much longer things may take here: more than one process a core wants to run."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which loses nothing when it is restarted."""
    (tmp_path / "redis").mkdir()
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer.start(tmp_path / "redis", options=options) as started:
        yield started


@pytest.fixture
def store(server: RedisServer) -> str:
    return server.url


async def test_submit_while_the_server_is_away_is_told_soon(
    start: Start, server: RedisServer
) -> None:
    system = await start(workers=0)
    await system.ask("POST", "/api/queue/jobs", BODY)
    server.kill()

    began_s = time.monotonic()
    away = await system.ask("POST", "/api/queue/jobs", BODY)
    took_s = time.monotonic() - began_s
    server.restart()

    async def is_back() -> bool:
        return (await system.ask("POST", "/api/queue/jobs", BODY)).status_code == 201

    assert (away.status_code, away.json()["error"]["code"]) == (503, "store_away")
    assert away.headers["retry-after"] == "1"
    assert took_s < 4  # 2 s by the server's clock; the machine may be busy
    until_s = time.monotonic() + 30
    while not await is_back():
        assert time.monotonic() < until_s
        await asyncio.sleep(0.2)


async def test_every_job_that_was_taken_is_done_once_across_a_restart(
    start: Start, server: RedisServer
) -> None:
    system = await start(workers=2, QUEUE_REMOVE_ON_COMPLETE="100000")
    taken: list[str] = []
    refused = 0

    async def client(turns: range) -> None:
        nonlocal refused
        for turn in turns:
            body = {**BODY, "options": {"removeOnComplete": False, "jobId": f"n{turn}x"}}
            while True:
                answer = await system.ask("POST", "/api/queue/jobs", body)
                if answer.status_code in (200, 201):
                    taken.append(answer.json()["jobId"])
                    break
                assert answer.status_code == 503, answer.text
                refused += 1
                await asyncio.sleep(0.2)

    back_s = 0.0

    async def restart() -> None:
        nonlocal back_s
        while len(taken) < 300:
            await asyncio.sleep(0.01)
        server.kill()
        await wait_until(lambda: refused > 0, what="a request to be refused")
        server.restart()
        began_s, before = time.monotonic(), (len(taken), await ran())
        while True:
            is_taken = len(taken) > before[0] and (await ran()) > before[1]
            if is_taken:
                break
            assert time.monotonic() - began_s < 60
            await asyncio.sleep(0.02)
        back_s = time.monotonic() - began_s

    async def ran() -> int:
        """Count jobs that are done; 0 while nobody says."""
        answer = await system.ask("GET", "/api/queue/stats")
        return int(answer.json()["completed"]) if answer.status_code == 200 else 0

    ways = [client(range(each, 1000, 8)) for each in range(8)]
    await asyncio.gather(restart(), *ways)

    async def count() -> int:
        return int((await system.stats())["completed"])

    until_s = time.monotonic() + 120
    while await count() < 1000:
        assert time.monotonic() < until_s, await system.stats()
        await asyncio.sleep(0.2)
    assert len(set(taken)) == 1000
    assert 0 < back_s < 10 * patience()  # jobs are taken and done again
    stats = await system.stats()
    assert (stats["completed"], stats["failed"], stats["waiting"]) == (1000, 0, 0)
    from toril.services.notices.sql import SqlNotices

    notices = SqlNotices(f"sqlite:///{system.folder}/data/records.db")
    found, after = 0, None
    while page := await notices.of_user("jo", tenant_id="acme", after=after, limit=500):
        found, after = found + len(page), page[-1].id
    await notices.close()
    assert found == 1000
    assert all(process.poll() is None for process in system.processes)


async def test_server_that_is_paused_is_away_and_comes_back_with_all_jobs(
    start: Start, server: RedisServer
) -> None:
    """It takes connections and says nothing: SIGSTOP. Jobs run and are added before and after."""
    system = await start(workers=2, QUEUE_REMOVE_ON_COMPLETE="1000")
    async with serving(lambda _: Answer(body=b"v", delay_s=1.0)) as slow:
        data = {"cacheKey": "cache:a", "dataSource": slow.url("/")}
        running = [
            await system.submit("CACHE_WARM", data, removeOnComplete=False) for _ in range(4)
        ]
        await wait_until(lambda: len(slow.requests) >= 2, what="jobs to run")
        server.pause()
        began_s = time.monotonic()
        away = await system.ask("POST", "/api/queue/jobs", BODY)
        took_s = time.monotonic() - began_s
        reading = await system.ask("GET", "/api/queue/stats")
        server.resume()

        async def is_back() -> bool:
            return (await system.ask("POST", "/api/queue/jobs", BODY)).status_code == 201

        await wait_until(is_back, what="the API to be back", deadline_s=60)
        jobs = [await system.ended(job_id) for job_id in running]

    assert (away.status_code, reading.status_code) == (503, 503)
    assert away.json()["error"]["code"] == "store_away"
    assert took_s < 4
    assert [job["state"] for job in jobs] == ["completed"] * 4

    async def are_done() -> bool:
        stats = await system.stats()
        return bool(stats["waiting"] + stats["active"] == 0)

    await wait_until(are_done, what="all that was taken to be done", deadline_s=120)
    assert (await system.stats())["failed"] == 0
    assert all(process.poll() is None for process in system.processes)


async def test_server_without_room_refuses_and_loses_nothing(
    start: Start, server: RedisServer
) -> None:
    system = await start(workers=0)
    first = await system.submit("USER_NOTIFICATION", NOTE)
    used = int(
        next(
            line.partition(":")[2]
            for line in str(server.command("INFO", "memory")).replace("\\r\\n", "\n").splitlines()
            if line.startswith("used_memory:")
        )
    )
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.command("CONFIG", "SET", "maxmemory", str(used - 100_000))

    full = await system.ask("POST", "/api/queue/jobs", BODY)
    still = await system.job(first)
    server.command("CONFIG", "SET", "maxmemory", "0")
    again = await system.ask("POST", "/api/queue/jobs", BODY)

    assert full.status_code == 503
    assert still["state"] == "waiting"
    assert again.status_code == 201
