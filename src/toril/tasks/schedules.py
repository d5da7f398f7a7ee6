"""Schedules of an app: `app.schedules`, and what `@app.schedule` has declared."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from toril.core.checks import require
from toril.core.errors import InvalidOptionError, ScheduleNotFoundError
from toril.core.reading import read_object, whole
from toril.engine.contract.schedules import Schedules as Role
from toril.engine.handle import Job
from toril.engine.job import NewJob
from toril.engine.new_jobs import Blueprint, BoundBlueprint, payload_text
from toril.engine.operations import Operation
from toril.engine.options import MAX_PRIORITY, JobOptions
from toril.engine.producer import Producer
from toril.engine.queue import Queue
from toril.engine.schedules.declaring import Declaration
from toril.engine.schedules.fitting import unfit
from toril.engine.schedules.info import ScheduleInfo
from toril.engine.schedules.options import ScheduleOptions, check_schedule_id
from toril.engine.schedules.record import Beside, ScheduleRecord
from toril.engine.schedules.saving import Plan, change, pausing, resuming, save
from toril.engine.schedules.turn import MissedPolicy
from toril.tasks.registry import Registry
from toril.tasks.task import Task

CHUNK = 200
"""Schedules in one call."""


class Scheduled(NamedTuple):
    """A schedule that was declared above a task."""

    id: str
    task: Task[Any, Any]
    template: NewJob
    options: ScheduleOptions

    def declaration(self, timezone: str) -> Declaration:
        """Return what a worker brings to the store.

        Parameters:
            timezone: Whose local time an expression means that does not say.
        """
        return Declaration(
            _record(self.id, self.template, self.options, timezone),
            self.options.immediately,
            code_of(self.task),
        )


def code_of(task: Task[Any, Any]) -> str:
    """Return whose code a task is: the top-level package of its function."""
    return task.function.__module__.partition(".")[0]


def template_of(task: Task[Any, Any], payload: Mapping[str, Any] | None) -> NewJob:
    """Return what each job of a schedule is made of.

    Raises:
        InvalidPayloadError: The payload does not fit the task.
        InvalidOptionError: The task has options that concern one job.
    """
    return _checked(task.job_of_values({} if payload is None else payload))


class Schedules:
    """The schedules of a store: `app.schedules`."""

    def __init__(self, producer: Producer, registry: Registry, timezone: str) -> None:
        self._producer = producer
        self._registry = registry
        self._timezone = timezone

    async def put(
        self,
        id: str,
        target: Task[Any, Any] | Queue,
        payload: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        options: JobOptions | None = None,
        cron: str | None = None,
        every: float | timedelta | None = None,
        timezone: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        offset: float | timedelta | None = None,
        immediately: bool = False,
        jitter: float | timedelta = 0.0,
        missed: MissedPolicy = "one",
    ) -> ScheduleInfo:
        """Make a schedule, or change the one of this id; see `ScheduleOptions` for its options.

        With the same timing as before it keeps its next job's moment, and its count. One that is
        paused stays so.

        Parameters:
            id: What it is called, in its queue.
            target: A task, which `with_options` may give options for its jobs; or a queue, for jobs
                that have no task here.
            payload: Each job's. Default: none, so the task's own defaults.
            name: The jobs' name, with a queue.
            options: The jobs' options, with a queue.
            cron: Excludes `every`.
            every: Seconds, or a timedelta.
            timezone: Default: the settings', else UTC.
            start: No job before.
            end: No job after.
            limit: Jobs in all.
            offset: With `every`.
            immediately: The first job is due now.
            jitter: Put each job off by up to so long.
            missed: `skip`, `one` or `all`.

        Raises:
            InvalidOptionError: An option makes no sense, or no job would ever come.
            InvalidPayloadError: The payload does not fit the task.
        """
        wanted = ScheduleOptions(
            cron=cron, every=every, timezone=timezone, start=start, end=end, limit=limit,
            offset=offset, immediately=immediately, jitter=jitter, missed=missed,
        )  # fmt: skip
        if isinstance(target, Queue):
            if name is None:
                raise InvalidOptionError("name=None: expected the jobs' name, with a queue")
            seal = self._producer.seal_of(target.name, name)
            bound = self._registry.door(target.name, name)
            blueprint = (
                Blueprint(target.name, name, options, seal=seal)
                if bound is None
                else BoundBlueprint(bound, name, options)
            )
            template = _checked(blueprint.job(payload_text(name, payload)))
        else:
            good = isinstance(target, Task)
            require(good, "target", target, "a task, or a queue: app.queue(...)")
            require(name is None, "name", name, "none with a task")
            require(options is None, "options", options, "none with a task: use with_options")
            template = template_of(target, payload)
        record = _record(check_schedule_id(id), template, wanted, self._timezone)
        role = self._role()
        (before,) = (await role.read(record.queue, [id])).schedules
        if before is not None:  # the code's own, changed by hand: until the code changes
            record = msgspec.structs.replace(record, declared=before.declared)
        async with self._doing("put", record.queue, id):
            saved = await save(role, record, immediately=immediately)
        return (await self.get(id, queue=saved.queue)) or self._info(saved)

    async def list(self, queue: str | None = None) -> list[ScheduleInfo]:
        """Return all schedules, or those of one queue: by queue, the next one first."""
        role = self._role()
        found: list[ScheduleInfo] = []
        for name in await role.queues() if queue is None else [queue]:
            ids = await role.ids(name)
            for start in range(0, len(ids), CHUNK):
                reading = await role.read(name, ids[start : start + CHUNK])
                found += [self._info(one) for one in reading.schedules if one is not None]
        return found

    async def get(self, id: str, *, queue: str | None = None) -> ScheduleInfo | None:
        """Return a schedule; None if there is none.

        Parameters:
            id: Its id.
            queue: Its queue. Default: whichever has one of this id.

        Raises:
            InvalidOptionError: Several queues have one; say which.
        """
        record = await self._find(id, queue)
        return None if record is None else self._info(record)

    async def run(self, id: str, *, queue: str | None = None) -> Job[Any]:
        """Add a job as the schedule makes them, now. Its own jobs come when they would.

        Parameters:
            id: Its id.
            queue: Its queue. Default: whichever has one of this id.

        Raises:
            ScheduleNotFoundError: There is none.
            InvalidOptionError: Several queues have one; say which.
        """
        record = await self._there(id, queue)
        job = NewJob(
            queue=record.queue,
            name=record.name,
            data="{}" if record.data is None else record.data,
            opts=record.opts,
            priority=_priority(record.opts),
        )
        async with self._doing("run", record.queue, id):
            (answer,) = await self._producer.add_many([job])
        task = self._registry.find(record.queue, record.name)
        decode = None if task is None else task.decode
        return Job(self._producer, record.queue, answer.job_id, answer.duplicate, decode)

    async def pause(self, id: str, *, queue: str | None = None) -> None:
        """Let a schedule make no jobs until it is resumed. One that runs goes on.

        Parameters:
            id: Its id.
            queue: Its queue. Default: whichever has one of this id.

        Raises:
            ScheduleNotFoundError: There is none.
            InvalidOptionError: Several queues have one; say which.
        """
        await self._change("pause", id, queue, pausing)

    async def resume(self, id: str, *, queue: str | None = None) -> None:
        """Let a schedule go on, with its next moment from now. What passed was not missed.

        Parameters:
            id: Its id.
            queue: Its queue. Default: whichever has one of this id.

        Raises:
            ScheduleNotFoundError: There is none.
            InvalidOptionError: Several queues have one; say which.
        """
        await self._change("resume", id, queue, resuming)

    async def remove(self, id: str, *, queue: str | None = None) -> bool:
        """Remove a schedule; return whether there was one. Its job in line, if any, still runs.

        One that code declares comes back with the next worker that starts: remove it there.

        Parameters:
            id: Its id.
            queue: Its queue. Default: whichever has one of this id.

        Raises:
            InvalidOptionError: Several queues have one; say which.
        """
        record = await self._find(id, queue)
        if record is None:
            return False
        async with self._doing("remove", record.queue, id) as doing:
            doing.changed = await self._role().remove(record.queue, id)
        return doing.changed

    async def _change(self, verb: str, schedule_id: str, queue: str | None, plan: Plan) -> None:
        record = await self._there(schedule_id, queue)
        async with self._doing(verb, record.queue, schedule_id):
            if await change(self._role(), record.queue, schedule_id, plan) is None:
                raise _not_found(schedule_id, queue)

    def _doing(
        self, verb: str, queue: str, schedule_id: str
    ) -> AbstractAsyncContextManager[Operation]:
        """Tell who does what to a schedule, once it is done."""

        async def look() -> dict[str, Any] | None:
            found = await self.get(schedule_id, queue=queue)
            if found is None:
                return None
            return {
                "name": found.name,
                "cron": found.cron,
                "every_s": found.every_s,
                "timezone": found.timezone,
                "start_at": found.start_at,
                "end_at": found.end_at,
                "limit": found.limit,
                "offset_s": found.offset_s,
                "jitter_s": found.jitter_s,
                "missed": found.missed,
                "paused": found.paused,
            }

        return self._producer.operations.doing(
            f"schedules.{verb}", queue, look=look, schedule=schedule_id
        )

    async def _there(self, schedule_id: str, queue: str | None) -> ScheduleRecord:
        record = await self._find(schedule_id, queue)
        if record is None:
            raise _not_found(schedule_id, queue)
        return record

    async def _find(self, schedule_id: str, queue: str | None) -> ScheduleRecord | None:
        role = self._role()
        names = await role.queues() if queue is None else [queue]
        found: list[ScheduleRecord] = []
        for name in names:
            (record,) = (await role.read(name, [schedule_id])).schedules
            if record is not None:
                found.append(record)
        if len(found) > 1:
            theirs = ", ".join(repr(one.queue) for one in found)
            raise InvalidOptionError(
                f"queue=None: expected one of {theirs}: each has a schedule {schedule_id!r}"
            )
        return found[0] if found else None

    def _info(self, record: ScheduleRecord) -> ScheduleInfo:
        problem = unfit(record, self._registry) if any(True for _ in self._registry) else None
        return ScheduleInfo.from_record(record, problem)

    def _role(self) -> Role:
        return self._producer.backend().schedules


def _record(
    schedule_id: str, template: NewJob, options: ScheduleOptions, timezone: str
) -> ScheduleRecord:
    return ScheduleRecord(
        queue=template.queue,
        id=schedule_id,
        name=template.name,
        data=None if template.data == "{}" else template.data,
        opts=template.opts,
        timing=options.timing(timezone),
        limit=options.limit,
        next_ms=0,
        beside=Beside(missed=options.missed, jitter_ms=options.jitter_ms),
    )


def _checked(job: NewJob) -> NewJob:
    """Refuse what concerns one job: those of a schedule have ids and moments of their own."""
    for name, value, none in (
        ("job_id", job.job_id, None),
        ("delay", job.delay_ms, 0),
        ("run_at", job.run_at_ms, None),
        ("deduplication", job.deduplication, None),
    ):
        require(value == none, name, value, "none: the jobs of a schedule have their own")
    return job


def _priority(opts: str) -> int:
    return min(max(whole(read_object(opts).get("priority")), 0), MAX_PRIORITY)


def _not_found(schedule_id: str, queue: str | None) -> ScheduleNotFoundError:
    where = "no queue" if queue is None else f"queue {queue!r}"
    has = "has" if queue is None else "has no"
    return ScheduleNotFoundError(
        f"{where} {has} schedule {schedule_id!r}: it was removed, or the id or queue is another"
    )
