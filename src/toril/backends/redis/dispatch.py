"""The hot path: outcomes in, claims out, leases, recovery."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.exchanging import Exchanging, queues_of
from toril.backends.redis.keys import Keys
from toril.backends.redis.known import KnownQueues
from toril.backends.redis.moments import Moments
from toril.backends.redis.requests import Places
from toril.backends.redis.scripts import script
from toril.backends.redis.standing import SHORTEST_LEASE_MS, RedisStanding
from toril.backends.redis.wakeups import WakeUps
from toril.backends.redis.workers import RedisWorkers
from toril.core.errors import BackendError
from toril.engine.contract.dispatch import (
    Exchange,
    ExchangeReply,
    Hold,
    Recovery,
    Renewal,
    Speech,
    Word,
)

LOOK_CHUNK = 1000
"""Active jobs that one call of a sweep looks at."""
NAMES_HOLD_S = 60.0
"""For how long sweeps go by the queues that were on the register: an idle worker costs little."""


class RedisDispatch:
    """The role `Dispatch`."""

    exchanges_at_once = 2

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: KnownQueues,
        wake_ups: WakeUps,
        workers: RedisWorkers,
        exchanging: Exchanging,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._wake_ups = wake_ups
        self._workers = workers
        self.exchanging = exchanging
        self._lost = exchanging.lost
        self._standings: weakref.WeakSet[RedisStanding] = weakref.WeakSet()
        self._speaking: dict[str, set[asyncio.Future[None]]] = {}
        self._looked_s = -math.inf
        """When all queues were looked over last."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        # Those that are lost from here on are not this exchange's to find.
        lost_tokens: Sequence[str] = ()
        if exchange.worker_id in self._lost:
            lost_tokens = self._lost.of(exchange.worker_id, queues_of(exchange))
        for claim in exchange.claims:
            await self._known.serve(claim.queue)
        # What tasks have said must be there first: with their outcome they lose the right to it.
        if speaking := self._speaking.get(exchange.worker_id):
            await asyncio.wait(speaking)
        seen = self._wake_ups.version()
        if self._client.clustered:
            reply = await self._exchange_by_slot(exchange, lost_tokens)
        else:
            reply = await self.exchanging.send(self.exchanging.call(exchange, lost_tokens))
        reply.seen = seen
        return reply

    async def _exchange_by_slot(
        self, exchange: Exchange, lost_tokens: Sequence[str]
    ) -> ExchangeReply:
        """Exchange with each slot in turn: a script cannot reach over several."""
        whole = ExchangeReply(["lease_lost"] * len(exchange.outcomes), [], None, 0)
        slots: dict[int | None, set[str]] = {}
        for queue in queues_of(exchange):
            slots.setdefault(self._client.slot(self._keys.meta(queue)), set()).add(queue)
        done: list[tuple[set[str], list[str]]] = []
        for names in slots.values():
            places = [index for index, one in enumerate(exchange.outcomes) if one.queue in names]
            part = Exchange(
                exchange.worker_id,
                [exchange.outcomes[index] for index in places],
                [claim for claim in exchange.claims if claim.queue in names],
                exchange.room - len(whole.claimed),
            )
            theirs_lost = self._lost.of(exchange.worker_id, names)
            lost_here = [one for one in theirs_lost if one in lost_tokens]
            call = self.exchanging.call(part, lost_here)
            done.append((names, [*lost_here, call.token]))
            try:
                reply = await self.exchanging.send(call)
            except BackendError:
                # The caller gets nothing of what went well, so for it those replies are lost too.
                for theirs, tokens in done[:-1]:
                    for earlier in tokens:
                        self._lost.add(exchange.worker_id, theirs, earlier)
                raise
            for index, word in zip(places, reply.words, strict=True):
                whole.words[index] = word
            whole.claimed += reply.claimed
            waits = [ms for ms in (whole.next_due_ms, reply.next_due_ms) if ms is not None]
            whole.next_due_ms = min(waits, default=None)
        return whole

    def together(self, queues: Sequence[str]) -> bool:
        if not self._client.clustered:
            return True
        return len({self._client.slot(self._keys.meta(queue)) for queue in queues}) <= 1

    async def wait(self, queues: Sequence[str], seen: int, *, timeout_s: float) -> None:
        await self._wake_ups.wait(queues, seen, self._known.poll_s(queues, timeout_s))

    def wake(self) -> None:
        self._wake_ups.wake()
        for standing in list(self._standings):
            standing.release_soon()

    def standing(self, *, lease_ms: int) -> RedisStanding | None:
        # A Cluster's queues may lie on several nodes, of which one connection reaches one. A test's
        # clock goes on while a claim stands.
        if (
            self._client.clustered is not False
            or self._moments.frozen()
            or lease_ms < SHORTEST_LEASE_MS
        ):
            return None
        standing = RedisStanding(
            self._client, self._keys, self._known, self.exchanging, lease_ms=lease_ms
        )
        self._standings.add(standing)
        return standing

    def renew(self, worker_id: str, held: Sequence[Hold]) -> Renewal:
        self._client.check_open()
        renewal = Renewal([], [])
        for group in self._by_slot(held):
            places = Places()
            arguments: list[str | int] = []
            for hold in group:
                arguments += (
                    places.of(hold.queue), hold.number, hold.token, hold.attempt, hold.lease_ms,
                )  # fmt: skip
            lost, cancelled = self._client.run_blocking(
                script("renew"), self._metas(places), self._moments.frozen(), *arguments
            )
            renewal.lost.extend(group[place - 1] for place in lost)
            renewal.cancelled.extend((group[place - 1], reason) for place, reason in cancelled)
        return renewal

    async def speak(self, said: Sequence[Speech]) -> list[Word]:
        if not said:
            return []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        speaking = self._speaking.setdefault(said[0].token.rpartition(":")[0], set())
        speaking.add(done)
        try:
            return await self._speak(said)
        finally:
            speaking.discard(done)
            done.set_result(None)

    async def _speak(self, said: Sequence[Speech]) -> list[Word]:
        words: dict[int, Word] = {}
        for group in self._by_slot(list(enumerate(said)), key=lambda one: one[1].queue):
            places = Places()
            arguments: list[str | int] = []
            for _, speech in group:
                lines = [] if speech.line is None else [speech.line]
                arguments += (
                    places.of(speech.queue), speech.job_id, speech.token, speech.attempt,
                    speech.progress or "", speech.keep_logs, msgspec.json.encode(lines).decode(),
                )  # fmt: skip
            late = await self._client.run(
                script("speak"), self._metas(places), self._moments.frozen(), *arguments
            )
            for index, _ in group:
                words[index] = "ok"
            for place in late:
                words[group[place - 1][0]] = "lease_lost"
        return [words[index] for index in range(len(said))]

    async def recover(
        self, *, max_stalled: int, heartbeat_s: float, limit: int, fresh_ms: int = 0
    ) -> Recovery:
        dead, look_again_ms = await self._workers.look(heartbeat_s)
        looked = not self._moments.frozen() and time.monotonic() - self._looked_s < fresh_ms / 1000
        if looked and not dead:
            return Recovery([], [], look_again_ms)
        theirs = {queue for worker in dead for queue in worker.queues}
        names = await self._known.names(NAMES_HOLD_S if fresh_ms else 0.0)
        queues = sorted({*names, *theirs})
        recovery = Recovery([], [], look_again_ms)
        for queue in queues:
            await self._recover_queue(
                queue,
                recovery,
                dead=[worker.id for worker in dead if queue in worker.queues],
                max_stalled=max_stalled,
                limit=limit,
                fresh_ms=0 if queue in theirs else fresh_ms,
            )
        if len(recovery.recovered) < limit:
            self._looked_s = time.monotonic()
            for worker in dead:
                if worker.buried:
                    await self._workers.deregister(worker.id)
        return recovery

    async def _recover_queue(
        self,
        queue: str,
        recovery: Recovery,
        *,
        dead: Sequence[str],
        max_stalled: int,
        limit: int,
        fresh_ms: int,
    ) -> None:
        start = 0
        while start >= 0:
            room = limit - len(recovery.recovered)
            if room <= 0:
                if fresh_ms:  # there is more to do: the next call must not pass this queue over
                    await self._client.call("DEL", self._keys.of(queue, "stalled-check"))
                return
            start, taken, *problem = await self._client.run(
                script("recover"),
                [self._keys.meta(queue)],
                self._moments.frozen(),
                max_stalled,
                room,
                fresh_ms,
                start,
                LOOK_CHUNK,
                *dead,
            )
            if problem:
                self.exchanging.problems.report(queue, problem[0])
            for job_id, fate in taken:
                recovery.recovered.append((queue, job_id))
                if fate == "fails":
                    recovery.quarantined.append((queue, job_id))

    async def trim(self, *, limit: int) -> int:
        removed = 0
        for queue in sorted(await self._known.names(NAMES_HOLD_S)):
            if removed < limit:
                removed += await self._client.run(
                    script("trim"),
                    [self._keys.meta(queue)],
                    self._moments.frozen(),
                    limit - removed,
                )
        return removed

    def _metas(self, places: Places) -> list[str]:
        return [self._keys.meta(queue) for queue in places.names]

    def _by_slot(self, all_of_them: Sequence[Any], key: Any = None) -> list[list[Any]]:
        """Return them in groups that one script call can reach."""
        if not all_of_them:
            return []
        if not self._client.clustered:
            return [list(all_of_them)]
        groups: dict[int | None, list[Any]] = {}
        for one in all_of_them:
            queue = one.queue if key is None else key(one)
            groups.setdefault(self._client.slot(self._keys.meta(queue)), []).append(one)
        return list(groups.values())
