"""What the doctor finds in damaged queues, and what a repair makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.contract import HandWorker, Q, add, counts, job, line, record, state, told
from tests.support.redis_servers import Cluster, RedisServer

from toril.backends import open_backend
from toril.backends.redis import doctor, strays
from toril.backends.redis.keys import Keys
from toril.backends.redis.scripts import Script, script
from toril.backends.redis.strays import batches
from toril.engine.contract import Backend, Repair
from toril.engine.contract.lifecycle import Finding
from toril.engine.states import State

HOUR_MS = 3_600_000


class Store:
    """A store, and hands that do to its keys what should not happen."""

    def __init__(self, backend: Backend, server: RedisServer, prefix: str) -> None:
        self.backend = backend
        self.server = server
        self.prefix = prefix

    def key(self, suffix: str, queue: str = Q) -> str:
        return f"{self.prefix}:{queue}:{suffix}"

    def do(self, verb: str, suffix: str, *words: str | int, queue: str = Q) -> Any:
        """Send a command about one key of a queue."""
        return self.server.command(verb, self.key(suffix, queue), *words)

    def dump(self) -> dict[str, object]:
        """Return all that is there."""
        return {key: self.server.command("DUMP", key) for key in self.server.keys(self.prefix)}

    def now_ms(self) -> int:
        seconds, _ = self.server.command("TIME")
        return int(seconds) * 1000

    def write_job(self, job_id: str, **fields: str | int) -> str:
        """Write the hash of a job and nothing else."""
        whole: dict[str, str | int] = {"name": "cars", "data": "{}", "opts": "{}"}
        whole |= {"priority": 0, "delay": 0, "timestamp": self.now_ms(), **fields}
        self.do("HSET", job_id, *(word for pair in whole.items() for word in pair))
        return job_id

    async def findings(self) -> dict[str, Finding]:
        """Return what is not well, by its subject."""
        health = await self.backend.lifecycle.check()
        assert len({one.subject for one in health.findings}) == len(health.findings)
        return {one.subject: one for one in health.findings if one.grade != "ok"}

    async def plan(self) -> list[Repair]:
        """Return what would be done; looking has to leave everything as it is."""
        before = self.dump()
        repairs = (await self.backend.lifecycle.check()).repairs
        assert self.dump() == before
        return repairs

    async def repair(self, plan: Iterable[Repair] | None = None) -> list[Repair]:
        """Do what is planned."""
        repairs = list(await self.plan() if plan is None else plan)
        return await self.backend.lifecycle.repair(repairs, max_stalled=1)


@pytest.fixture
async def store(
    redis_server: RedisServer, redis_prefix: str, redis_url: str
) -> AsyncIterator[Store]:
    """A store that goes by the server's own clock, with two ordinary jobs in line."""
    backend = open_backend(redis_url)
    await add(backend, job(), job())
    yield Store(backend, redis_server, redis_prefix)
    await backend.lifecycle.close()


async def lose_hash(store: Store) -> None:
    await add(store.backend, job(delay_ms=HOUR_MS), job(priority=3))
    for job_id in ("1", "3", "4"):
        store.do("DEL", job_id)


async def lose_hash_of_finished(store: Store) -> None:
    worker = HandWorker(store.backend)
    await worker.end(await worker.claim_one(), "completed")
    store.do("DEL", "1")


async def lose_lock(store: Store) -> None:
    await HandWorker(store.backend).claim_one()
    store.do("DEL", "1:lock")


async def lose_place(store: Store) -> None:
    store.do("LREM", "wait", 1, "1")


async def lose_all_but_logs(store: Store) -> None:
    await store.backend.logs.add(Q, "1", "a line", keep=10)
    store.do("LREM", "wait", 1, "1")
    store.do("DEL", "1")
    store.do("SADD", "1:dependencies", "x")
    store.do("SET", "1:lock", "one that will not end")


async def lose_whole_line(store: Store) -> None:
    await add(store.backend, *(job() for _ in range(9)))
    store.do("DEL", "wait")


