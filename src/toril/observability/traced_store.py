"""A store whose roles for adding jobs make spans: every way in which an app adds jobs leads there.

A worker has the store itself: what an attempt adds goes with its outcome (`Tracer.marked`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec

from toril.engine.contract import Backend, Flows, Jobs, NewNode, Schedules
from toril.engine.contract.schedules import Moved
from toril.engine.job import Added, NewJob
from toril.engine.schedules.record import ScheduleRecord
from toril.observability.tracing import Tracing


class TracedStore:
    """Gives a store with such roles."""

    def __init__(self, get: Callable[[], Backend], tracing: Tracing) -> None:
        """Make it.

        Parameters:
            get: Gives the store itself, opened when it is first asked for.
            tracing: Makes the spans.
        """
        self._get = get
        self._tracing = tracing
        self._made: tuple[Backend, Backend] | None = None
        """The store itself, and with such roles."""

    def get(self) -> Backend:
        """Return the store, opened at the first call."""
        store = self._get()
        if self._made is None or self._made[0] is not store:
            tracing = self._tracing
            traced = replace(
                store,
                jobs=cast("Jobs", _Jobs(store.jobs, tracing)),
                flows=cast("Flows", _Flows(store.flows, tracing)),
                schedules=cast("Schedules", _Schedules(store.schedules, tracing)),
            )
            self._made = store, traced
        return self._made[1]


class _Role:
    """A role of a store; what is not here is done by the role itself."""

    def __init__(self, role: Any, tracing: Tracing) -> None:
        self._role = role
        self._tracing = tracing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._role, name)


class _Jobs(_Role):
    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        if not jobs:
            return []
        with self._tracing.sending("add", jobs[0].queue, jobs) as sending:
            answers: list[Added] = await self._role.add([sending.marked(job) for job in jobs])
            sending.answered(answers)
        return answers


class _Flows(_Role):
    async def add(self, nodes: Sequence[NewNode], *, token: str | None = None) -> list[Added]:
        if not nodes:
            return []
        jobs = [node.job for node in nodes]
        with self._tracing.sending("add", jobs[0].queue, jobs) as sending:
            marked = [msgspec.structs.replace(node, job=sending.marked(node.job)) for node in nodes]
            answers: list[Added] = await self._role.add(marked, token=token)
            sending.answered(answers)
        return answers


class _Schedules(_Role):
    async def put(
        self, schedule: ScheduleRecord, job: NewJob | None, *, seen_ms: int | None
    ) -> Moved:
        moved: Moved
        if job is None:
            moved = await self._role.put(schedule, job, seen_ms=seen_ms)
            return moved
        with self._tracing.sending("schedule", job.queue, [job], kind="create") as sending:
            opts = sending.marked_options(schedule.opts)
            schedule = msgspec.structs.replace(schedule, opts=opts)
            moved = await self._role.put(schedule, sending.marked(job), seen_ms=seen_ms)
        return moved
