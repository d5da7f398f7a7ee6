"""Queues with jobs in every state, and hands that put nonsense under any of their keys."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.support.contract import HandWorker, add_one, job, outcome
from tests.support.redis_servers import RedisServer

from toril.engine.contract import Backend
from toril.engine.deduplication import DeduplicationRule
from toril.engine.job import Claimed

PAST_MS = 60_000
NONSENSE: tuple[str, ...] = (
    "", " ", "x", "null", "[]", "{}", "[1]", '"text"', "true", "{", "\x00", "ä" * 50, "\ufffd",
    "0", "1", "-1", "1.5", "nan", "inf", "-inf", "1e300", "1e400", "9" * 400, "-" + "9" * 400,
    "9007199254740993", "9223372036854775807",
    "[" * 1100 + "]" * 1100, '{"a":' * 1100 + "1" + "}" * 1100,
    '{"id":', '{"id":1,"queueKey":2}', '{"id":"x"}', '{"queueKey":"x"}',
    '{"id":null,"queueKey":null}', '{"id":"x","queueKey":"nowhere"}',
    '{"id":"","queueKey":"","fpof":true}',
    '{"stackTraceLimit":-5}', '{"stackTraceLimit":"x","delay":"nan"}',
    '{"delay":1e999,"priority":1e999,"lifo":{}}',
    "wait", "active", "2:lock", "0:1", "[null]", "[NaN]", "x\ny\nz", '1 {"number":"x"}', "1 []",
)  # fmt: skip
FIELDS: tuple[str, ...] = (
    "name", "data", "opts", "timestamp", "delay", "priority", "processedOn", "finishedOn", "ats",
    "atm", "stc", "pb", "progress", "returnvalue", "failedReason", "stacktrace", "parentKey",
    "parent", "rjk", "deid", "defa", "toril:history", "toril:cancel",
    "toril:ready",
)  # fmt: skip
META: tuple[str, ...] = (
    "opts.maxLenEvents", "version", "max", "duration", "toril:events", "toril:keepCompleted",
    "toril:keepFailed",
)  # fmt: skip
ASIDE: tuple[str, ...] = ("name", "data", "opts", "jid", "toril:runAt")
METRICS: tuple[str, ...] = ("count", "prevTS", "prevCount")
PARTS = ("lock", "logs", "dependencies", "processed", "failed", "unsuccessful")
COMFORT = (
    "marker", "events", "limiter", "stalled", "stalled-check", "metrics:completed",
    "metrics:failed", "metrics:completed:data", "pc", "prioritized", "delayed",
    "waiting-children", "failed", "completed", "meta", "id", "toril:history",
    "toril:history:ever", "toril:history:blocks", "toril:history:calendar",
)  # fmt: skip
"""Keys of a queue's own without which its jobs in line can be worked."""