DAMAGES: dict[Callable[[Store], Any], tuple[str, list[Repair]]] = {
    lose_hash: (
        f"orphans of {Q}",
        [
            Repair(Q, "remove_ids", ["3"], "delayed"),
            Repair(Q, "remove_ids", ["4"], "prioritized"),
            Repair(Q, "remove_ids", ["1"], "wait"),
        ],
    ),
    lose_hash_of_finished: (f"orphans of {Q}", [Repair(Q, "remove_ids", ["1"], "completed")]),
    lose_lock: ("leases", [Repair(Q, "take_back", ["1"])]),
    lose_place: (f"strays of {Q}", [Repair(Q, "restore", ["1"], "wait")]),
    lose_all_but_logs: (f"rests of {Q}", [Repair(Q, "remove_rest", ["1"])]),
    lose_whole_line: (
        f"strays of {Q}",
        [Repair(Q, "restore", [str(number) for number in range(1, 12)], "wait")],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_damage_is_found_shown_and_mended_once(
    store: Store, damage: Callable[[Store], Any]
) -> None:
    subject, acts = DAMAGES[damage]
    assert await store.plan() == []
    await damage(store)

    found = await store.findings()
    plan = await store.plan()
    done = await store.repair(plan)

    assert found[subject].grade in ("warning", "error")
    assert "toril doctor --repair" in found[subject].text
    assert plan == acts
    assert done == acts
    assert await store.plan() == []
    assert subject not in await store.findings()
    assert await store.repair(plan) == []


async def test_what_is_mended_is_worked(store: Store) -> None:
    worker = HandWorker(store.backend)
    for damage in (lose_lock, lose_whole_line):
        await damage(store)

    await store.repair()

    claimed = await worker.claim(limit=20)
    assert [one.id for one in claimed] == [str(number) for number in range(1, 12)]
    assert {await worker.end(one, "completed") for one in claimed} == {"ok"}
    assert await counts(store.backend) == {State.COMPLETED: 11}
    assert await store.plan() == []


async def test_job_without_a_lock_goes_back_as_from_a_dead_worker(store: Store) -> None:
    await lose_lock(store)

    await store.repair()

    assert await line(store.backend, State.WAIT) == ["1", "2"]
    mended = await record(store.backend, "1")
    assert [attempt.outcome for attempt in mended.history] == ["stalled"]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, "wait"),
        ({"priority": 7}, "prioritized"),
        ({"ats": 1, "failedReason": "a first try"}, "wait"),
        ({"finishedOn": 1_700_000_000_000, "returnvalue": "1"}, "completed"),
        (
            {"finishedOn": 1_700_000_000_000, "returnvalue": "1", "failedReason": "a first try"},
            "completed",
        ),
        ({"finishedOn": 1_700_000_000_000, "failedReason": "no"}, "failed"),
        ({"finishedOn": 1_700_000_000_000}, "wait"),
        ({"returnvalue": "1"}, "wait"),
        ({"delay": HOUR_MS}, "delayed"),
        ({"delay": HOUR_MS, "timestamp": 1_700_000_000_000}, "wait"),
    ],
    ids=str,
)
async def test_job_in_no_state_goes_where_it_belongs(
    store: Store, fields: dict[str, str | int], where: str
) -> None:
    store.write_job("lost", **fields)

    plan = await store.plan()
    await store.repair(plan)

    assert plan == [Repair(Q, "restore", ["lost"], where)]
    assert await state(store.backend, "lost") == where
    assert await line(store.backend, State(where)) == [
        *(["1", "2"] if where == "wait" else []),
        "lost",
    ]


async def test_restored_job_is_due_when_it_was(store: Store) -> None:
    began_ms = store.now_ms() - 1000
    store.write_job("added", timestamp=began_ms, delay=HOUR_MS)
    store.write_job("again", timestamp=1, processedOn=began_ms, delay=2 * HOUR_MS)

    await store.repair()

    for job_id, due_ms in (("added", began_ms + HOUR_MS), ("again", began_ms + 2 * HOUR_MS)):
        assert int(store.do("ZSCORE", "delayed", job_id)) // 4096 == due_ms


async def test_restored_job_wakes_a_worker_and_has_waited_enough(store: Store) -> None:
    store.write_job("lost", delay=5, timestamp=1)
    store.do("DEL", "marker")

    await store.repair()

    assert store.do("ZRANGE", "marker", 0, -1) == ["0"]
    assert store.do("HGET", "lost", "delay") == "0"


