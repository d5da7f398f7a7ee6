"""The register of workers: which run, their heartbeats, and which have died."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.lost import LostExchanges
from toril.backends.redis.moments import Moments
from toril.backends.redis.presence import Presence
from toril.backends.redis.scripts import script
from toril.core.errors import StoreDeniedError, StoreFullError
from toril.core.reading import whole
from toril.engine.contract.workers import (
    LOST_KEPT,
    About,
    Claiming,
    Heard,
    LostWorker,
    WorkerRecord,
    claiming_of,
)

DAY_MS = 86_400_000
"""For how long a beat is kept; what is left of it tells its age."""

_DECODER = msgspec.json.Decoder(WorkerRecord)
_LOST = msgspec.json.Decoder(LostWorker)


BURY_S = 15.0
"""How long a dead worker stays on the register, in seconds. Until then the server may still claim
jobs for it (`standing.py`)."""


class Silent(NamedTuple):
    """A worker that is known to be dead."""

    id: str
    queues: list[str]
    worker: WorkerRecord | None
    """None: what it said of itself cannot be read."""
    age_ms: int | None
    """How long it was silent. None: it was declared dead."""
    buried: bool
    """The server can claim no more jobs for it."""


class HeartbeatCheck(NamedTuple):
    """The result of checking all heartbeats."""

    dead: list[Silent]
    look_again_ms: int | None
    """When the next worker may turn out to be dead, in ms from now. None: there is no other."""


class RedisWorkers:
    """The role `Workers`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments, lost: LostExchanges) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._lost = lost
        self._presence = Presence(client, keys)

    async def register(self, worker: WorkerRecord) -> None:
        report = _report(
            worker.running, claiming_of(worker), worker.resident_bytes, worker.concurrency
        )
        await self._client.many(
            [
                ["SET", self._keys.beat(worker.id), report, *self._for_a_day()],
                ["HSET", self._keys.workers, worker.id, msgspec.json.encode(worker).decode()],
            ]
        )
        for queue in worker.queues:
            await self._client.call("SADD", self._keys.queues, queue)
        self._presence.show(worker)

    def beat(
        self,
        worker_id: str,
        *,
        running: int,
        concurrency: int,
        claiming: Claiming,
        resident_bytes: int,
    ) -> Heard:
        key, for_a_day = self._keys.beat(worker_id), self._for_a_day()
        report = _report(running, claiming, resident_bytes, concurrency)
        asked = ["HMGET", self._keys.wishes, worker_id, _size_of(worker_id)]
        try:
            said, wishes = self._client.sync(
                lambda: self._client.many([["SET", key, report, "XX", *for_a_day], asked])
            )
            return Heard(said is not None, *wishes)
        except StoreFullError:
            # What is said is not taken now, but that it was said: nobody takes us for dead.
            word = "PEXPIREAT" if for_a_day[0] == "PXAT" else "PEXPIRE"
            known = self._client.sync(lambda: self._client.call(word, key, for_a_day[1]))
            return Heard(bool(known))

    async def tell(self, worker_id: str, wish: str, *, about: About = "claiming") -> bool:
        field = _size_of(worker_id) if about == "size" else worker_id
        await self._client.call("HSET", self._keys.wishes, field, wish)
        # Checked afterwards: if it has left meanwhile, its wish goes with it, or here.
        if await self._client.call("EXISTS", self._keys.beat(worker_id)):
            return True
        await self._client.call("HDEL", self._keys.wishes, field)
        return False

    async def deregister(self, worker_id: str) -> None:
        await self._presence.hide(worker_id)
        if self._lost.forget(worker_id):
            # It may hold jobs that it never heard of: others need not await their leases.
            await self.declare_dead(worker_id)
            return
        await self._client.many(
            [
                ["HDEL", self._keys.workers, worker_id],
                ["DEL", self._keys.beat(worker_id)],
                ["HDEL", self._keys.wishes, worker_id, _size_of(worker_id)],
            ]
        )

    async def lost(self) -> list[LostWorker]:
        found: dict[str, LostWorker] = {}
        for text in await self._client.call("LRANGE", self._keys.lost, 0, LOST_KEPT - 1):
            with suppress(ValueError, RecursionError):  # nonsense, which none of ours has written
                one = _LOST.decode(text)
                found.setdefault(one.id, one)
        return list(found.values())

    async def list(self) -> list[WorkerRecord]:
        return sorted(
            (worker for worker, is_dead in await self._all() if not is_dead),
            key=lambda worker: (worker.started_ms, worker.id),
        )

    async def declare_dead(self, worker_id: str) -> None:
        await self._client.call("DEL", self._keys.beat(worker_id))

    async def foreign(self, queue: str) -> int | None:
        ours = {self._keys.client_name(queue, one) for one in await self._ids()}
        theirs = self._keys.client_name(queue, "")  # with a name of the worker's own behind it
        plain = theirs.removesuffix(":w:")
        found = 0
        try:
            for node in await self._client.nodes():
                words = (await node.call("CLIENT", "LIST")).split()
                names = [word[len("name=") :] for word in words if word.startswith("name=")]
                found += sum(
                    name == plain or (name.startswith(theirs) and name not in ours)
                    for name in names
                )
        except StoreDeniedError:
            return None
        return found

    async def _ids(self) -> Sequence[str]:
        ids: Sequence[str] = await self._client.call("HKEYS", self._keys.workers)
        return ids

    async def check(self, heartbeat_s: float) -> HeartbeatCheck:
        """Find the workers that were silent for longer, or were declared dead.

        One small command for each: this is done every few seconds by every worker.
        """
        limit_ms = round(heartbeat_s * 1000)
        ids = await self._ids()
        ages = await self._beat_ages(ids)
        silent = [
            worker_id
            for worker_id, age_ms in zip(ids, ages, strict=True)
            if age_ms is None or age_ms > limit_ms
        ]
        alive = [age_ms for age_ms in ages if age_ms is not None and age_ms <= limit_ms]
        look_again_ms = limit_ms - max(alive) if alive else None
        if not silent:
            return HeartbeatCheck([], look_again_ms)
        described = await self._client.call("HMGET", self._keys.workers, *silent)
        found = {
            worker_id: _read(text)
            for worker_id, text in zip(silent, described, strict=True)
            if text is not None
        }
        bury_ms = limit_ms + round(BURY_S * 1000)
        dead = [
            Silent(
                worker_id,
                # One that cannot be read is buried like any other: what it held comes back when its
                # leases end.
                [] if (worker := found[worker_id]) is None else worker.queues,
                worker,
                age_ms,
                age_ms is None or age_ms > bury_ms,
            )
            for worker_id, age_ms in zip(ids, ages, strict=True)
            if worker_id in found
        ]
        return HeartbeatCheck(dead, look_again_ms)

    async def bury(self, silent: Silent) -> None:
        """Take a dead worker off the register, and note that it was lost."""
        if (worker := silent.worker) is not None:
            note = LostWorker(
                id=worker.id,
                host=worker.host,
                pid=worker.pid,
                queues=worker.queues,
                seen_ms=self._moments.now_ms() - (silent.age_ms or 0),
            )
            await self._client.many(
                [
                    ["LPUSH", self._keys.lost, msgspec.json.encode(note).decode()],
                    ["LTRIM", self._keys.lost, 0, LOST_KEPT - 1],
                ]
            )
        await self.deregister(silent.id)

    async def _beat_ages(self, worker_ids: Sequence[str]) -> Sequence[int | None]:
        """Return how long ago each was heard of, in ms; None: it was declared dead."""
        frozen = self._moments.frozen()
        word, until_ms = ("PEXPIRETIME", int(frozen)) if frozen else ("PTTL", 0)
        left = await self._client.many([[word, self._keys.beat(one)] for one in worker_ids])
        return [None if ms < 0 else max(0, DAY_MS + until_ms - ms) for ms in left]

    async def close(self) -> None:
        """End the connections that show workers."""
        await self._presence.close()

    async def _all(self) -> Sequence[tuple[WorkerRecord, bool]]:
        """Return the workers on the register, and whether each is known to be dead."""
        rows = await self._client.run(
            script("workers"), [self._keys.workers], self._moments.frozen()
        )
        found: list[tuple[WorkerRecord, bool]] = []
        for described, report, left_ms in rows:
            worker = _read(described)
            if worker is None:
                continue
            if report is None:
                found.append((worker, True))
                continue
            running, claiming, resident_bytes, size = [*report.split(" "), "", "", ""][:4]
            now = msgspec.structs.replace(
                worker,
                running=whole(running),
                concurrency=whole(size) or worker.concurrency,
                quiet=claiming == "quiet",
                paused=claiming == "paused",
                resident_bytes=whole(resident_bytes),
                beat_age_ms=max(0, DAY_MS - left_ms),
            )
            found.append((now, False))
        return found

    def _for_a_day(self) -> tuple[str, int]:
        """Return the end of a beat's key, as an option of SET."""
        frozen = self._moments.frozen()
        return ("PXAT", int(frozen) + DAY_MS) if frozen else ("PX", DAY_MS)


def _read(described: str) -> WorkerRecord | None:
    """Return a worker from the register. None: it is nonsense, which none of ours has written."""
    try:
        return _DECODER.decode(described)
    except (ValueError, RecursionError):
        return None


def _report(running: int, claiming: Claiming, resident_bytes: int, concurrency: int) -> str:
    return f"{running} {claiming} {resident_bytes} {concurrency}"


def _size_of(worker_id: str) -> str:
    """Return the field of a wish about a worker's size."""
    return f"{worker_id}:size"
