"""A job's place where others have left the keys: BullMQ's pauses, parents, what version 5 left."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.contract import HandWorker, Q, add, add_one, job
from tests.support.redis_servers import RedisServer

from toril import App
from toril.backends import open_backend
from toril.engine.contract import Backend
from toril.engine.contract.counts import JobPlace
from toril.engine.states import State


class Store:
    """A store, and hands that do to its keys what others do."""

    def __init__(self, backend: Backend, server: RedisServer, prefix: str) -> None:
        self.backend = backend
        self.prefix = prefix
        self._server = server

    def do(self, verb: str, suffix: str, *words: str | int) -> Any:
        """Send a command about one key of the queue."""
        return self._server.command(verb, f"{self.prefix}:{Q}:{suffix}", *words)

    async def place(self, job_id: str, limit: int = 10) -> JobPlace:
        """Return the place of a job."""
        found = await self.backend.counts.place(Q, job_id, limit=limit)
        assert found is not None
        return found

    def pause_as_bullmq_does(self, at_ms: int) -> None:
        """Pause without a note of when. The events tell."""
        self.do("HSET", "meta", "paused", 1)
        self.do("XADD", "events", f"{at_ms}-1", "event", "paused")

    def resume_as_bullmq_does(self, at_ms: int) -> None:
        """Resume, and leave what is not BullMQ's."""
        self.do("HDEL", "meta", "paused")
        self.do("XADD", "events", f"{at_ms}-1", "event", "resumed")


@pytest.fixture
async def store(
    redis_server: RedisServer, redis_prefix: str, redis_url: str
) -> AsyncIterator[Store]:
    """A store on the common server."""
    backend = open_backend(redis_url)
    yield Store(backend, redis_server, redis_prefix)
    await backend.lifecycle.close()


LATER_MS = 4_000_000_000_000
"""After every event that the server dates by itself."""


async def test_job_in_no_line_has_no_place(store: Store) -> None:
    job_id = await add_one(store.backend)
    store.do("LREM", "wait", 0, job_id)

    assert await store.place(job_id) == JobPlace(state=State.WAIT)


async def test_job_behind_all_that_were_looked_at_is_not_taken_for_lost(store: Store) -> None:
    ids = await add(store.backend, *(job() for _ in range(20)))

    found = await store.place(ids[-1])

    assert (found.ahead, found.more) == (10, True)
    assert (await store.place(ids[-1], limit=19)).ahead == 19


async def test_line_that_version_5_has_set_aside_goes_first(store: Store) -> None:
    aside = await add(store.backend, job(), job())
    store.do("RENAMENX", "wait", f"{store.prefix}:{Q}:paused")
    waiting = await add(store.backend, job(), job(priority=3))

    places = [await store.place(job_id) for job_id in (*aside, *waiting)]

    assert [place.ahead for place in places] == [0, 1, 2, 3]


async def test_pause_of_bullmq_is_dated_by_its_event(store: Store) -> None:
    job_id = await add_one(store.backend)
    store.pause_as_bullmq_does(LATER_MS)
    store.do("XADD", "events", f"{LATER_MS + 5}-1", "event", "added", "jobId", "x")

    assert (await store.place(job_id)).paused_at_ms == LATER_MS


async def test_pause_that_nothing_tells_of_is_of_nobody_knows_when(store: Store) -> None:
    job_id = await add_one(store.backend)
    store.do("HSET", "meta", "paused", 1)

    assert (await store.place(job_id)).paused_at_ms is None


async def test_our_note_does_not_outlive_a_resume_by_bullmq(store: Store) -> None:
    """It leaves the field, and pauses again without a word of when."""
    job_id = await add_one(store.backend)
    await store.backend.limits.pause(Q)
    ours_ms = (await store.place(job_id)).paused_at_ms
    store.resume_as_bullmq_does(LATER_MS)
    assert (await store.place(job_id)).paused_at_ms is None

    store.do("HSET", "meta", "paused", 1)
    assert ours_ms is not None
    assert (await store.place(job_id)).paused_at_ms is None

    store.pause_as_bullmq_does(LATER_MS + 9)
    assert (await store.place(job_id)).paused_at_ms == LATER_MS + 9

    await store.backend.limits.resume(Q)
    assert store.do("HEXISTS", "meta", "toril:pausedAt") == 0


async def test_our_note_serves_where_the_event_is_gone(store: Store) -> None:
    job_id = await add_one(store.backend)
    await store.backend.limits.pause(Q)
    told_ms = (await store.place(job_id)).paused_at_ms
    noted_ms = int(store.do("HGET", "meta", "toril:pausedAt"))
    store.do("DEL", "events")

    assert told_ms is not None
    assert 0 <= told_ms - noted_ms < 60_000  # the event comes after the note, in one script
    assert (await store.place(job_id)).paused_at_ms == noted_ms
    store.do("HSET", "meta", "toril:pausedAt", "nonsense")
    assert (await store.place(job_id)).paused_at_ms is None


async def test_later_pause_of_bullmq_is_the_latest_moment_that_is_sure(store: Store) -> None:
    """A resume in between may have been trimmed away."""
    job_id = await add_one(store.backend)
    await store.backend.limits.pause(Q)
    store.do("DEL", "events")
    store.pause_as_bullmq_does(LATER_MS)

    assert (await store.place(job_id)).paused_at_ms == LATER_MS


@pytest.mark.parametrize("key", ["wait", "prioritized", "events", "paused"])
async def test_keys_of_another_type_harm_nobody(store: Store, key: str) -> None:
    job_id = await add_one(store.backend)
    await store.backend.limits.pause(Q)
    store.do("DEL", key)
    store.do("SET", key, "nonsense")

    found = await store.place(job_id)

    assert found.state is State.WAIT
    assert found.paused_at_ms is not None
    assert found.ahead == (None if key == "wait" else 0)


async def test_explanation_costs_few_calls_however_long_the_line(own_server: RedisServer) -> None:
    async with App(own_server.url) as app:
        backend = app.backend()
        ids = await add(backend, *(job() for _ in range(2_000)))
        await HandWorker(backend).claim(limit=50)
        last = app.queue(Q).job(ids[-1])
        await last.explain()  # connections and scripts are there from now on
        own_server.command("CONFIG", "RESETSTAT")

        found = await last.explain()

        scripts = calls_of(own_server, "evalsha")
        kinds = [str(reason.kind) for reason in found.reasons]
        assert kinds == ["no-worker", "in-line"]
        assert found.reasons[1].values["ahead"] == 1_949
        # The job, its queue, its place, the workers; and who holds the slots.
        assert scripts == 5
        assert calls_of(own_server, "client|list") == 1
        assert calls_of(own_server, "lpos") <= 3
        assert calls_of(own_server, "hmget") < 30


def calls_of(server: RedisServer, command: str) -> int:
    """Return how often a command was run since the statistics began."""
    found = re.search(
        rf"cmdstat_{re.escape(command)}:calls=(\d+)", server.command("INFO", "commandstats")
    )
    return 0 if found is None else int(found[1])
