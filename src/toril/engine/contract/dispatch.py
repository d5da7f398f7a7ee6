"""What workers do: claim jobs, report outcomes, renew leases, recover the jobs of dead workers.

The hot path is `exchange`: one call reports any number of outcomes and claims up to as many jobs as
the worker has free slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from toril.engine.job import Claimed, Finished

FenceResult = Literal["ok", "lease_lost"]
"""The store's answer to a call that carries a token. `lease_lost`: the token no longer holds the
job, and the call changed nothing."""


class Claim(msgspec.Struct, frozen=True):
    """A request for up to `limit` jobs of one queue."""

    queue: str
    limit: int
    lease_ms: int
    rate_limit: int | None = None
    """Starts that the worker allows in a window. A limit of the queue's own replaces it."""
    rate_window_ms: int = 1000


class Exchange(msgspec.Struct):
    """One message of a worker: the outcomes that it reports and the jobs that it asks for."""

    worker_id: str
    outcomes: Sequence[Finished] = ()
    claims: Sequence[Claim] = ()
    """The store tries them in this order."""
    room: int = 0
    """How many jobs the worker has room for, over all claims."""


class ExchangeReply(msgspec.Struct):
    """The store's answer to an exchange."""

    words: list[FenceResult]
    """One for each outcome, in order."""
    claimed: list[Claimed]
    next_due_ms: int | None
    """In how many milliseconds more jobs may be ready: a delayed job comes due, or a rate window
    ends. None: nothing is known to come; `wait` tells."""
    seen: int
    """Pass this to `wait`: it reports what has become ready since this exchange."""


class HeldJob(msgspec.Struct, frozen=True):
    """A worker's lease on a job."""

    queue: str
    number: int | str
    token: str
    lease_ms: int
    attempt: int = 1
    """The number of the attempt, from 1: how often the job has been started."""


class Renewal(msgspec.Struct, frozen=True):
    """What a renewal found out about the jobs that a worker holds."""

    lost: list[HeldJob]
    """Jobs whose lease the worker has lost: they were recovered, or removed."""
    cancelled: list[tuple[HeldJob, str]]
    """Jobs that somebody has cancelled, each with the reason."""


class Recovery(msgspec.Struct, frozen=True):
    """What one call of `recover` did."""

    recovered: list[tuple[str, str]]
    """Queue and id of each job that went back in line."""
    quarantined: list[tuple[str, str]]
    """Which of the recovered jobs carry a deferred failure: they fail without another run."""
    look_again_ms: int | None = None
    """In how many milliseconds the next worker may turn out to be dead. None: no worker is on the
    register."""


class AttemptMessage(msgspec.Struct, frozen=True):
    """What a running task says: progress or another payload (JSON texts), or a log line."""

    queue: str
    number: int | str
    job_id: str
    token: str
    attempt: int = 1
    """The number of the attempt, from 1."""
    progress: str | None = None
    line: str | None = None
    keep_logs: int = 1000
    data: str | None = None
    """Replaces the job's payload, which the next attempt gets."""


class BlockingClaim(Protocol):
    """A blocking claim of one worker: the store answers as soon as there is a job to claim."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        """Block until a job is ready, and claim it in the same call of the store.

        Keep only one call in flight. The worker may make other exchanges meanwhile. If this raises,
        the store may have claimed all the same, as with `Dispatch.exchange`.

        Parameters:
            exchange: Claims only, no outcomes.
        """
        ...

    def release(self) -> None:
        """Make a blocked `exchange` return soon, with the jobs that it has claimed by then."""
        ...

    async def close(self) -> None:
        """Free the connection. First wait for `exchange` to return.

        Otherwise the jobs that it claims stay active until their leases expire.
        """
        ...


class Dispatch(Protocol):
    """Claims, leases and outcomes. Every change to a claimed job is fenced by the claim's token."""

    exchanges_at_once: int
    """How many exchanges of one worker may be in flight. Two: the store works on one while the
    worker prepares the other. One: a second would only wait for the first."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        """Apply outcomes, then claim. Atomic per job.

        The store first promotes delayed jobs that are due. It claims nothing from a queue that is
        paused, whose rate limit is used up or whose concurrency is full. It applies a job's keep
        policy when the job finishes.

        The store applies the exchanges of a worker in the order of the calls, each as a whole. If
        one fails, wait for all that are in flight, then send exactly one: it finds out what the
        failed ones did, and hands out again the jobs that they claimed.
        """
        ...

    def together(self, queues: Sequence[str]) -> bool:
        """Return whether one transaction can span these queues. Callable from any thread.

        A transaction spans any queues, except in a Redis Cluster, where it spans one slot. An
        outcome and its follow-up jobs are one transaction, so their queues must be together. Ask
        only after the first exchange: before it, a store may not know yet.
        """
        ...

    async def wait(self, queues: Sequence[str], seen: int, *, timeout_s: float) -> None:
        """Wait until a job may have become ready since `seen`, or until the timeout.

        It may return too early, but never too late. So a caller that finds nothing to claim calls
        it again with the newest `seen`.
        """
        ...

    def standing(self, *, lease_ms: int) -> BlockingClaim | None:
        """Return a blocking claim for one worker, bound to this event loop.

        None: this store has none that saves a round trip; use `wait`, then `exchange`. Ask only
        after the first exchange: before it, a store may not know yet.

        Parameters:
            lease_ms: The lease of the jobs that it claims.
        """
        ...

    def renew(self, worker_id: str, held: Sequence[HeldJob]) -> Renewal:
        """Renew the leases of held jobs: each ends its own `lease_ms` from now.

        This call blocks, and needs no event loop: the lease thread makes it, so that a task which
        blocks the event loop loses no lease. A lease that has expired is renewed too, unless the
        job was recovered meanwhile.
        """
        ...

    async def speak(self, said: Sequence[AttemptMessage]) -> list[FenceResult]:
        """Store what running attempts say, in order. One word for each.

        A payload is as durable as an outcome. Progress and log lines need not be.
        """
        ...

    async def recover(
        self, *, max_stalled: int, heartbeat_s: float, limit: int, fresh_ms: int = 0
    ) -> Recovery:
        """Recover up to `limit` jobs whose lease has expired, or whose worker is dead.

        The store puts a recovered job at the front of the line of its priority and counts a stall.
        It counts none if the worker died before the job began, that is, before the first renewal
        of its lease. A job that has stalled more than `max_stalled` times, or was cancelled, gets a
        deferred failure: the next worker fails it without running it. A retry or a snooze resets
        the count. The store takes a dead worker off the register once it holds no jobs.

        Parameters:
            max_stalled: Stalls that a job survives.
            heartbeat_s: A worker that has sent no heartbeat for longer is dead.
            limit: Jobs in one call.
            fresh_ms: A hint: a store that scans for expired leases may skip a queue that some
                worker has scanned within so long. Jobs of dead workers are recovered regardless.
        """
        ...

    async def trim(self, *, limit: int) -> int:
        """Remove finished jobs that are older than their queue keeps them. Return how many.

        `exchange` does this whenever a job finishes; this call is for queues where none does.
        """
        ...
