"""Each switch is told: by a hook, a log line, a counter, and whoever asks which store is live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fallback.support import away, back
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until
from tests.web.support import serve

from toril import App, Fallback, HookEvent, InvalidOptionError, Settings, State, Switch
from toril.backends import open_backend
from toril.client import AsyncClient
from toril.core.errors import InvalidSettingError
from toril.fallback.breaker import Breaker
from toril.fallback.keeper import Keeper
from toril.fallback.lock import MoveLock
from toril.fallback.spool import Spool


async def test_each_switch_is_told_once(
    make_app: Callable[..., App], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    app = make_app(work=False)
    told: list[HookEvent] = []
    app.on("switched")(told.append)
    await app.queue("mail").add("send", {})
    before = await app.store_state()
    assert (before.live, before.type, before.to_move) == ("redis", "bull", 0)
    server.kill()
    await away(app)
    await asyncio.gather(*(app.queue(f"q{n}").add("send", {}) for n in range(3)))
    during = await app.store_state()
    assert (during.live, during.type, during.to_move) == ("spool", "in-memory", 3)
    assert during.since is not None
    assert before.since is not None
    assert during.since > before.since
    assert during.reason
    server.restart()
    await back(app)
    after = await app.store_state()

    assert after.switches == {("redis", "spool"): 1, ("spool", "redis"): 1}
    assert [(one.source, one.target) for one in after.latest] == [
        ("redis", "spool"),
        ("spool", "redis"),
    ]
    await wait_until(lambda: len(told) == 2, what="the hooks")
    assert [(one.source, one.target) for one in told] == [("redis", "spool"), ("spool", "redis")]
    lines = [
        (one.levelname, one.getMessage()) for one in caplog.records if one.name == "toril.fallback"
    ]
    away_lines = [
        line for line in lines if "Redis unavailable, using in-memory fallback" in line[1]
    ]
    assert [level for level, _ in away_lines] == ["WARNING"], "one outage, whatever the queues"
    assert lines.count(("INFO", "Using Bull queue with Redis")) == 2, "at the start, and again"


async def test_process_without_jobs_notices_too(app: App, server: RedisServer) -> None:
    await app.store_state()
    server.pause()
    await away(app)
    server.resume()
    await back(app)


async def test_start_without_redis(
    make_app: Callable[..., App], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    app = make_app()

    @app.task(queue="mail")
    async def double(n: int) -> int:
        return 2 * n

    async with app.worker() as worker:
        await away(app)
        assert await (await double.enqueue(n=4)).result(timeout_s=30) == 8
        assert any("Redis unavailable, using in-memory fallback" in one for one in caplog.messages)
        server.restart()
        await back(app)
        assert await (await double.enqueue(n=5)).result(timeout_s=30) == 10

        async def known() -> bool:
            return worker.id in [one.id for one in await app.workers()]

        await wait_until(known, deadline_s=30, what="the worker on Redis' register")


async def test_worker_pauses_and_stops_with_its_spool(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()
    ran: list[int] = []
    go_on = asyncio.Event()

    @app.task(queue="mail")
    async def send(n: int) -> None:
        ran.append(n)
        if n == 2:
            await go_on.wait()

    await app.queue("other").add("x", {})
    async with app.worker(queues=["mail"]) as worker:
        server.kill()
        await away(app)
        worker.pause()
        job = await send.enqueue(n=1)
        assert (await job.info()).state is State.WAIT
        worker.resume()
        await wait_until(lambda: ran == [1], deadline_s=30)
        await send.enqueue(n=2)
        await wait_until(lambda: ran == [1, 2], deadline_s=30)
        worker.stop(20.0)
        go_on.set()
    assert ran == [1, 2]


async def test_out_of_memory_leaves_redis_readable(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    job = await queue.add("send", {})
    server.command("CONFIG", "SET", "maxmemory", "1")
    spooled = await queue.add("send", {})
    await away(app)

    assert (await job.info()).id == job.id, "Redis can be read"
    assert spooled.id.startswith("f-")
    info = await queue.info()
    assert info is not None
    assert info.waiting == 1, "Redis' own figures"
    server.command("CONFIG", "SET", "maxmemory", "0")
    await back(app)
    assert (await spooled.info()).id == spooled.id


async def test_returns_that_do_not_last_are_made_later() -> None:
    breaker = Breaker("spool")
    spool = Spool(open_backend("sqlite://:memory:"))
    options = Fallback("sqlite://:memory:", steady_s=2.0)
    repeats: Any = None
    keeper = Keeper(repeats, spool, breaker, options, lock=MoveLock(None), max_stalled=1)
    waits = []
    for _ in range(8):
        breaker.trip("silence")
        keeper._begin_outage()
        waits.append(keeper._steady_s)
        breaker.restore()
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    breaker.returned_s -= 61.0
    keeper._begin_outage()
    assert keeper._steady_s == 2.0
    await spool.backend.lifecycle.close()


def test_second_trip_is_no_switch() -> None:
    breaker = Breaker("spool")
    told: list[Switch] = []
    breaker.tell = told.append
    breaker.trip("first", reachable=True)
    assert breaker.reachable
    breaker.trip("second", reachable=False)
    assert not breaker.reachable, "what cannot be read cannot be read"
    breaker.restore()
    breaker.restore()
    assert [one.target for one in told] == ["spool", "redis"]
    assert breaker.reason is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "redis://elsewhere"}, "must not need one"),
        ({"url": ""}, "expected a URL"),
        ({"url": "spool.db", "silence_s": 0.01}, "silence_s=0.01"),
        ({"url": "spool.db", "steady_s": 0}, "steady_s=0"),
        ({"url": "spool.db", "concurrency": 0}, "concurrency=0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Fallback(**options)  # type: ignore[arg-type]


def test_file_takes_no_fallback_store(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="a file, which is never away"):
        App(f"sqlite:///{tmp_path}/jobs.db", fallback="sqlite:///spool.db")
    with pytest.raises(InvalidOptionError, match="fallback=7"):
        App("redis://localhost", fallback=7)  # type: ignore[arg-type]


async def test_setting_is_for_apps_on_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALLBACK_URL", "sqlite::memory:")
    assert App("redis://localhost")._fallback == Fallback("sqlite://:memory:")
    monkeypatch.setenv("TORIL_FALLBACK_URL", f"sqlite:///{tmp_path}/spool.db")
    assert App("redis://localhost").has_fallback
    async with App(f"sqlite:///{tmp_path}/jobs.db") as app:
        assert not app.has_fallback
        state = await app.store_state()
        assert (state.live, state.type) == ("sqlite", "in-memory")
    monkeypatch.setenv("TORIL_FALLBACK_URL", "redis://elsewhere")
    with pytest.raises(InvalidOptionError, match="expected a file"):
        App("redis://localhost")
    with pytest.raises(InvalidSettingError):
        Settings.load({}, in_place_of_file={"fallback_url": ("toril.toml: fallback_url", 7)})


async def test_spool_in_memory(server: RedisServer) -> None:
    quick = Fallback("sqlite://:memory:", silence_s=1.0, steady_s=0.3, work=False)
    async with App(server.url, fallback=quick) as app:
        queue = app.queue("mail")
        await queue.add("send", {})
        server.kill()
        await away(app)
        job = await queue.add("send", {})
        server.restart()
        await back(app)
        assert server.command("LRANGE", "bull:mail:wait", 0, -1) == [job.id, "1"]


async def test_plain_code_gets_the_same_handles(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail")
    def double(n: int) -> int:
        return 2 * n

    def plain() -> int:
        double.enqueue_sync(n=1)
        server.kill()
        app.run_sync(away(app))
        return double.enqueue_sync(n=5).result_sync(timeout_s=30)

    assert await asyncio.to_thread(plain) == 10


async def test_metrics_and_health_while_redis_is_away(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app(work=False)
    await app.queue("mail").add("send", {})
    async with serve(app) as served, AsyncClient(served.url) as client:
        assert (await client.get_health()).store == "redis"
        server.kill()
        await away(app)
        await app.queue("mail").add("send", {})
        health = await client.get_health()
        assert (health.store, health.to_move) == ("spool", 1)
        assert health.since is not None
        assert (await client.get_readiness()).status == "ok", "jobs can be added"
    text = await app.prometheus()
    assert 'toril_store_live{store="redis"} 0.0' in text
    assert 'toril_store_live{store="spool"} 1.0' in text
    assert 'toril_store_switches_total{from="redis",to="spool"} 1.0' in text
    assert "toril_spool_jobs 1.0" in text


async def test_process_that_cannot_work_the_spool_says_so_and_goes_on(
    make_app: Callable[..., App], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs wait then, and move."""
    app = make_app()

    def refuse() -> None:
        raise InvalidOptionError("queues=[]: expected at least one")

    app.backend()
    assert app._joined is not None
    app._joined.keeper.make_work = refuse
    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    job = await app.queue("other").add("x", {})
    await wait_until(lambda: "this process cannot work the spool" in caplog.text, deadline_s=30)
    server.restart()
    await back(app)
    assert (await job.info()).state is State.WAIT
    assert caplog.text.count("this process cannot work the spool") == 1


async def test_fault_of_the_watch_is_survived(
    app: App, server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app.backend()
    assert app._joined is not None
    keeper = app._joined.keeper
    failed: list[bool] = []
    keep_open = keeper._keep_open

    async def fail_once() -> None:
        if not failed:
            failed.append(True)
            raise ZeroDivisionError
        await keep_open()

    monkeypatch.setattr(keeper, "_keep_open", fail_once)
    await app.queue("mail").add("x", {})
    server.kill()
    await away(app)
    await wait_until(lambda: failed, deadline_s=30)
    server.restart()
    await back(app)
    assert "beginning anew" in caplog.text


async def test_server_that_could_be_read_goes_away_altogether(
    app: App, server: RedisServer
) -> None:
    queue = app.queue("mail")
    job = await queue.add("send", {})
    server.command("CONFIG", "SET", "maxmemory", "1")
    await queue.add("send", {})
    await away(app)
    assert (await job.info()).id == job.id
    server.kill()

    async def refused() -> bool:
        assert app._joined is not None
        return app._joined.cut_off

    await wait_until(refused, deadline_s=30)
    server.restart()
    await back(app)
