"""Lets a claim wait at the server: the server runs it as soon as a job arrives.

An idle worker sends two commands together on a blocking connection: one that blocks on the markers
of its queues, and the exchange. The server runs the exchange when the first command returns. The
worker gets the job itself, not only a message that there is one, which saves a round trip.

If the worker's machine dies, the server may still claim jobs for it, and those wait until their
leases expire. So a waiting claim is for few jobs, and expires soon.
"""

from __future__ import annotations

import asyncio

import msgspec

from toril.backends.redis.client import BlockingConnection, Client
from toril.backends.redis.client.protocol import Argument, ReplyError
from toril.backends.redis.exchanging import Exchanging
from toril.backends.redis.keys import Keys
from toril.backends.redis.queue_register import QueueRegister
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


class RedisBlockingClaim:
    """The role `Standing`: one worker's."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        known: QueueRegister,
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
        self._connection: BlockingConnection | None = None
        self._stands = False
        self._many = self._released = 0
        """How many exchanges have been made, and up to which they were released: those after it
        stand."""
        self._releasing: asyncio.Task[None] | None = None

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        if not self._known.serves(exchange.claims):
            claims = await self._known.served(exchange.claims)
            exchange = msgspec.structs.replace(exchange, claims=claims)
        markers = [self._keys.marker(claim.queue) for claim in exchange.claims]
        if self._connection is None or self._connection.closed:
            self._connection = await self._client.open_blocking(markers[0])
        call = self._exchanging.call(exchange)
        run: list[Argument] = [
            "EVALSHA",
            script("exchange").sha,
            len(call.metas),
            *call.metas,
            *call.arguments,
        ]
        connection = self._connection
        stands_s = self._stands_s if connection.can_unblock else min(self._stands_s, SHORT_S)
        stands_s = self._known.poll_s((claim.queue for claim in exchange.claims), stands_s)
        block: list[Argument] = ["BZPOPMIN", *dict.fromkeys(markers), stands_s]
        self._stands = True
        self._many += 1
        try:
            blocked, answer = await connection.call_both(block, run, timeout_s=stands_s)
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
        may_end = self._connection is not None and self._connection.can_unblock
        self._released = self._many
        if self._stands and may_end and (self._releasing is None or self._releasing.done()):
            self._releasing = self._loop.create_task(self._release())

    async def close(self) -> None:
        if self._releasing is not None:
            self._releasing.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _release(self) -> None:
        while self._stands and self._many <= self._released and self._connection is not None:
            try:
                await self._connection.unblock()
            except BackendError:
                await self._connection.close()
                return
            await asyncio.sleep(AGAIN_S)
