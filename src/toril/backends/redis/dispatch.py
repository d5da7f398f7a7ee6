"""The hot path: exchanges outcomes for new jobs, renews leases, recovers jobs of dead workers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.exchanging import Exchanging, queues_of
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.requests import QueueIndex
from toril.backends.redis.scripts import script
from toril.backends.redis.slots import SlotCalls, SlotExchanges, all_at_once
from toril.backends.redis.standing import SHORTEST_LEASE_MS, RedisBlockingClaim
from toril.backends.redis.wakeups import WakeUps
from toril.backends.redis.workers import RedisWorkers
from toril.core.errors import StoreForeignError
from toril.engine.contract.dispatch import (
    AttemptMessage,
    Exchange,
    ExchangeReply,
    FenceResult,
    HeldJob,
    Recovery,
    Renewal,
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
        known: QueueRegister,
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
        self._slots = SlotCalls(client, keys)
        self._slot_exchanges = SlotExchanges(self._slots, exchanging)
        self._lost = exchanging.lost
        self._speaking: dict[str, set[asyncio.Future[None]]] = {}
        self._looked_s = -math.inf
        """When all queues were looked over last."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        # Those that are lost from here on are not this exchange's to find.
        lost_tokens: Sequence[str] = ()
        if exchange.worker_id in self._lost:
            lost_tokens = self._lost.of(exchange.worker_id, queues_of(exchange))
        if not self._known.serves(exchange.claims):
            exchange = await self._without_refused(exchange)
        # What tasks have said must be there first: with their outcome they lose the right to it.
        if speaking := self._speaking.get(exchange.worker_id):
            await asyncio.wait(speaking)
        seen = self._wake_ups.version()
        if self._client.clustered:
            reply = await self._slot_exchanges.send(exchange, lost_tokens)
        else:
            reply = await self.exchanging.send(self.exchanging.call(exchange, lost_tokens))
        reply.seen = seen
        return reply

    async def _without_refused(self, exchange: Exchange) -> Exchange:
        """Return an exchange without its claims on queues that no worker of ours may serve."""
        try:
            claims = await self._known.served(exchange.claims)
        except StoreForeignError:
            if not exchange.outcomes:
                raise
            claims = []  # the next exchange raises, when the outcomes have been stored
        return msgspec.structs.replace(exchange, claims=claims)

    def together(self, queues: Sequence[str]) -> bool:
        if not self._client.clustered:
            return True
        return len(set(map(self._slots.slot, queues))) <= 1

    async def wait(self, queues: Sequence[str], seen: int, *, timeout_s: float) -> None:
        if any(map(self._known.is_refused, queues)):  # its markers are for Node's workers
            queues = [queue for queue in queues if not self._known.is_refused(queue)]
        await self._wake_ups.wait(queues, seen, self._known.poll_s(queues, timeout_s))

    def standing(self, *, lease_ms: int) -> RedisBlockingClaim | None:
        # A Cluster's queues may lie on several nodes, of which one connection reaches one. A test's
        # clock goes on while a claim stands.
        if (
            self._client.clustered is not False
            or self._moments.frozen()
            or lease_ms < SHORTEST_LEASE_MS
        ):
            return None
        return RedisBlockingClaim(
            self._client, self._keys, self._known, self.exchanging, lease_ms=lease_ms
        )

    def renew(self, worker_id: str, held: Sequence[HeldJob]) -> Renewal:
        return self._client.sync(lambda: self._renew(held))

    async def _renew(self, held: Sequence[HeldJob]) -> Renewal:
        renewal = Renewal([], [])
        groups = self._slots.groups(held, lambda hold: hold.queue)
        answers = await all_at_once([self._renew_group(group) for group in groups])
        for group, (lost, cancelled) in zip(groups, answers, strict=True):
            renewal.lost.extend(group[place - 1] for place in lost)
            renewal.cancelled.extend((group[place - 1], reason) for place, reason in cancelled)
        return renewal

    async def _renew_group(self, held: Sequence[HeldJob]) -> Any:
        places = QueueIndex()
        arguments: list[str | int] = []
        for hold in held:
            arguments += (
                places.of(hold.queue), hold.number, hold.token, hold.attempt, hold.lease_ms,
            )  # fmt: skip
        return await self._client.run(
            script("renew"), self._metas(places), self._moments.frozen(), *arguments
        )

    async def speak(self, said: Sequence[AttemptMessage]) -> list[FenceResult]:
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

    async def _speak(self, said: Sequence[AttemptMessage]) -> list[FenceResult]:
        words: list[FenceResult] = ["ok"] * len(said)
        groups = self._slots.groups(enumerate(said), lambda one: one[1].queue)
        answers = await all_at_once([self._speak_group(group) for group in groups])
        for group, late in zip(groups, answers, strict=True):
            for place in late:
                words[group[place - 1][0]] = "lease_lost"
        return words

    async def _speak_group(self, said: Sequence[tuple[int, AttemptMessage]]) -> Any:
        places = QueueIndex()
        arguments: list[str | int] = []
        for _, speech in said:
            lines = [] if speech.line is None else [speech.line]
            arguments += (
                places.of(speech.queue), speech.job_id, speech.token, speech.attempt,
                speech.progress or "", speech.data or "", speech.keep_logs,
                msgspec.json.encode(lines).decode(),
            )  # fmt: skip
        return await self._client.run(
            script("speak"), self._metas(places), self._moments.frozen(), *arguments
        )

    async def recover(
        self, *, max_stalled: int, heartbeat_s: float, limit: int, fresh_ms: int = 0
    ) -> Recovery:
        dead, look_again_ms = await self._workers.check(heartbeat_s)
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
                    await self._workers.bury(worker)
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

    def _metas(self, places: QueueIndex) -> list[str]:
        return [self._keys.meta(queue) for queue in places.names]
