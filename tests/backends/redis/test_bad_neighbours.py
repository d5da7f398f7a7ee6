"""One bad job or key, told one by one: what becomes of it, and that the others go on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.contract import HandWorker, Q, add, add_one, counts, job, outcome, record, state
from tests.support.redis_servers import RedisServer

from toril import App, Settings
from toril.backends import open_backend
from toril.core.errors import BackendError, StoreForeignError, StoreFullError
from toril.engine.contract import Backend
from toril.engine.contract.workers import WorkerRecord
from toril.engine.job import Claimed
from toril.engine.states import State

DEEP = "[" * 1100 + "]" * 1100


class Store:
    """A store, and hands that do to its keys what should not happen."""

    def __init__(self, backend: Backend, server: RedisServer, prefix: str) -> None:
        self.backend = backend
        self.server = server
        self.worker = HandWorker(backend)
        self._prefix = prefix

    def do(self, verb: str, suffix: str, *words: str | int, queue: str = Q) -> Any:
        """Send a command about one key of a queue."""
        return self.server.command(verb, f"{self._prefix}:{queue}:{suffix}", *words)

    async def claim(self, many: int, queue: str = Q) -> list[Claimed]:
        """Add and claim so many jobs."""
        await add(self.backend, *(job(queue) for _ in range(many)))
        claimed = await self.worker.claim(queue, limit=many)
        assert len(claimed) == many
        return claimed

    async def finish(self, claimed: list[Claimed]) -> list[str]:
        """Let all of them succeed in one exchange."""
        ended = [outcome(one, "completed", value="1") for one in claimed]
        return list((await self.worker.ask(outcomes=ended)).words)


@pytest.fixture
async def store(
    redis_server: RedisServer, redis_prefix: str, redis_url: str
) -> AsyncIterator[Store]:
    """A store on the common server."""
    backend = open_backend(redis_url)
    yield Store(backend, redis_server, redis_prefix)
    await backend.lifecycle.close()


@pytest.fixture
async def newcomer(redis_url: str) -> AsyncIterator[HandWorker]:
    """A worker of another process, which has not looked at any queue yet."""
    backend = open_backend(redis_url)
    yield HandWorker(backend)
    await backend.lifecycle.close()


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        "{",
        "1",
        "null",
        DEEP,
        "{}",
        '{"id":"1"}',
        '{"queueKey":"q"}',
        '{"id":1,"queueKey":2}',
    ],
)
async def test_field_parent_that_cannot_be_read_fails_its_job_only(
    store: Store, parent: str
) -> None:
    """The script stopped after locks and entries were gone: ten finished jobs were in no list."""
    claimed = await store.claim(11)
    store.do("HSET", claimed[5].id, "parent", parent)

    words = await store.finish(claimed)

    assert words == ["ok"] * 11
    assert await counts(store.backend) == {State.COMPLETED: 10, State.FAILED: 1}
    bad = await record(store.backend, claimed[5].id)
    assert bad.failed_reason is not None
    assert bad.failed_reason.startswith("its outcome could not be stored: its field 'parent'")
    assert bad.attempts[-1].outcome == "failed"


async def test_failure_keeps_its_reason_beside_a_parent_that_cannot_be_told(store: Store) -> None:
    (claimed,) = await store.claim(1)
    store.do("HSET", claimed.id, "parent", "{")

    assert await store.worker.end(claimed, "failed", reason="no paint") == "ok"

    assert (await record(store.backend, claimed.id)).failed_reason == (
        "no paint (its parent was not told: its field 'parent' cannot be read)"
    )


async def test_parent_whose_notes_are_no_hash_keeps_its_child(
    store: Store, redis_prefix: str
) -> None:
    (claimed,) = await store.claim(1)
    base = f"{redis_prefix}:{Q}"
    store.do("HSET", claimed.id, "parent", f'{{"id":"P","queueKey":"{base}"}}')
    store.do("SADD", "P:dependencies", f"{base}:{claimed.id}")
    store.do("SET", "P:processed", "nonsense")

    await store.finish([claimed])

    assert await state(store.backend, claimed.id) is State.FAILED
    assert store.do("SCARD", "P:dependencies") == 1


async def test_string_at_a_jobs_key_leaves_its_neighbours_alone(store: Store) -> None:
    claimed = await store.claim(3)
    await add(store.backend, job(), job(), job())
    store.do("DEL", claimed[1].id)
    store.do("SET", claimed[1].id, "nonsense")
    store.do("DEL", "5")
    store.do("SET", "5", "nonsense")

    assert await store.finish(claimed) == ["ok", "lease_lost", "ok"]
    assert [one.id for one in await store.worker.claim(limit=5)] == ["4", "6"]


async def test_lock_of_another_type_costs_no_neighbour_its_lease(store: Store) -> None:
    claimed = await store.claim(3)
    store.do("DEL", f"{claimed[1].id}:lock")
    store.do("RPUSH", f"{claimed[1].id}:lock", "nonsense")
    store.do("SET", "stalled", "nonsense")

    renewal = store.worker.renew(*claimed)

    assert renewal.lost == []
    assert await store.finish(claimed) == ["ok"] * 3


async def test_stalled_job_that_is_no_hash_is_dropped_and_others_come_back(store: Store) -> None:
    claimed = await store.claim(3)
    for one in claimed:
        store.do("DEL", f"{one.id}:lock")
    store.do("HSET", claimed[0].id, "stc", "x", "ats", "inf", "priority", "nan")
    store.do("DEL", claimed[1].id)
    store.do("SET", claimed[1].id, "nonsense")

    recovery = await store.backend.dispatch.recover(max_stalled=1, heartbeat_s=20, limit=10)

    assert sorted(job_id for _, job_id in recovery.recovered) == [claimed[0].id, claimed[2].id]
    again = await store.worker.claim(limit=5)
    assert await store.finish(again) == ["ok", "ok"]


async def test_job_put_aside_with_nonsense_does_not_stop_who_ends(store: Store) -> None:
    claimed = await store.claim(2)
    store.do("HSET", claimed[0].id, "deid", "one")
    store.do("HSET", "dn:one", "name", "cars", "opts", DEEP, "jid", "wait", "toril:runAt", "x")

    assert await store.finish(claimed) == ["ok", "ok"]

    aside = await store.worker.claim_one()
    assert (aside.name, aside.opts, aside.data) == ("cars", DEEP, "{}")
    assert aside.id == "3", "an id like a key of the queue's own would have broken the queue"


async def test_success_whose_follow_up_cannot_be_added_fails(store: Store) -> None:
    first, second = await store.claim(2)
    store.do("SET", "wait", "nonsense", queue="broken")
    ended = [
        outcome(first, "completed", value="1", follow_ups=[job("broken")]),
        outcome(second, "completed", value="1", follow_ups=[job("fine")]),
    ]

    reply = await store.worker.ask(outcomes=ended)

    assert reply.words == ["ok", "ok"]
    assert await state(store.backend, second.id) is State.COMPLETED
    bad = await record(store.backend, first.id)
    assert bad.state is State.FAILED
    assert "a job cannot be added: " in (bad.failed_reason or "")
    assert ":broken:wait' is a string and no list" in (bad.failed_reason or "")
    assert await counts(store.backend, "fine") == {State.WAIT: 1}


async def test_queue_that_cannot_be_worked_is_said_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole exchange failed, with the outcomes of all other queues, again and again."""
    fine = await store.claim(1, "fine")
    await store.claim(1)
    await add_one(store.backend)
    store.do("DEL", "active")
    store.do("SET", "active", "nonsense")
    await add(store.backend, job("fine"))
    ended = [outcome(one, "completed", value="1") for one in fine]

    with caplog.at_level(logging.WARNING, "toril.redis"):
        reply = await store.worker.ask(Q, "fine", outcomes=ended)
        await store.worker.ask(Q)

    assert reply.words == ["ok"]
    assert [one.queue for one in reply.claimed] == ["fine"]
    (said,) = [one.getMessage() for one in caplog.records if one.name == "toril.redis"]
    assert said.startswith(f"queue {Q!r} cannot be worked as it should, other queues go on: WRONG")