class Scene:
    """Two queues of one worker: one with a job in every state, and one beside it."""

    def __init__(self, backend: Backend, server: RedisServer, prefix: str, name: str) -> None:
        self.backend = backend
        self.server = server
        self.queue = name
        self.beside = f"{name}-beside"
        self.prefix = prefix
        self.worker = HandWorker(backend)
        self.held: list[Claimed] = []
        self.neighbours: list[tuple[str, str]] = []
        """Queue and id of jobs that nothing is wrong with."""
        self.log: list[str] = []

    def key(self, suffix: str) -> str:
        return f"{self.prefix}:{self.queue}:{suffix}"

    def do(self, verb: str, suffix: str, *words: Any) -> Any:
        self.log.append(f"{verb} {suffix} {' '.join(str(word)[:60] for word in words)}")
        return self.server.command(verb, self.key(suffix), *words)

    async def fill(self) -> None:
        """Let there be jobs in every state."""
        backend, queue = self.backend, self.queue
        for kind in ("completed", "failed", "retried"):
            await add_one(backend, queue)
            (claimed,) = await self.worker.claim(queue)
            await self.worker.ask(outcomes=[self.ended(claimed, kind)])
        rule = DeduplicationRule(id="one", keep_last_if_active=True)
        await add_one(backend, queue, deduplication=rule)
        for _ in range(4):
            await add_one(backend, queue)
        self.held += await self.worker.claim(queue, self.beside, limit=4)
        await add_one(backend, queue, deduplication=rule)  # put aside
        await add_one(backend, queue, delay_ms=3_600_000)
        await add_one(backend, queue, priority=3)
        for index, one in enumerate(self.held[2:]):
            self.make_child(one.id, f"P{index}")
        await add_one(backend, self.beside)
        self.held += await self.worker.claim(self.beside)
        self.neighbours.append((self.beside, self.held[-1].id))
        self.neighbours.append((self.beside, await add_one(backend, self.beside)))

    async def add_neighbours(self) -> None:
        """Add jobs to the same queue: one that runs, and one that waits."""
        self.neighbours.append((self.queue, await add_one(self.backend, self.queue)))

    def make_child(self, job_id: str, parent: str) -> None:
        words = json.dumps({"id": parent, "queueKey": self.key("")[:-1], "fpof": True})
        self.do("HSET", job_id, "parent", words, "parentKey", self.key(parent))
        self.do("HSET", parent, "name", "up", "data", "{}", "opts", "{}", "timestamp", "1")
        self.do("ZADD", "waiting-children", 1, parent)
        self.do("SADD", f"{parent}:dependencies", self.key(job_id))

    def ended(self, claimed: Claimed, kind: str) -> Any:
        fields: dict[str, Any] = {"completed": {"value": "1"}, "failed": {"reason": "no"}}.get(
            kind, {}
        )
        if kind == "retried":
            fields = {"reason": "no", "wait_ms": 50, "traceback": "Traceback: no"}
        if kind == "snoozed":
            fields = {"wait_ms": 50}
        if kind == "completed" and claimed.attempts_started % 7 == 6:
            fields["follow_ups"] = [job(self.queue)]
        return outcome(claimed, kind, **fields)  # type: ignore[arg-type]

    def damage(self, chance: random.Random, *, own_key: str | None = None) -> str:
        """Put nonsense under one key, and return what it is called behind the queue's name."""
        own = {"wait", "active", "id", "meta"}
        keys = sorted(
            key[len(self.key("")) :]
            for key in self.server.keys(self.prefix)
            if key.startswith(self.key(""))
        )
        ids = sorted({one.id for one in self.held if one.queue == self.queue} | {"P0", "P1"})
        suffix = own_key
        if suffix is None:
            spared = {job_id for queue, job_id in self.neighbours if queue == self.queue}
            keys = [one for one in keys if one.split(":")[0] not in spared]
            jobs = [
                one
                for one in keys
                if one not in own and one.split(":")[0] not in (*COMFORT, "meta")
            ]
            jobs += ["de:one", "dn:one", *(f"{one}:{part}" for one in ids for part in PARTS)]
            jobs += ids * 3
            suffix = chance.choice(jobs)
        kind = self.server.command("TYPE", self.key(suffix))
        nonsense = chance.choice(NONSENSE)
        if kind == "hash" and chance.random() < 0.75:
            names = META if suffix == "meta" else FIELDS
            if suffix.startswith("dn:"):
                names = ASIDE
            if suffix.startswith("metrics"):
                names = METRICS
            for _ in range(chance.randint(1, 3)):
                field = chance.choice(names)
                if chance.random() < 0.2:
                    self.do("HDEL", suffix, field)
                else:
                    some = [one for one in NONSENSE if field != "max" or one not in ("1", "1.5")]
                    self.do("HSET", suffix, field, chance.choice(some))
        elif kind == "zset" and chance.random() < 0.5:
            self.do(
                "ZADD",
                suffix,
                chance.choice(["inf", "-inf", 1e300, -5, 0.5]),
                chance.choice(NONSENSE),
            )
        elif kind == "string" and chance.random() < 0.5:
            self.do("SET", suffix, nonsense)
        else:
            self.do("DEL", suffix)
            makers: list[Callable[[], Any]] = [
                lambda: self.do("SET", suffix, nonsense),
                lambda: self.do("RPUSH", suffix, nonsense, "x"),
                lambda: self.do("SADD", suffix, nonsense, "x"),
                lambda: self.do("ZADD", suffix, chance.choice(["inf", "-inf", 7]), nonsense),
                lambda: self.do("HSET", suffix, nonsense, nonsense),
                lambda: self.do("XADD", suffix, "*", "a", "b"),
                lambda: None,
            ]
            chance.choice(makers)()
        return suffix
