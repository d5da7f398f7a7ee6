"""Whether a schedule makes jobs that can be run: in words, for logs and listings."""

from __future__ import annotations

from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.engine.handler import Handlers
from toril.engine.schedules.record import ScheduleRecord
from toril.engine.schedules.slots import next_slot


def unreadable(schedule: ScheduleRecord) -> str | None:
    """Return why it is not known when a schedule makes jobs: somebody else wrote it."""
    timing = schedule.timing
    if timing.every_ms is None and timing.pattern is None:
        return "it has neither cron nor every: expected one of them"
    if timing.every_ms is not None and timing.every_ms < 1:
        return f"every={timing.every_ms}: expected milliseconds, from 1"
    try:
        next_slot(timing, schedule.next_ms)
    except InvalidOptionError as error:
        return str(error)
    return None


def unfit(schedule: ScheduleRecord, tasks: Handlers) -> str | None:
    """Return why the jobs of a schedule cannot be run by these tasks, or are not known to come."""
    task = tasks.find(schedule.queue, schedule.name)
    if task is None:
        return (
            f"no task {schedule.name!r} runs jobs of queue {schedule.queue!r}: add the task, or"
            " remove the schedule"
        )
    try:
        task.arguments("{}" if schedule.data is None else schedule.data)
    except InvalidPayloadError as error:
        return f"its payload does not fit any more: {error}"
    return unreadable(schedule)
