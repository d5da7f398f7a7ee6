"""The role `Dispatch`: an exchange, a renewal or a recovery is one transaction.

Read next: `outcomes.py` (outcomes), `recovery.py`, `sql/claim_find.sql`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.bulk import promote_due
from toril.backends.sqlite.holders import Holder, holders
from toril.backends.sqlite.logs import append_log
from toril.backends.sqlite.outcomes import apply_outcomes
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.recovery import recover_jobs, trim_jobs
from toril.backends.sqlite.signal import Signal
from toril.backends.sqlite.transaction import TooLong, Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.contract.dispatch import (
    AttemptMessage,
    Claim,
    Exchange,
    ExchangeReply,
    FenceResult,
    HeldJob,
    Recovery,
    Renewal,
)
from toril.engine.events import EventName
from toril.engine.job import Claimed
from toril.engine.states import State

_FROM_LINE = {"prev": "waiting"}

PROMOTE_CHUNK = 1000
"""Delayed jobs that become ready in one exchange."""

AT_ONCE = 8
"""Outcomes, or claims, that an event loop may do by itself while none of its worker's jobs run."""

_FOUND = msgspec.json.Decoder(list[Claimed])


class SqliteDispatch:
    """The role `Dispatch`."""

    exchanges_at_once = 1

    def __init__(self, writer: Writer, work: Signal) -> None:
        self._writer = writer
        self._signal = work
        self._claims = itertools.count(1)  # in one step, whichever loop of the process asks
        self._held: dict[str, int] = {}
        """By worker: jobs that it was given and has not brought back."""

    async def exchange(self, exchange: Exchange) -> ExchangeReply:
        token = f"{exchange.worker_id}:{next(self._claims)}"

        def transition(transaction: Transaction) -> ExchangeReply:
            seen = self._signal.version
            words, finished = apply_outcomes(transaction, exchange.outcomes)
            claimed: list[Claimed] = []
            waits: list[int] = []
            for claim in exchange.claims:
                room = exchange.room - len(claimed)
                if room <= 0:
                    break
                wait_ms = _claim(transaction, exchange.worker_id, token, claim, room, claimed)
                if wait_ms is not None:
                    waits.append(wait_ms)
            for row in finished:
                if not any(
                    row.counts[state]
                    for state in (State.WAIT, State.PRIORITIZED, State.ACTIVE, State.DELAYED)
                ):
                    row.say(EventName.DRAINED)
            return ExchangeReply(words, claimed, min(waits) if waits else None, seen)

        worker_id, many = exchange.worker_id, len(exchange.outcomes)
        held = self._held.get(worker_id, 0) - many
        # A claim that is lost with the power is claimed again; an outcome must not be.
        reply = await self._writer.run(
            transition, durable=many > 0, at_once=held <= 0 and many <= AT_ONCE
        )
        self._held[worker_id] = max(0, held) + len(reply.claimed)
        return reply

    def together(self, queues: Sequence[str]) -> bool:
        return True

    async def wait(self, queues: Sequence[str], seen: int, *, timeout_s: float) -> None:
        await self._signal.wait(seen, timeout_s)

    def standing(self, *, lease_ms: int) -> None:
        return None

    def renew(self, worker_id: str, held: Sequence[HeldJob]) -> Renewal:
        def transition(transaction: Transaction) -> Renewal:
            running = holders(transaction, [hold.number for hold in held])
            lost: list[HeldJob] = []
            cancelled: list[tuple[HeldJob, str]] = []
            by_lease: dict[int, list[int | str]] = {}
            for hold in held:
                holder = running.get(hold.number)
                if holder is None or holder.token != hold.token:
                    lost.append(hold)
                    continue
                by_lease.setdefault(hold.lease_ms, []).append(hold.number)
                if holder.cancel_reason is not None:
                    cancelled.append((hold, holder.cancel_reason))
            for lease_ms, mine in by_lease.items():
                # Odd: the job was begun (`recovery.py`). Until it is renewed the end is even.
                ends_ms = transaction.steady_ms + lease_ms
                ends_ms -= 1 - ends_ms % 2
                transaction.run("lease_renew", ends_ms, msgspec.json.encode(mine).decode())
            return Renewal(lost, cancelled)

        return self._writer.run_blocking(transition, durable=False)

    async def speak(self, said: Sequence[AttemptMessage]) -> list[FenceResult]:
        def transition(transaction: Transaction) -> list[FenceResult]:
            running = holders(transaction, [speech.number for speech in said])
            return [_say(transaction, speech, running) for speech in said]

        # The next attempt may count on another payload, as on an outcome.
        durable = any(speech.data is not None for speech in said)
        return await self._writer.run(transition, durable=durable)

    async def recover(
        self, *, max_stalled: int, heartbeat_s: float, limit: int, fresh_ms: int = 0
    ) -> Recovery:
        del fresh_ms  # an index finds them: looking costs nothing
        return await self._writer.run(
            lambda transaction: recover_jobs(
                transaction, max_stalled=max_stalled, heartbeat_s=heartbeat_s, limit=limit
            )
        )

    async def trim(self, *, limit: int) -> int:
        return await self._writer.run(lambda transaction: trim_jobs(transaction, limit))