async def test_place_that_a_lost_job_held_becomes_free(store: Store) -> None:
    """With a limit on jobs at once, nobody would have looked for the next one."""
    await store.backend.limits.set_concurrency(Q, 1)
    worker = HandWorker(store.backend)
    await worker.claim_one()
    store.do("DEL", "1", store.key("1:lock"), store.key("marker"))
    assert await worker.claim() == []

    assert await store.repair() == [Repair(Q, "remove_ids", ["1"], "active")]

    assert store.do("ZRANGE", "marker", 0, -1) == ["0"]
    assert (await worker.claim_one()).id == "2"


async def test_queue_whose_settings_are_gone_too_is_mended(store: Store) -> None:
    store.do("DEL", "meta", store.key("wait"), store.key("id"))
    assert await store.backend.counts.queue(Q) is None

    await store.repair()

    assert await counts(store.backend) == {State.WAIT: 2}


async def test_restored_parent_waits_for_its_children(store: Store) -> None:
    """In line it would have run before them."""
    store.write_job("parent")
    store.do("SADD", "parent:dependencies", store.key("child", "kids"))

    plan = await store.plan()
    await store.repair(plan)

    assert plan == [Repair(Q, "restore", ["parent"], "waiting-children")]
    assert store.do("ZSCORE", "waiting-children", "parent") is not None
    assert await store.plan() == []


async def test_what_is_restored_is_told(store: Store) -> None:
    before = len(await told(store.backend))
    store.write_job("a")
    store.write_job("b", finishedOn=1, returnvalue="1")

    await store.repair()

    assert (await told(store.backend))[before:] == [("waiting", {"jobId": "a"})]


async def test_stray_is_an_error_until_it_has_ended(store: Store) -> None:
    store.write_job("ended", finishedOn=1, returnvalue="1")
    assert (await store.findings())[f"strays of {Q}"].grade == "warning"

    store.write_job("lost")

    assert (await store.findings())[f"strays of {Q}"].grade == "error"


async def test_what_a_worker_holds_is_left_alone(store: Store) -> None:
    """Its list, or its hash, may be gone: its worker will tell what became of it."""
    worker = HandWorker(store.backend)
    await worker.claim(limit=2)
    store.do("LREM", "active", 1, "1")
    store.do("DEL", "2")
    store.do("SET", "9:lock", "token", "PX", 60_000)
    store.do("RPUSH", "9:logs", "a line")
    before = store.dump()

    assert await store.plan() == []
    acts: list[Repair] = [
        Repair(Q, "restore", ["1"], "wait"),
        Repair(Q, "remove_ids", ["2"], "active"),
        Repair(Q, "take_back", ["2"]),
        Repair(Q, "remove_rest", ["2", "9"]),
    ]
    assert await store.repair(acts[:2]) == []
    assert await store.repair(acts[3:]) == []
    assert store.dump() == before


async def test_what_has_moved_since_the_look_is_left_alone(store: Store) -> None:
    worker = HandWorker(store.backend)
    claimed = await worker.claim_one()
    store.do("DEL", "1:lock")
    store.do("RPUSH", "wait", "gone")
    store.write_job("lost")
    store.do("RPUSH", "rest:logs", "a line")
    plan = await store.plan()
    assert [one.act for one in plan] == ["remove_ids", "take_back", "restore", "remove_rest"]

    assert worker.renew(claimed).lost == []
    store.write_job("gone")
    store.do("LPUSH", "wait", "lost")
    store.write_job("rest")
    store.do("LPUSH", "wait", "rest")
    before = store.dump()
    done = await store.repair(plan)

    assert done == []
    after = store.dump()
    # Recovery notes what runs, for the next check of a Node worker.
    assert after.pop(store.key("stalled")) is not None
    assert after == before
    assert await worker.end(claimed, "completed") == "ok"


async def test_job_between_two_looks_is_no_stray(store: Store) -> None:
    """What the scan has seen in line may run, or have ended, when the lists are looked at."""
    keys = Keys(store.prefix)
    worker = HandWorker(store.backend)
    sift, second_look = script("sift"), script("strays")

    def run(lua: Script, *words: str) -> Any:
        return store.server.command("EVAL", lua.text, 1, keys.meta(Q), *words)

    assert run(sift, "1000", "1", "2", "9", "9:logs") == [["1", "2"], [], [], []]
    first, _ = await worker.claim(limit=2)
    await worker.end(first, "completed")
    store.do("DEL", "2:lock")

    assert run(second_look, "", "1", "2") == []