@pytest.mark.parametrize("key", ["repeat", "paused"])
async def test_key_that_nothing_hangs_on_costs_no_queue(
    store: Store, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """A string there was taken for schedules of BullMQ, and the worker ended."""
    store.do("SET", key, "nonsense")
    await add(store.backend, job(), job("fine"))

    with caplog.at_level(logging.WARNING, "toril.redis"):
        claimed = (await store.worker.ask(Q, "fine", room=2)).claimed

    assert sorted(one.queue for one in claimed) == sorted(["fine", Q])
    assert await store.finish(claimed) == ["ok", "ok"]
    found = (await store.backend.lifecycle.check()).findings
    assert f"key {key} of {Q}" in [one.subject for one in found if one.grade == "error"]
    if key == "repeat":
        (said,) = [one.getMessage() for one in caplog.records if one.name == "toril.redis"]
        assert f"its key '…:{Q}:repeat' is a string and no zset of schedules" in said


async def test_queue_that_is_refused_leaves_the_others_alone(
    store: Store, newcomer: HandWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker ended, and with it the work of all its queues."""
    held = await store.claim(1, "fine")
    await add(store.backend, job(), job("fine"))
    store.do("RPUSH", "paused", "7")
    ended = [outcome(one, "completed", value="1") for one in held]

    with caplog.at_level(logging.WARNING, "toril.redis"):
        reply = await newcomer.ask(Q, "fine", outcomes=ended)
        await newcomer.ask(Q, "fine")

    assert reply.words == ["ok"]
    assert [one.queue for one in reply.claimed] == ["fine"]
    (said,) = [one.getMessage() for one in caplog.records if one.name == "toril.redis"]
    assert said.startswith(f"queue {Q!r} is not worked, other queues go on: redis://")
    assert said.endswith(f"then run: toril resume {Q}")


async def test_outcomes_are_stored_before_a_worker_ends_that_has_no_other_queue(
    store: Store, newcomer: HandWorker
) -> None:
    held = await store.claim(1)
    store.do("RPUSH", "paused", "7")
    ended = [outcome(one, "completed", value="1") for one in held]

    assert (await newcomer.ask(Q, outcomes=ended)).words == ["ok"]
    with pytest.raises(StoreForeignError, match=f"toril resume {Q}"):
        await newcomer.ask(Q)


async def test_worker_takes_up_a_queue_that_was_mended(
    store: Store, redis_url: str, redis_prefix: str
) -> None:
    """A worker with a claim that stands: it stood on the other queue alone."""
    store.do("RPUSH", "paused", "7")
    async with App(redis_url, settings=Settings()) as app:

        @app.task(queue="fine")
        async def fine() -> str:
            return "fine"

        @app.task(queue=Q)
        async def damaged() -> str:
            return "mended"

        async with app.worker(queues=["fine", Q]):
            assert await (await fine.enqueue()).result(timeout_s=60) == "fine"
            await store.backend.limits.resume(Q)
            assert await (await damaged.enqueue()).result(timeout_s=60) == "mended"


async def test_jobs_that_cannot_be_active_stay_in_line(store: Store) -> None:
    await add(store.backend, job(), job(), job())
    store.do("SET", "active", "nonsense")

    assert await store.worker.claim(limit=2) == []

    store.do("DEL", "active")
    assert [one.id for one in await store.worker.claim(limit=3)] == ["1", "2", "3"]


class TestAdding:
    async def test_one_queue_that_cannot_be_added_to_refuses_its_own_jobs(
        self, store: Store
    ) -> None:
        store.do("SET", "wait", "nonsense", queue="broken")
        jobs = store.backend.jobs

        answers = await asyncio.gather(
            *(jobs.add([job(queue)]) for queue in (Q, "broken", Q)), return_exceptions=True
        )

        assert [type(one) for one in answers] == [list, BackendError, list]
        assert "the job was not added to queue 'broken': WRONGTYPE" in str(answers[1])
        assert await counts(store.backend) == {State.WAIT: 2}
        assert store.do("EXISTS", "1", queue="broken") == 0

    async def test_call_with_several_says_how_many_were_added(self, store: Store) -> None:
        store.do("SET", "delayed", "nonsense", queue="broken")

        with pytest.raises(BackendError, match="Of 2 jobs 1 were added"):
            await store.backend.jobs.add([job(), job("broken", delay_ms=5)])

    async def test_counter_that_is_none_is_named(self, store: Store) -> None:
        store.do("SET", "id", "nonsense")

        with pytest.raises(BackendError, match=r"not an integer.*toril doctor"):
            await add_one(store.backend)

    async def test_number_that_something_else_lies_at_is_passed_over(self, store: Store) -> None:
        for number in ("1", "3"):
            store.do("SET", number, "nonsense")

        assert await add(store.backend, job(), job(), job(priority=1)) == ["4", "2", "5"]
        assert [one.id for one in await store.worker.claim(limit=9)] == ["2", "4", "5"]


class TestServersRefusals:
    """What the server refuses to everybody is no fault of a job's."""

    @pytest.mark.parametrize("verb", ["hset", "xadd", "zadd", "lrem"])
    async def test_missing_right_fails_no_job(
        self, store: Store, own_server: RedisServer, verb: str
    ) -> None:
        backend = open_backend(own_server.url)
        await add_one(backend)
        claimed = await HandWorker(backend).claim_one()
        own_server.command("ACL", "SETUSER", "default", f"-{verb}")

        with pytest.raises(BackendError):
            await HandWorker(backend).end(claimed, "completed", value="1")

        own_server.command("ACL", "SETUSER", "default", f"+{verb}")
        assert own_server.command("HEXISTS", f"bull:{Q}:{claimed.id}", "failedReason") == 0
        await backend.lifecycle.close()

    async def test_parent_where_the_user_may_not_go_fails_its_job_only(
        self, own_server: RedisServer
    ) -> None:
        backend = open_backend(own_server.url)
        worker = HandWorker(backend)
        await add(backend, job(), job(), job())
        claimed = await worker.claim(limit=3)
        own_server.command(
            "HSET",
            f"bull:{Q}:1",
            "parent",
            '{"id":"P","queueKey":"secret:q"}',
            "parentKey",
            "secret:q:P",
        )
        own_server.command("ACL", "SETUSER", "default", "resetkeys", "~bull:*")

        reply = await worker.ask(
            outcomes=[outcome(one, "completed", value="1", keep_count=1) for one in claimed]
        )

        assert reply.words == ["ok"] * 3
        bad = await record(backend, "1")
        assert bad.failed_reason is not None
        assert bad.failed_reason.endswith("its parent's queue 'secret:q' cannot be reached")
        assert (
            await backend.bulk.retry(
                Q, State.FAILED, limit=9, finished_until_ms=2**52, reset_attempts=True
            )
            == 1
        )
        (again,) = await worker.claim()
        assert await worker.end(again, "failed", reason="no", keep_count=1) == "ok"
        own_server.command("ACL", "SETUSER", "default", "allkeys")
        await backend.lifecycle.close()

    async def test_full_memory_fails_no_job(self, own_server: RedisServer) -> None:
        backend = open_backend(own_server.url)
        own_server.command("CONFIG", "SET", "maxmemory", "1")

        with pytest.raises(StoreFullError):
            await backend.jobs.add([job(delay_ms=5)])

        assert own_server.keys() == []
        await backend.lifecycle.close()


class TestDoctor:
    async def test_poison_is_not_put_in_line_again(self, store: Store) -> None:
        """A repair lined it up with the neighbours that it had made vanish."""
        ids = await add(store.backend, *(job() for _ in range(4)))
        store.do("HSET", ids[0], "parent", "{")
        store.do("HSET", ids[1], "opts", DEEP)
        store.do("HSET", ids[2], "parent", '{"id":"x","queueKey":"y"}')
        store.do("DEL", "wait")

        health = await store.backend.lifecycle.check()
        done = await store.backend.lifecycle.repair(health.repairs, max_stalled=1)

        by_state = {one.state: one.job_ids for one in done if one.act == "restore"}
        assert by_state == {"failed": ids[:2], "wait": ids[2:]}
        for job_id, field in zip(ids, ("parent", "opts"), strict=False):
            bad = await record(store.backend, job_id)
            assert bad.failed_reason == f"its field '{field}' cannot be read"
            assert bad.finished_on_ms is not None
        assert [one.id for one in await store.worker.claim(limit=9)] == ids[2:]

    @pytest.mark.parametrize("name", ["wait", "active", "completed", "delayed", "events", "marker"])
    async def test_key_of_another_type_is_named_and_set_aside(
        self, store: Store, name: str
    ) -> None:
        ids = await add(store.backend, *(job() for _ in range(3)))
        store.do("DEL", name)
        store.do("HSET", name, "kept", "nonsense")

        health = await store.backend.lifecycle.check()
        (finding,) = [one for one in health.findings if one.subject == f"key {name} of {Q}"]
        assert finding.grade == "error"
        assert f":{Q}:{name}' is a hash and no " in finding.text
        done = await store.backend.lifecycle.repair(health.repairs, max_stalled=1)

        assert (
            done[0].text == f"{Q}: set aside 1 key that holds what does not belong there ({name})"
        )
        (aside,) = [key for key in store.server.keys() if f":{Q}:toril:aside:{name}:" in key]
        assert store.server.command("HGET", aside, "kept") == "nonsense"
        assert (await store.backend.lifecycle.check()).repairs == []
        claimed = await store.worker.claim(limit=9)
        assert sorted(one.id for one in claimed) == ids
        assert await store.finish(claimed) == ["ok"] * 3

    async def test_what_has_a_jobs_number_and_is_none_is_named(self, store: Store) -> None:
        await add(store.backend, job(), job())
        for key in ("1", "7", "own"):
            store.do("DEL", key)
            store.do("SET", key, "nonsense")

        health = await store.backend.lifecycle.check()

        texts = {one.subject: one.text for one in health.findings if one.grade != "ok"}
        assert "are no job's: 2 (1, 7); " in texts[f"strangers of {Q}"].replace("7, 1", "1, 7")
        assert "ids whose job is gone: 1 (1)" in texts[f"orphans of {Q}"]
        await store.backend.lifecycle.repair(health.repairs, max_stalled=1)
        assert await counts(store.backend) == {State.WAIT: 1}

    async def test_counter_begins_above_all_that_it_gave(self, store: Store) -> None:
        await add(store.backend, job(), job())
        store.do("SET", "id", "nonsense")
        health = await store.backend.lifecycle.check()
        (finding,) = [one for one in health.findings if one.subject == f"key id of {Q}"]
        assert "is no number" in finding.text

        await store.backend.lifecycle.repair(health.repairs, max_stalled=1)

        assert int(await add_one(store.backend)) > 10**12


async def test_result_arrives_where_no_event_can_be_told(
    tmp_path: Path, redis_url: str, redis_server: RedisServer, redis_prefix: str
) -> None:
    """Whoever waited for any job of the queue got the server's error."""
    redis_server.command("SET", f"{redis_prefix}:{Q}:events", "nonsense")
    async with App(redis_url, settings=Settings()) as app:

        @app.task(queue=Q)
        async def double(number: int) -> int:
            return 2 * number

        async with app.worker():
            job = await double.enqueue(number=21)

            assert await job.result(timeout_s=60) == 42


@pytest.mark.parametrize("nonsense", ["", "no json", "{}", "[]", "1", DEEP, '{"id":1,"queues":2}'])
async def test_nonsense_on_the_register_of_workers_stops_no_recovery(
    store: Store, redis_prefix: str, nonsense: str
) -> None:
    """One such entry, and no worker of any queue took a dead one's jobs back again."""
    claimed = await store.claim(2)
    for one in claimed:
        store.do("DEL", f"{one.id}:lock")
    register = f"{redis_prefix}::toril:{{workers}}"
    store.server.command("HSET", register, "w", nonsense)

    recovery = await store.backend.dispatch.recover(max_stalled=3, heartbeat_s=30, limit=10)

    assert {job_id for _, job_id in recovery.recovered} == {one.id for one in claimed}
    assert await store.backend.workers.list() == []
    assert store.server.command("HLEN", register) == 0, "it is buried like any dead worker"


async def test_beat_of_another_type_is_no_sign_of_life(store: Store, redis_prefix: str) -> None:
    """`toril workers` and `toril doctor` ended in a ValueError."""
    told = WorkerRecord(
        id="w", host="h", pid=1, queues=[Q], concurrency=1, running=0, started_ms=1,
        beat_age_ms=0, quiet=False, resident_bytes=1, version="1",
    )  # fmt: skip
    await store.backend.workers.register(told)
    beat = f"{redis_prefix}::toril:{{workers}}:w"
    store.server.command("DEL", beat)
    store.server.command("RPUSH", beat, "nonsense")

    assert [worker.id for worker in await store.backend.workers.list()] == []


@pytest.mark.parametrize(("name", "kind"), [("{workers}", "hash"), ("queues", "set")])
async def test_doctor_names_a_key_of_the_stores_own_that_is_of_another_type(
    store: Store, redis_prefix: str, name: str, kind: str
) -> None:
    """The error told to ask the doctor, who ended with the same error."""
    key = f"{redis_prefix}::toril:{name}"
    store.server.command("SET", key, "nonsense")

    found = (await store.backend.lifecycle.check()).findings

    (said,) = [one for one in found if one.grade == "error"]
    assert said.subject == f"key {key}"
    assert f"a string in place of a {kind}" in said.text


async def test_id_that_is_no_utf8_is_dropped_and_others_run(
    store: Store, redis_server: RedisServer, redis_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its outcome named another id, so that it ran again whenever its lease had ended."""
    await add_one(store.backend, job_id="Zo\u00eb \u20ac \U0001f600")
    with socket.create_connection(("127.0.0.1", redis_server.port)) as line:
        bad, base = b"b\xff\xc3", f"{redis_prefix}:{Q}:".encode()
        for words in (
            [b"HSET", base + bad, b"name", b"n", b"data", b"{}", b"opts", b"{}"],
            [b"RPUSH", base + b"wait", bad],
        ):
            parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
            line.sendall(b"*%d\r\n%s" % (len(words), parts))
            assert line.recv(100).startswith(b":")

    claimed = await store.worker.claim(limit=5)

    assert [one.id for one in claimed] == ["Zo\u00eb \u20ac \U0001f600"]
    assert "was dropped: its id is no UTF-8" in caplog.text
    assert store.do("LLEN", "active") == 1
    assert await store.finish(claimed) == ["ok"]
