"""The pages of workers: who is alive and what runs there, and what a worker can be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, Site, said, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App
from toril.engine.contract.workers import WorkerRecord
from toril.engine.info import WorkerInfo
from toril.engine.search.grammar import MAX_CHARS, parse
from toril.rest.answers import WorkerFacts
from toril.web.dashboard.fleet import ORDER, by_need, newest_version, query_for, versions

HOSTILE = "<script>alert(1)</script>\u202egro.live\x1b[31m" + "w" * 300


@pytest.fixture
def ends() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def app(app: App, ends: asyncio.Event) -> App:
    @app.task(queue="mail")
    async def send(to: str) -> None:
        await ends.wait()

    return app


@pytest.fixture
async def worker(app: App, ends: asyncio.Event) -> AsyncIterator[WorkerInfo]:
    """A worker that runs one job of four that it could."""
    async with app.worker(concurrency=4):
        await app.find_task("send").enqueue(to="jo")
        await wait_until(lambda: is_running(app), what="the job to run")
        (one,) = await app.workers()
        yield one
        ends.set()


async def is_running(app: App) -> bool:
    return any(one.running for one in await app.workers())


async def told(app: App) -> WorkerInfo:
    (one,) = await app.workers()
    return one


async def test_list_shows_each_worker_and_what_it_runs(pages: Site, worker: WorkerInfo) -> None:
    found = await pages.read("/workers")

    (row,) = found.all("tr", id=f"w-{worker.id}")
    assert row
    assert found.all("a", href=f"/workers/{worker.id}")
    assert f"{worker.host} · pid {worker.pid}" in found.text
    assert "1 / 4" in found.text
    assert found.all("a", href="/queues/mail/jobs/1")
    assert "all alike" in found.text
    assert worker.version in found.text
    for word in ("Pause", "Stop …"):
        assert word in found.text
    assert "No worker is like that" in (await pages.read("/workers?q=elsewhere")).text
    assert "No worker is like that" in (await pages.read("/workers?state=silent")).text
    assert f"w-{worker.id}" in (await pages.get(f"/workers?state=working&q={worker.id}")).text


async def test_page_of_a_worker_shows_its_jobs_and_tasks(pages: Site, worker: WorkerInfo) -> None:
    found = await pages.read(f"/workers/{worker.id}")

    assert "Slots busy 1 of 4" in found.text
    assert found.all("tr", id="r-mail-1")
    assert "Lease left" in found.text
    assert found.all("form", action="/act/cancel_job")
    assert "Queues that it serves" in found.text
    assert "mail send" in found.text
    gone = await pages.get("/workers/nobody")
    assert gone.status_code == 404
    assert said(gone.text).startswith("no worker 'nobody' is alive")


async def test_worker_is_paused_resumed_resized_and_stopped(
    app: App, pages: Site, worker: WorkerInfo, ends: asyncio.Event
) -> None:
    async def tell(wish: str, **more: Any) -> str:
        page = await pages.act(
            "tell_worker", worker_id=worker.id, wish=wish, said=f"worker_{wish}", **more
        )
        return page.text

    assert f"Worker {worker.id} takes no jobs until it is resumed." in await tell("pause")

    async def is_paused() -> bool:
        return (await told(app)).paused

    await wait_until(is_paused, what="the pause")
    assert "Resume" in (await pages.read(f"/workers/{worker.id}")).text
    assert f"Worker {worker.id} takes jobs again." in await tell("resume")
    assert "gets another number of slots" in await tell("resize", concurrency="9")

    async def is_resized() -> bool:
        one = await told(app)
        return one.concurrency == 9 and not one.paused

    await wait_until(is_resized, what="the new size")
    assert "a resize needs how many jobs at once" in await tell("resize")
    assert "takes no more jobs" in await tell("quiet")

    async def is_quiet() -> bool:
        return (await told(app)).quiet

    await wait_until(is_quiet, what="the quiet")
    found = await pages.read(f"/workers/{worker.id}")
    assert "Pause" not in found.text
    assert found.all("input", name="wish", value="stop")
    assert "leaves once its jobs have ended" in await tell("stop")
    ends.set()

    async def is_gone() -> bool:
        return not await app.workers()

    await wait_until(is_gone, what="the worker to leave")
    assert "No worker is alive" in (await pages.read("/workers")).text


async def test_job_that_runs_is_cancelled(app: App, pages: Site, worker: WorkerInfo) -> None:
    found = await pages.act("cancel_job", queue="mail", job_id="1", reason="too slow")

    assert "Job 1 is cancelled" in found.text

    async def has_ended() -> bool:
        return str((await app.queue("mail").job("1").info()).state) == "failed"

    await wait_until(has_ended, what="the job to end")


async def test_worker_is_given_up(app: App, pages: Site, worker: WorkerInfo) -> None:
    found = await pages.act("declare_dead", worker_id=worker.id)

    assert f"Worker {worker.id} is given up; its jobs are back in line." in found.text


async def test_roles_see_workers_and_only_operators_tell_them(app: App, worker: WorkerInfo) -> None:
    access = await guarded(app)
    await access.users.add("part", "part has a password", role="operator", queues=["other"])
    async with site(app, access=access) as pages:
        for who, may in (("viewer", False), ("submitter", False), ("operator", True)):
            await enter(pages, who)
            found = await pages.read(f"/workers/{worker.id}")
            assert bool(found.all("form", action="/act/tell_worker")) == may, who
            assert bool(found.all("form", action="/act/cancel_job")) == may, who
            page = await pages.act("tell_worker", worker_id=worker.id, wish="pause")
            assert ("may not" in page.text) != may, page.text
        await enter(pages, "part")
        assert "No worker is alive" in (await pages.read("/workers")).text
        assert (await pages.get(f"/workers/{worker.id}")).status_code == 404


async def test_worker_of_other_queues_too_is_shown_without_its_figures(
    app: App, ends: asyncio.Event
) -> None:
    @app.task(queue="other")
    async def hidden() -> None:
        await ends.wait()

    access = await guarded(app)
    await access.users.add("part", "part has a password", role="operator", queues=["mail"])
    async with app.worker(concurrency=4), site(app, access=access) as pages:
        (one,) = await app.workers()
        await enter(pages, "part")
        for path in ("/workers", f"/workers/{one.id}"):
            found = await pages.read(path)
            assert "other" not in [
                part for a in found.all("a") for part in (a["href"] or "").split("/")
            ]
            assert not found.all("form", action="/act/tell_worker")
        assert "not known to you" in found.text
        ends.set()


async def test_names_of_strangers_are_text(app: App, pages: Site) -> None:
    record = WorkerRecord(
        id=HOSTILE, host=HOSTILE, pid=1, queues=["a/b <em>"], concurrency=0, running=0,
        started_ms=app.backend().clock.now_ms(), beat_age_ms=0, quiet=False, resident_bytes=0,
        version=HOSTILE, tasks={"a/b <em>": ["<em>"]},
    )  # fmt: skip
    await app.backend().workers.register(record)
    await app.backend().workers.register(
        msgspec.structs.replace(record, id="newer", version="99.0", queues=["mail"])
    )

    for path in ("/workers", f"/workers/{quote(HOSTILE, safe='')}"):
        answer = await pages.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<em>" not in answer.text
        assert "\x1b" not in Reader(answer.text).text
        assert "&lt;script&gt;alert(1)" in answer.text
    found = await pages.read("/workers")
    assert "Workers run different versions: 99.0 × 1" in found.text
    assert "older than other workers:" in (await pages.get("/workers")).text
    assert "newest 99.0" in (await pages.read(path)).text


def facts(**given: Any) -> WorkerFacts:
    now = datetime.now(UTC)
    base: dict[str, Any] = {
        "id": "w", "host": "h", "pid": 1, "state": "working", "queues": ["mail"], "concurrency": 1,
        "running": 0, "started_at": now, "beat_age_s": 0.1, "quiet": False, "paused": False,
        "resident_bytes": 1, "version": "1.0.0", "tasks": None,
    }  # fmt: skip
    return WorkerFacts(**{**base, **given})


def test_workers_that_need_somebody_come_first() -> None:
    now = datetime.now(UTC)
    some = [facts(id=state, state=state) for state in reversed(ORDER)]
    older = facts(id="older", started_at=now - timedelta(hours=1))

    found = [one.id for one in by_need([*some, older])]

    assert found == ["silent", "paused", "quiet", "older", "working"]


def test_versions_are_ordered_as_numbers() -> None:
    some = ["1.9.2", "1.10.0", "1.10.0rc1", "", "x", "1.10.0"]
    found = versions(facts(version=text) for text in some)

    assert list(found) == ["1.10.0", "1.10.0rc1", "1.9.2", "x", ""]
    assert found["1.10.0"] == 2
    assert newest_version([facts(version=text) for text in some]) == "1.10.0"
    assert newest_version([]) is None


def test_search_names_as_many_queues_as_it_can() -> None:
    assert query_for([]) is None
    assert query_for(["a b", 'x"y']) == str(parse('state:active queue:"a b","x\\"y"'))
    long = query_for([f"queue-{number:04d}" for number in range(400)])
    assert long is not None
    assert len(long) <= MAX_CHARS
    assert "queue-0000" in long
    assert query_for(["q" * 3000]) is None