async def test_looking_at_busy_queues_finds_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strays, "SCAN_COUNT", 10)
    monkeypatch.setattr(strays, "PAGE", 10)
    working = True

    async def work(number: int) -> None:
        worker = HandWorker(store.backend, id=f"worker-{number}")
        while working:
            await add(store.backend, *(job(priority=n % 2, delay_ms=n % 3) for n in range(5)))
            for one in await worker.claim(limit=5):
                await worker.end(one, "completed", keep_count=50)

    workers = [asyncio.create_task(work(number)) for number in range(3)]
    healths = [await store.backend.lifecycle.check() for _ in range(10)]
    working = False
    await asyncio.gather(*workers)

    assert [health.repairs for health in healths] == [[]] * 10
    assert all(health.ok for health in healths)


async def test_layouts_own_keys_are_no_jobs(store: Store) -> None:
    """Those that look most like it: hashes with a name, and parts of what is called like a part."""
    worker = HandWorker(store.backend)
    await worker.end(await worker.claim_one(), "completed")
    await store.backend.limits.pause(Q)
    for suffix in ("repeat:nightly", "dn:logs", "metrics:failed", "meta", "repeat:nightly:1"):
        store.do("HSET", suffix, "name", "nightly", "data", "{}")
    for suffix in ("de:lock", "repeat:lock", "toril:x", "limiter", "stalled-check", "id:lock"):
        store.do("SET", suffix, "1")
    store.do("RPUSH", "metrics:failed:data", "0")
    store.do("ZADD", "repeat", 1, "nightly")
    # An app whose prefix begins with a queue of ours: `<prefix>:paint`.
    store.do("HSET", "mail:meta", "opts.maxLenEvents", "10000")
    store.do("ZADD", "mail:failed", 1, "7")
    store.do("HSET", "mail:7", "name", "send")
    # A queue that is none: it has no settings, and nobody has registered it.
    store.do("HSET", "7", "name", "cars", queue="nowhere")

    assert await store.plan() == []
    rest = Repair(Q, "remove_rest", ["mail"])
    assert await store.repair([rest]) == []


async def test_what_only_bullmq_knows_is_left_alone(store: Store) -> None:
    store.write_job(
        "grouped", opts='{"group":{"id":"blue"}}'
    )  # its paid edition keeps a list of it
    store.do("HSET", "nameless", "processedOn", "1", "ats", "1")
    store.do("RPUSH", "wait", "0:0", "0")  # marks of very old versions
    store.do("SET", "text", "is no hash")
    store.do("HSET", "worked", "returnvalue", "1", "finishedOn", "1")  # it runs what has no name
    store.do("ZADD", "completed", 1, "worked")

    assert await store.plan() == []


async def test_queue_that_version_5_has_paused_is_said_and_not_touched(store: Store) -> None:
    store.do("RENAME", "wait", store.key("paused"))
    store.do("HSET", "meta", "paused", "1", "version", "bullmq:5.1.0")
    store.write_job("lost")
    lost = Repair(Q, "restore", ["lost"], "wait")

    found = await store.findings()

    assert found[f"version of {Q}"].grade == "warning"
    assert "2 of its jobs" in found[f"version of {Q}"].text
    assert f"toril resume {Q}" in found[f"version of {Q}"].text
    assert await store.plan() == []
    assert await store.repair([lost]) == []
    await store.backend.limits.resume(Q)
    assert await store.repair() == [lost]
    assert await line(store.backend, State.WAIT) == ["1", "2", "lost"]


async def test_queue_whose_settings_do_not_say_that_it_is_paused_is_an_error(store: Store) -> None:
    """As a Bull before 4.16 leaves it: nothing may be added to such a queue."""
    store.do("RENAME", "wait", store.key("paused"))

    found = (await store.findings())[f"version of {Q}"]

    assert found.grade == "error"
    assert "nothing is added, worked or mended here" in found.text


