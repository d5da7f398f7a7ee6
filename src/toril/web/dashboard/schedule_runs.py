"""The moments of a schedule: the next ones, and what became of the past ones.

The jobs of a schedule have ids that say their moment, so those of the last moments are looked up
by their ids; no list is gone through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from toril.core.clock import epoch_ms, moment
from toril.core.errors import InvalidOptionError, QueryError
from toril.engine.schedules.info import ScheduleInfo
from toril.engine.schedules.record import job_id_of, slot_of
from toril.engine.schedules.slots import Timing, newest, next_slot, spread_ms
from toril.engine.search.query import Pattern, Query, Term
from toril.engine.states import State
from toril.rest.answers import JobLine
from toril.rest.bodies import SearchQuery
from toril.web.dashboard.visit import Visit
from toril.web.problems import Problem
from toril.web.routes.search import search_jobs

NEXT = 3
FAR = timedelta(days=400)
"""How far back runs are looked for."""
MOST_CHARS = 1_800
"""Of a search: ids that are longer leave room for fewer runs."""
BUDGET_S = 2.0


class Run(msgspec.Struct, frozen=True):
    """A past moment of a schedule."""

    at: datetime
    job: JobLine | None
    """None: it is no longer kept, or there was none: the schedule was paused, or missed it."""

    @property
    def tone(self) -> str:
        """The colour of its result."""
        if self.job is None:
            return "none"
        return {State.COMPLETED: "good", State.FAILED: "bad"}.get(self.job.state, "busy")

    @property
    def took_s(self) -> float | None:
        """How long its last attempt ran; None: it has not ended."""
        if self.job is None or self.job.processed_at is None or self.job.finished_at is None:
            return None
        return max(0.0, (self.job.finished_at - self.job.processed_at).total_seconds())


class Runs(msgspec.Struct, frozen=True):
    """The past moments of a schedule, oldest first."""

    items: list[Run]

    @property
    def last(self) -> Run | None:
        """The newest of those that have ended."""
        ended = (run for run in reversed(self.items) if run.tone in ("good", "bad"))
        return next(ended, None)

    @property
    def counted(self) -> Mapping[str, int]:
        """How many there are of each colour."""
        found = {"good": 0, "bad": 0, "busy": 0, "none": 0}
        for run in self.items:
            found[run.tone] += 1
        return found


def timing_of(info: ScheduleInfo) -> Timing:
    """Return when a schedule makes jobs, as the engine counts it."""
    every_ms = None if info.every_s is None else round(info.every_s * 1000)
    offset_ms = None if info.offset_s is None else round(info.offset_s * 1000)
    if every_ms and offset_ms is None and (slot_ms := _slot_ms(info)) is not None:
        offset_ms = slot_ms % every_ms
    return Timing(
        every_ms=every_ms,
        pattern=info.cron,
        timezone=info.timezone,
        offset_ms=offset_ms,
        start_ms=None if info.start_at is None else epoch_ms(info.start_at),
        end_ms=None if info.end_at is None else epoch_ms(info.end_at),
    )


def _slot_ms(info: ScheduleInfo) -> int | None:
    found = None if info.job_id is None else slot_of(info.job_id)
    return None if found is None else found[1]


def next_runs(info: ScheduleInfo, now: datetime) -> list[datetime]:
    """Return the next moments at which jobs are due; none if it makes none, or cannot be read."""
    slot_ms = _slot_ms(info)
    if info.next_at is None or slot_ms is None:
        return []
    many = NEXT if info.limit is None else min(NEXT, max(1, info.limit - info.made + 1))
    timing, jitter_ms, now_ms = timing_of(info), round(info.jitter_s * 1000), epoch_ms(now)
    found: list[datetime] = []
    try:
        while slot_ms is not None and len(found) < many:
            due_ms = slot_ms + spread_ms(info.queue, info.id, slot_ms, jitter_ms)
            if due_ms >= now_ms:
                found.append(moment(due_ms))
                slot_ms = next_slot(timing, slot_ms)
            else:  # its job runs, or is late: the next one follows from now
                slot_ms = next_slot(timing, max(slot_ms, now_ms - jitter_ms - 1))
    except InvalidOptionError:
        return [info.next_at]
    return found


async def past_runs(visit: Visit, info: ScheduleInfo, many: int) -> Runs:
    """Return the newest past moments of a schedule, and the jobs that are kept of them."""
    slots = _past_slots(info, visit.now, many)
    if not slots:
        return Runs([])
    fits = max(1, MOST_CHARS // (len(info.id.encode()) + 32))
    slots = slots[-min(many, fits) :]
    ids = {slot_ms: job_id_of(info.id, slot_ms) for slot_ms in slots}
    jobs = {job.id: job for job in await _jobs(visit, info.queue, list(ids.values()))}
    return Runs([Run(moment(slot_ms), jobs.get(job_id)) for slot_ms, job_id in ids.items()])


def _past_slots(info: ScheduleInfo, now: datetime, many: int) -> list[int]:
    now_ms = epoch_ms(now)
    slot_ms = _slot_ms(info)
    # No more than it has made; the one that waits is none of the past.
    waits = slot_ms is not None and slot_ms > now_ms
    many = min(many, info.made - waits)
    if many < 1:
        return []
    try:
        return newest(timing_of(info), epoch_ms(now - FAR), now_ms, many)
    except InvalidOptionError:
        return []


async def _jobs(visit: Visit, queue: str, ids: Sequence[str]) -> list[JobLine]:
    terms = (
        Term("queue", ":", (Pattern((queue,)),)),
        Term("id", ":", tuple(Pattern((one,)) for one in ids)),
    )
    query = SearchQuery(q=str(Query((terms,))), limit=len(ids), budget_s=BUDGET_S)
    try:
        return (await visit.ask(search_jobs, query=query)).items
    except (QueryError, Problem) as error:
        if isinstance(error, Problem) and error.status >= 500:
            raise
        return []


def utc(at: datetime | None) -> str:
    """Return a moment as a form writes it."""
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
