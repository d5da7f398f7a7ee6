"""Routes about schedules: rules that make jobs."""

from __future__ import annotations

from toril.core.errors import ScheduleNotFoundError
from toril.engine.options import JobOptions
from toril.engine.schedules.info import ScheduleInfo
from toril.rest.answers import AddedJob, Done, Page
from toril.rest.bodies import Act, ScheduleBody, ScheduleQuery
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.paging import part_after

routes = Routes("schedules")


@routes.get("/schedules")
async def list_schedules(call: Call, query: ScheduleQuery) -> Page[ScheduleInfo]:
    """List the schedules of all queues, or of one: by queue, the next one first."""
    if query.queue is not None:
        call.need(Permission.READ, query.queue)
    found = [one for one in await call.app.schedules.list(query.queue) if call.sees(one.queue)]
    names = [f"{one.queue}:{one.id}" for one in found]
    items, after = part_after(found, names, query.after, query.limit)
    return Page([_shown(call, one) for one in items], after)


@routes.get("/schedules/{queue}/{schedule_id}")
async def get_schedule(call: Call, queue: str, schedule_id: str) -> ScheduleInfo:
    """Show a schedule."""
    return _shown(call, await _there(call, queue, schedule_id))


@routes.put("/schedules/{queue}/{schedule_id}")
async def put_schedule(
    call: Call, queue: str, schedule_id: str, body: ScheduleBody
) -> ScheduleInfo:
    """Make a schedule, or change the one of this id. One that is paused stays so."""
    info = await call.app.schedules.put(
        schedule_id,
        call.app.queue(queue),
        body.data,
        name=body.name,
        options=JobOptions(priority=body.priority, max_attempts=body.max_attempts),
        cron=body.cron,
        every=body.every_s,
        timezone=body.timezone,
        start=body.start,
        end=body.end,
        limit=body.limit,
        offset=body.offset_s,
        immediately=body.immediately,
        jitter=body.jitter_s,
        missed=body.missed,
    )
    return _shown(call, info)


@routes.post("/schedules/{queue}/{schedule_id}/run")
async def run_schedule(call: Call, queue: str, schedule_id: str, body: Act) -> AddedJob:
    """Add a job as the schedule makes them, now. Its own jobs come when they would."""
    job = await call.app.schedules.run(schedule_id, queue=queue)
    return AddedJob(id=job.id, queue=job.queue, duplicate=job.duplicate)


@routes.post("/schedules/{queue}/{schedule_id}/pause")
async def pause_schedule(call: Call, queue: str, schedule_id: str, body: Act) -> ScheduleInfo:
    """Let a schedule make no jobs until it is resumed."""
    await call.app.schedules.pause(schedule_id, queue=queue)
    return _shown(call, await _there(call, queue, schedule_id))


@routes.post("/schedules/{queue}/{schedule_id}/resume")
async def resume_schedule(call: Call, queue: str, schedule_id: str, body: Act) -> ScheduleInfo:
    """Let a schedule go on, with its next moment from now."""
    await call.app.schedules.resume(schedule_id, queue=queue)
    return _shown(call, await _there(call, queue, schedule_id))


@routes.delete("/schedules/{queue}/{schedule_id}")
async def remove_schedule(call: Call, queue: str, schedule_id: str) -> Done:
    """Remove a schedule. One that code declares comes back with the next worker."""
    if not await call.app.schedules.remove(schedule_id, queue=queue):
        raise _not_found(queue, schedule_id)
    return Done(count=1)


async def _there(call: Call, queue: str, schedule_id: str) -> ScheduleInfo:
    info = await call.app.schedules.get(schedule_id, queue=queue)
    if info is None:
        raise _not_found(queue, schedule_id)
    return info


def _not_found(queue: str, schedule_id: str) -> ScheduleNotFoundError:
    return ScheduleNotFoundError(f"queue {queue!r} has no schedule {schedule_id!r}")


def _shown(call: Call, info: ScheduleInfo) -> ScheduleInfo:
    """Return a schedule as the caller sees it."""
    shown = call.sight.schedule(info)
    assert shown is not None  # noqa: S101 - the caller may see the queue
    return shown
