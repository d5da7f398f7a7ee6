"""Routes that change queues."""

from __future__ import annotations

from msgspec import UNSET

from toril.engine.info import QueueInfo
from toril.engine.operator import Progress
from toril.engine.options import RateLimit
from toril.rest.answers import Done
from toril.rest.bodies import (
    Act,
    CleanBody,
    DrainBody,
    LimitsBody,
    ManyBody,
    ObliterateBody,
    RetryAllBody,
)
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.many import for_a_while
from toril.web.problems import Problem

routes = Routes("queues")


@routes.patch("/queues/{queue}")
async def change_queue(call: Call, queue: str, body: LimitsBody) -> QueueInfo:
    """Set the limits of a queue: rate, concurrency, a hold, events, history, dead-letter queue."""
    found, _ = await call.existing(queue)
    if body.dead_letter is not UNSET:
        if body.dead_letter is not None:
            call.need(Permission.OPERATE, body.dead_letter)
        await found.set_dead_letter(body.dead_letter, keep=body.dead_letter_keep_s)
    if body.concurrency is not UNSET:
        await found.set_concurrency(body.concurrency)
    if body.rate_limit is not UNSET:
        limit = body.rate_limit
        rate = None if limit is None else RateLimit(limit=limit, window_s=body.rate_window_s)
        await found.set_rate(rate)
    if body.hold_s is not UNSET:
        await found.hold(body.hold_s)
    if body.events is not UNSET:
        await found.set_events(body.events)
    if body.history is not UNSET:
        await found.set_history(body.history)
    return (await call.existing(queue))[1]


@routes.post("/queues/{queue}/pause")
async def pause_queue(call: Call, queue: str, body: Act) -> QueueInfo:
    """Let no job of a queue start, on any worker; jobs that run go on."""
    found, _ = await call.existing(queue)
    await found.pause()
    return (await call.existing(queue))[1]


@routes.post("/queues/{queue}/resume")
async def resume_queue(call: Call, queue: str, body: Act) -> QueueInfo:
    """Let the jobs of a paused queue start again."""
    found, _ = await call.existing(queue)
    await found.resume()
    return (await call.existing(queue))[1]


@routes.post("/queues/{queue}/drain", timeout_s=60.0)
async def drain_queue(call: Call, queue: str, body: DrainBody) -> Done:
    """Remove all jobs that wait; those that run or have finished stay."""
    found, _ = await call.existing(queue)
    return await for_a_while(
        call, lambda progress: found.drain(delayed=body.delayed, progress=progress)
    )


@routes.post("/queues/{queue}/clean", timeout_s=60.0)
async def clean_queue(call: Call, queue: str, body: CleanBody) -> Done:
    """Remove jobs of one state, oldest first."""
    found, _ = await call.existing(queue)

    async def clean(progress: Progress) -> int:
        removed = await found.clean(
            body.state, older_than=body.older_than_s, limit=body.limit, progress=progress
        )
        return len(removed)

    return await for_a_while(call, clean)


@routes.post("/queues/{queue}/retry", timeout_s=60.0)
async def retry_jobs(call: Call, queue: str, body: RetryAllBody) -> Done:
    """Put finished jobs back in line, oldest first. Those that fail again meanwhile stay."""
    found, _ = await call.existing(queue)
    return await for_a_while(
        call,
        lambda progress: found.retry_all(
            body.state, limit=body.limit, reset_attempts=body.reset_attempts, progress=progress
        ),
    )


@routes.post("/queues/{queue}/promote", timeout_s=60.0)
async def promote_jobs(call: Call, queue: str, body: ManyBody) -> Done:
    """Make delayed jobs ready now, soonest first."""
    found, _ = await call.existing(queue)
    return await for_a_while(
        call, lambda progress: found.promote_all(limit=body.limit, progress=progress)
    )


@routes.post("/queues/{queue}/obliterate", Permission.ADMIN, errors=(409,), timeout_s=60.0)
async def obliterate_queue(call: Call, queue: str, body: ObliterateBody) -> Done:
    """Remove a paused queue with all that it holds: jobs, events, limits, counters."""
    if body.confirm != queue:
        raise Problem(
            422, "not_confirmed", f"confirm={body.confirm!r}: expected the queue's name, {queue!r}",
            field="confirm",
        )  # fmt: skip
    found, _ = await call.existing(queue)
    return await for_a_while(
        call, lambda progress: found.obliterate(force=body.force, progress=progress)
    )


@routes.delete("/queues/{queue}/deduplication/{deduplication_id}")
async def free_deduplication_id(call: Call, queue: str, deduplication_id: str) -> Done:
    """Let the next job have a de-duplication id that a job holds."""
    found, _ = await call.existing(queue)
    if not await found.release_deduplication(deduplication_id):
        raise Problem(404, "not_held", f"no job of queue {queue!r} holds {deduplication_id!r}")
    return Done(count=1)
