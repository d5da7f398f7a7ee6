"""A claim that stands: the server runs it by itself as soon as a queue has something to take.

On a connection apart two commands are sent together: one that blocks on the queues' markers, and
the exchange. The server runs the second when the first has ended. So an idle worker is not told
that there is a job, only to ask for it: it is given the job, one way to the server and back sooner.

If the worker's machine dies in silence, what is claimed for it afterwards waits for the end of its
lease: so a claim is for few jobs, and stands for a while only.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from toril.backends.redis.client import Client, Line
from toril.backends.redis.exchanging import Exchanging
from toril.backends.redis.keys import Keys
from toril.backends.redis.known import KnownQueues
from toril.backends.redis.protocol import ReplyError, Word
from toril.backends.redis.scripts import script
from toril.core.errors import BackendError, StoreUnreachableError
from toril.engine.contract.dispatch import Exchange, ExchangeReply

AGAIN_S = 0.01
"""Between two tries to end a claim: the first may come before the server has begun to block."""
SHARE_OF_LEASE = 0.5
"""For how long a claim stands, as a share of its lease. What a machine that has died was running is
taken back once that has ended, and at least two thirds of it are left when it dies: until then its
claim must stand no more, or it would get the same jobs again."""
LONGEST_S = 12.0
"""Longest time that a claim stands. A dead worker's claim may outlast the worker by that much. So
the worker stays on the register until the claim has ended (`workers.py`, BURY_S), and jobs claimed
for it meanwhile are recovered at the next sweep."""
SHORTEST_LEASE_MS = 1000
"""With shorter leases no claim stands: a server that has nothing to do looks only ten times in a
second whose time is over."""
SHORT_S = 1.0
"""The same for users without the right to `CLIENT UNBLOCK`, who cannot end it early."""
TROUBLE_S = 0.5
"""A server that will not block is asked again after so long."""


class RedisStanding:
    """The role `Standing`: one worker's."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        known: KnownQueues,
        exchanging: Exchanging,
        *,
        lease_ms: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._known = known
        self._exchanging = exchanging
        self._stands_s = min(LONGEST_S, lease_ms / 1000 * SHARE_OF_LEASE)
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._stands = False
        self._releasing: asyncio.Task[None] | None = None

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        for claim in exchange.claims:
            await self._known.serve(claim.queue)
        markers = [self._keys.marker(claim.queue) for claim in exchange.claims]
        if self._line is None or self._line.closed:
            self._line = await self._client.line(markers[0])
        call = self._exchanging.call(exchange)
        run: list[Word] = [
            "EVALSHA",
            script("exchange").sha,
            len(call.metas),
            *call.metas,
            *call.arguments,
        ]
        line = self._line
        stands_s = self._stands_s if line.can_unblock else min(self._stands_s, SHORT_S)
        stands_s = self._known.poll_s((claim.queue for claim in exchange.claims), stands_s)
        block: list[Word] = ["BZPOPMIN", *dict.fromkeys(markers), stands_s]
        self._stands = True
        try:
            blocked, answer = await line.call_both(block, run, timeout_s=stands_s)
        except StoreUnreachableError as error:
            call.failed(error)
            raise
        finally:
            self._stands = False
        if isinstance(answer, ReplyError):
            # Nothing was done. By the way of all other calls the cause is mended, or told.
            reply = await self._exchanging.send(self._exchanging.call(exchange))
        else:
            reply = call.read(answer)
            if blocked is None:
                for job in reply.claimed:  # nobody had written the marker for it
                    self._known.note_silent(job.queue)
        if isinstance(blocked, ReplyError) and not reply.claimed:
            await asyncio.sleep(TROUBLE_S)
        return reply

    def release(self) -> None:
        # Where it cannot be ended it ends soon by itself.
        may_end = self._line is not None and self._line.can_unblock
        if self._stands and may_end and (self._releasing is None or self._releasing.done()):
            self._releasing = self._loop.create_task(self._release())

    def release_soon(self) -> None:
        """`release`, from any thread."""
        with suppress(RuntimeError):  # that loop was closed; nobody is left to wait
            self._loop.call_soon_threadsafe(self.release)

    async def close(self) -> None:
        if self._releasing is not None:
            self._releasing.cancel()
        if self._line is not None:
            await self._line.close()

    async def _release(self) -> None:
        while self._stands and self._line is not None:
            try:
                await self._line.unblock()
            except BackendError:
                await self._line.close()
                return
            await asyncio.sleep(AGAIN_S)
