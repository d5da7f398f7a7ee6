"""The hot path: one exchange finishes any number of jobs and claims as many as there are slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from toril.engine.job import Claimed, Finished

Word = Literal["ok", "lease_lost"]
"""What became of a transition that carried a token."""


class Claim(msgspec.Struct, frozen=True):
    """Take up to `limit` jobs of one queue."""

    queue: str
    limit: int
    lease_ms: int
    rate_limit: int | None = None
    """The worker's own limit; the queue's, where set, wins."""
    rate_window_ms: int = 1000


class Exchange(msgspec.Struct):
    """What a worker tells the store, and what it wants."""

    worker_id: str
    outcomes: Sequence[Finished] = ()
    claims: Sequence[Claim] = ()
    """In the order in which to try them."""
    room: int = 0
    """Claims in all."""


class ExchangeReply(msgspec.Struct):
    """What the store answers."""

    words: list[Word]
    """One for each outcome, in order. `lease_lost`: it changed nothing."""
    claimed: list[Claimed]
    next_due_ms: int | None
    """Nothing more can be claimed now, but something may in so many milliseconds: a delayed job,
    the end of a rate window. None: only an event will tell."""
    seen: int
    """Where `wait` begins."""


class Hold(msgspec.Struct, frozen=True):
    """A job that a worker holds."""

    queue: str
    number: int | str
    token: str
    lease_ms: int
    attempt: int = 1
    """Which start of the job it holds, from 1."""


class Renewal(msgspec.Struct, frozen=True):
    """What a beat found out about the jobs that a worker holds."""

    lost: list[Hold]
    """Those that belong to somebody else now."""
    cancelled: list[tuple[Hold, str]]
    """Those that somebody wants stopped, and why."""


class Recovery(msgspec.Struct, frozen=True):
    """What a sweep did."""

    recovered: list[tuple[str, str]]
    """Queue and id of jobs that went back in line."""
    quarantined: list[tuple[str, str]]
    """Of those, the ones that will fail without another run."""
    look_again_ms: int | None = None
    """In how many milliseconds a worker may turn out to be dead that is not yet. None: no word."""


class Speech(msgspec.Struct, frozen=True):
    """What a running task said: progress (JSON text) or a log line."""

    queue: str
    number: int | str
    job_id: str
    token: str
    attempt: int = 1
    """Which start of the job says it, from 1."""
    progress: str | None = None
    line: str | None = None
    keep_logs: int = 1000


class Standing(Protocol):
    """One worker's claim that stands: it is honoured as soon as there is something to take."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        """Wait as `Dispatch.wait` does, and then claim, in the same call of the store.

        The store may have done it although this raises, as with `Dispatch.exchange`; other
        exchanges of the worker may be under way meanwhile.

        Parameters:
            exchange: Without outcomes. One at a time.
        """
        ...

    def release(self) -> None:
        """Have `exchange` return soon, with what it may have claimed by then."""
        ...

    async def close(self) -> None:
        """Let go of what it holds. Not while a claim stands, unless nothing can be saved."""
        ...


class Dispatch(Protocol):
    """Claims, leases and outcomes. Every transition here is fenced by the claim's token."""

    exchanges_at_once: int
    """How many exchanges of one worker may be under way: two where the store works on one while the
    worker works on the other, one where they would only wait for each other."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        """Apply outcomes, then claim. Atomic per job.

        Due delayed jobs are promoted first. Paused queues, used-up rate limits and full global
        concurrency yield nothing. A job's own keep policy is applied when it finishes.

        Of several that are under way for one worker each is applied whole, in the order of the
        calls. After one has failed, none may be begun until the others have ended, and the next has
        to be alone: it settles what became of those that failed.
        """
        ...

    def together(self, queues: Sequence[str]) -> bool:
        """Return whether one transaction reaches all of these queues. From any thread.

        Everywhere but in a Redis Cluster, where it reaches one slot. Known after the first
        exchange. An outcome's follow-up jobs have to be together with its own queue.
        """
        ...

    async def wait(self, queues: Sequence[str], seen: int, *, timeout_s: float) -> None:
        """Return once something may be claimable that was not at `seen`, or after the timeout.

        May return too early, never too late: whoever is woken in vain looks and waits again.
        """
        ...

    def standing(self, *, lease_ms: int) -> Standing | None:
        """Return a standing claim for one worker, of this event loop.

        None: here it would be no better than `wait` and an exchange after it. Known after the first
        exchange.

        Parameters:
            lease_ms: The lease of its claims.
        """
        ...

    def renew(self, worker_id: str, held: Sequence[Hold]) -> Renewal:
        """Lengthen the leases of held jobs, each by its own `lease_ms` from now.

        A blocking call, made from the lease thread, that needs no event loop: a blocked one cannot
        keep it from its work. A lease that has ended is renewed too, unless the job was taken back.
        """
        ...

    async def speak(self, said: Sequence[Speech]) -> list[Word]:
        """Store progress and log lines of running attempts, in order."""
        ...

    async def recover(
        self, *, max_stalled: int, heartbeat_s: float, limit: int, fresh_ms: int = 0
    ) -> Recovery:
        """Take back up to `limit` jobs whose lease has ended, or whose worker is dead.

        They go to the front of their line, with their priority, and their stall is counted. Of a
        dead worker's jobs it is not, if the worker has not renewed the lease since the claim: it
        never began. Past `max_stalled`, or cancelled meanwhile, a job carries a deferred failure,
        so that the next worker fails it without running it. The count begins anew when an attempt
        ends in a retry or a snooze. Dead workers that hold nothing more leave the register.

        Parameters:
            max_stalled: Stalls that a job survives.
            heartbeat_s: A worker that was silent for longer is dead.
            limit: Jobs in one call.
            fresh_ms: A hint: a store to which looking is dear may pass over what somebody has
                looked over within so long. Jobs of dead workers are taken back all the same.
        """
        ...

    async def trim(self, *, limit: int) -> int:
        """Apply the age of keep policies while queues are idle; return how many jobs went."""
        ...