async def test_large_payloads_are_found_wherever_they_are(store: Store) -> None:
    worker = HandWorker(store.backend)
    large = '"' + "x" * (1 << 20) + '"'
    await add(store.backend, job(data=large), job(data=large, delay_ms=HOUR_MS))
    for one in await worker.claim(limit=2):
        await worker.end(one, "completed")

    found = await store.findings()

    assert "payloads above 1 MiB: 2 (" in found[f"payloads of {Q}"].text
    assert await store.plan() == []


async def test_many_are_looked_at_in_small_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in {"SCAN_COUNT": 7, "PAGE": 10, "SUSPECTS_AT_MOST": 20, "BATCH": 3}.items():
        monkeypatch.setattr(strays, name, size)
    monkeypatch.setattr("toril.backends.redis.survey.LOOK_CHUNK", 10)
    ids = await add(store.backend, *(job(priority=n % 2) for n in range(300)))
    lost = ids[:200:10]
    for job_id in lost:
        assert store.do("LREM", "wait", 1, job_id) + store.do("ZREM", "prioritized", job_id)
    gone = ids[-50:]
    for job_id in gone:
        store.do("DEL", job_id)

    plan = await store.plan()
    done = await store.repair(plan)

    assert ids_of(plan, "restore") == sorted(lost)
    assert ids_of(plan, "remove_ids") == sorted(gone)
    assert sum(len(one.job_ids) for one in done) == len(lost) + len(gone)
    assert await store.plan() == []
    assert sum((await counts(store.backend)).values()) == 2 + 300 - len(gone)


def ids_of(repairs: Iterable[Repair], act: str) -> list[str]:
    return sorted(job_id for one in repairs if one.act == act for job_id in one.job_ids)


def test_longer_lists_are_looked_through_for_fewer_at_once() -> None:
    ids = [str(number) for number in range(250)]

    assert [len(batch) for batch in batches(ids, 0)] == [100, 100, 50]
    assert {len(batch) for batch in batches(ids, 10_000)} == {10}
    assert {len(batch) for batch in batches(ids, 5_000_000)} == {1}
    assert [one for batch in batches(ids, 9_999) for one in batch] == ids


async def test_clocks_that_differ_are_warned_of(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "clock" not in await store.findings()

    monkeypatch.setattr(doctor, "CLOCK_MS", -1)

    assert "Run NTP on both" in (await store.findings())["clock"].text


async def test_cluster_is_looked_through_and_mended_node_by_node(tmp_path: Path) -> None:
    with Cluster.start(tmp_path) as cluster:
        queues = _queues_of_all_nodes(cluster)
        backend = open_backend(f"{cluster.url}?prefix=shop")
        try:
            for queue in queues:
                await add(backend, job(queue), job(queue), job(queue))
                node = cluster.node_for(f"shop:{queue}:wait")
                node.command("LREM", f"shop:{queue}:wait", 1, "1")
                node.command("DEL", f"shop:{queue}:2")
                node.command("RPUSH", f"shop:{queue}:9:logs", "a line")
            # As Node leaves it, whose own scripts are refused for it.
            node = cluster.node_for("shop:scattered:meta")
            node.command("HSET", "shop:scattered:meta", "opts.maxLenEvents", "10000")

            health = await backend.lifecycle.check()
            done = await backend.lifecycle.repair(health.repairs, max_stalled=1)
            after = await backend.lifecycle.check()

            grades = {one.subject: one.grade for one in health.findings}
            assert grades["slots of scattered"] == "error"
            expected = [
                act
                for queue in sorted(queues)
                for act in (
                    Repair(queue, "remove_ids", ["2"], "wait"),
                    Repair(queue, "restore", ["1"], "wait"),
                    Repair(queue, "remove_rest", ["9"]),
                )
            ]
            assert health.repairs == expected
            assert done == expected
            assert after.repairs == []
            for queue in queues:
                claimed = await HandWorker(backend).claim(queue, limit=5)
                assert [one.id for one in claimed] == ["3", "1"]
        finally:
            await backend.lifecycle.close()


def _queues_of_all_nodes(cluster: Cluster) -> list[str]:
    """Return a queue for each node."""
    found: dict[int, str] = {}
    for number in range(1000):
        queue = f"{{paint-{number}}}"
        found.setdefault(cluster.node_for(f"shop:{queue}:wait").port, queue)
        if len(found) == len(cluster.servers):
            break
    return list(found.values())