def _claim(
    transaction: Transaction,
    worker_id: str,
    token: str,
    claim: Claim,
    room: int,
    claimed: list[Claimed],
) -> int | None:
    """Claim jobs of one queue into `claimed`; return in how many ms to ask again, if known."""
    row = transaction.find_queue(claim.queue)
    if row is None:
        return None
    promote_due(transaction, row, until_ms=transaction.now_ms, limit=PROMOTE_CHUNK)
    if row.paused:
        return None
    if row.held_from_ms <= transaction.steady_ms < row.held_until_ms:
        return row.held_until_ms - transaction.steady_ms
    limit = min(claim.limit, room)
    if row.concurrency is not None:
        limit = min(limit, row.concurrency - row.counts[State.ACTIVE])
    rate = row.rate_limit if row.rate_limit is not None else claim.rate_limit
    if rate is not None:
        if not row.window_begins_ms <= transaction.steady_ms < row.window_ends_ms:
            row.window_count = 0
        if row.window_count >= rate:
            return int(row.window_ends_ms - transaction.steady_ms)
        limit = min(limit, rate - row.window_count)
    limit = min(limit, row.counts[State.WAIT] + row.counts[State.PRIORITIZED])
    if limit > AT_ONCE and transaction.at_once:
        raise TooLong
    if limit > 0:
        found = _take(transaction, row, worker_id, token, claim, limit)
        claimed += found
        if rate is not None and found:
            _count_rate(transaction, row, claim, found)
            if row.window_count >= rate:
                return row.window_ends_ms - transaction.steady_ms
    if row.counts[State.DELAYED]:
        wait_ms: int | None = transaction.value(
            "due_next", transaction.now_ms, row.id, transaction.steady_ms, transaction.boot
        )
        if wait_ms is not None:
            return max(0, wait_ms)
    return None


def _take(
    transaction: Transaction,
    row: QueueRow,
    worker_id: str,
    token: str,
    claim: Claim,
    limit: int,
) -> list[Claimed]:
    """Lease the first `limit` jobs in line and return them."""
    now_ms = transaction.now_ms
    ends_ms = transaction.steady_ms + claim.lease_ms
    lease = (token, worker_id, claim.lease_ms, ends_ms - ends_ms % 2, now_ms)
    if limit == 1:  # by far the commonest for those who wait for a job: no JSON, one statement
        found, prioritized = [], 0
        for *columns, priority in transaction.run("claim_one", *lease, row.id):
            found.append(Claimed(*columns))
            prioritized += priority > 0
    else:
        ((jobs, prioritized),) = transaction.run("claim_find", row.id, limit)
        found = _FOUND.decode(jobs)
        numbers = msgspec.json.encode([job.number for job in found]).decode()
        transaction.run("claim_take", *lease, numbers)
    for job in found:
        row.say(EventName.ACTIVE, job.id, _FROM_LINE)
        job.queue = claim.queue
        job.token = token
        job.started_ms = now_ms
    row.moved(State.PRIORITIZED, State.ACTIVE, prioritized)
    row.moved(State.WAIT, State.ACTIVE, len(found) - prioritized)
    return found


def _count_rate(
    transaction: Transaction, row: QueueRow, claim: Claim, found: Sequence[Claimed]
) -> None:
    # A job that is failed without being run does not count as a start.
    starts = sum(job.deferred_failure is None for job in found)
    if starts and row.window_count == 0:
        # With a limit of the worker's, the window is the worker's too (spec, section 3.9).
        window_ms = claim.rate_window_ms if claim.rate_limit is not None else row.rate_window_ms
        row.window_begins_ms = transaction.steady_ms
        row.window_ends_ms = transaction.steady_ms + (window_ms or 1000)
    row.window_count += starts


def _say(
    transaction: Transaction, speech: AttemptMessage, running: dict[int | str, Holder]
) -> FenceResult:
    holder = running.get(speech.number)
    if holder is None or holder.token != speech.token:
        return "lease_lost"
    number: Any = speech.number
    if speech.progress is not None:
        transaction.run("job_progress", speech.progress, number)
        transaction.queue(speech.queue).say(
            EventName.PROGRESS, speech.job_id, {"data": speech.progress}
        )
    if speech.data is not None:
        transaction.run("job_data", speech.data, number)
    if speech.line is not None:
        append_log(transaction, number, [speech.line], speech.keep_logs)
    return "ok"
