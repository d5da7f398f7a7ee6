"""Looks for jobs: a page within a budget of time, in short calls of the store.

Read next: `grammar.py` (what may be asked), `plan.py` (where to look), `matching.py` (which jobs
are meant).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from toril.core.checks import require
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.search import Scan, Scanned
from toril.engine.info import JobInfo
from toril.engine.job import JobRecord
from toril.engine.search.found import SearchPage, SearchPlan
from toril.engine.search.grammar import parse
from toril.engine.search.matching import Subject, holds
from toril.engine.search.plan import (
    ORDER,
    Stretch,
    looked_up,
    may_be_in,
    named_queues,
    sentences,
    stretches,
    tier_of,
)
from toril.engine.search.query import Query
from toril.engine.states import State

FIRST_LOOK = 200
"""Jobs in the first call of a scan. The next calls adapt to how long it took."""
MAX_LOOK = 1_000
LEAST_LOOK = 20
AIM_S = 0.004
"""How long one call is meant to take."""
LOOK_BYTES = 512 * 1024
"""Bytes of payloads in one call."""
MAX_PAYLOAD_BYTES = 1024 * 1024
"""Larger payloads are not looked at."""
LOOKED_UP = 100
"""Ids that are looked up at once."""
SCANS_AT_ONCE = 2
"""Searches of one process that look at jobs at a time; others wait."""

Progress = Callable[[int], None]
"""Told how many jobs were looked at so far."""


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a search stands."""

    digest: str
    """Of the query: a cursor goes on with its own only."""
    now_ms: int
    """When the search began: `1h` is counted back from there."""
    queue: str
    state: str = ""
    place: str | None = None
    """Where to go on in the state. For ids: the last that was looked up. None: at the start."""

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


@dataclass(slots=True)
class Look:
    """One call's worth of a search."""

    found: list[JobRecord]
    looked_at: int
    passed_over: int
    again: bool
    cursor: Cursor | None
    """Where to go on. None: everything was looked through."""


class Searcher:
    """Searches of one store."""

    def __init__(self, open_store: Callable[[], Backend]) -> None:
        self._open = open_store
        self._scans: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def page(
        self,
        text: str,
        *,
        cursor: str | None,
        limit: int,
        budget: float | timedelta,
        progress: Progress | None,
    ) -> SearchPage:
        """Return a page; see `App.search`."""
        require(1 <= limit <= 1000, "limit", limit, "an integer from 1 to 1,000")
        budget_s = seconds(budget, "budget")
        query = parse(text)
        start = self.start(query) if cursor is None else read_cursor(cursor, query)
        found: list[JobRecord] = []
        looked_at = passed_over = 0
        again = False
        stand: Cursor | None = start
        async with self._turn():
            until_s = time.monotonic() + budget_s
            looks = self.looks(query, start, room=lambda: limit - len(found))
            async with aclosing(looks):
                async for look in looks:
                    found += look.found
                    looked_at += look.looked_at
                    passed_over += look.passed_over
                    again = again or look.again
                    stand = look.cursor
                    if progress is not None:
                        progress(looked_at)
                    if len(found) >= limit or time.monotonic() >= until_s:
                        break
                else:
                    stand = None
        return SearchPage(
            jobs=[JobInfo.from_record(record) for record in found],
            next=None if stand is None else str(stand),
            looked_at=looked_at,
            passed_over=passed_over,
            queue=None if stand is None else stand.queue or None,
            state=None if stand is None else stand.state or None,
            repeats=again,
        )

    async def plan(self, text: str) -> SearchPlan:
        """Return what a search will cost; see `App.explain_search`."""
        query = parse(text)
        records = await self.queues(query)
        found = stretches(query, [one.name for one in records], self._open().clock.now_ms())
        most, told = sentences(query, found, records)
        return SearchPlan(
            query=str(query), tier=tier_of(query, found), jobs_at_most=most, sentences=told
        )

    def start(self, query: Query, now_ms: int | None = None) -> Cursor:
        """Return where a search begins: now, or as if it were another moment."""
        now_ms = self._open().clock.now_ms() if now_ms is None else now_ms
        return Cursor(_digest(query), now_ms, "")

    async def queues(self, query: Query) -> list[QueueRecord]:
        """Return the queues in which jobs can be meant, by name."""
        counts = self._open().counts
        named = named_queues(query)
        if named is None:
            records = await counts.queues()
        else:  # also those that only others use, and are on no list
            asked = await asyncio.gather(*map(counts.queue, named))
            records = [record for record in asked if record is not None]
        return [record for record in records if may_be_in(query, record.name)]

    async def looks(
        self,
        query: Query,
        start: Cursor,
        *,
        room: Callable[[], int],
        oldest_first: bool = False,
        ids_only: bool = False,
        queues: Sequence[str] | None = None,
        ended_until_ms: int | None = None,
    ) -> AsyncGenerator[Look]:
        """Go through all that is meant, call by call; the last has no cursor.

        Parameters:
            query: What is meant.
            start: Where to begin.
            room: How many jobs the next look may find, from 1.
            oldest_first: Each state from its start.
            ids_only: Where every job is meant, records need only hold ids, not what is stored.
            queues: Only in these. None: in all where jobs can be meant.
            ended_until_ms: Pass over jobs that ended later.
        """
        ids = looked_up(query)
        if queues is None:
            queues = [one.name for one in await self.queues(query)]
        if ids is not None:
            async for look in self._by_id(query, start, queues, sorted(ids), room):
                yield look
            return
        todo = [
            one
            for one in stretches(query, queues, start.now_ms)
            if (one.queue, _rank(one.state)) >= (start.queue, _rank(start.state))
        ]
        many = FIRST_LOOK
        if ended_until_ms is not None:
            todo = [stretch.ended_until(ended_until_ms) for stretch in todo]
        for index, stretch in enumerate(todo):
            here = (stretch.queue, stretch.state) == (start.queue, start.state)
            place = start.place if here else None
            while True:
                began_s = time.monotonic()
                most = min(many, room()) if stretch.every else many
                scanned, found = await self._look(
                    stretch, place, most, room(), start.now_ms, oldest_first=oldest_first,
                    whole=not (ids_only and stretch.every),
                )  # fmt: skip
                took_s = time.monotonic() - began_s
                many = _next_look(many, most, took_s)
                place = scanned.next
                behind: Stretch | None = stretch
                if place is None:
                    behind = todo[index + 1] if index + 1 < len(todo) else None
                cursor = behind and Cursor(
                    start.digest, start.now_ms, behind.queue, behind.state, place
                )
                yield Look(
                    found, scanned.looked_at, scanned.passed_over, scanned.again, cursor or None
                )
                if place is None:
                    break
                await asyncio.sleep(0)

    async def _look(
        self,
        stretch: Stretch,
        place: str | None,
        many: int,
        room: int,
        now_ms: int,
        *,
        oldest_first: bool,
        whole: bool,
    ) -> tuple[Scanned, list[JobRecord]]:
        """Look at the next jobs of a stretch; return those that are meant, `room` at most."""
        asks_payload = any(
            term.field in ("data", "text") for terms in stretch.alternatives for term in terms
        )
        while True:
            scanned = await self._open().search.scan(
                Scan(
                    queue=stretch.queue,
                    state=stretch.state,
                    after=place,
                    newest_first=not oldest_first,
                    limit=many,
                    max_bytes=LOOK_BYTES,
                    max_payload_bytes=MAX_PAYLOAD_BYTES if asks_payload else None,
                    name=stretch.needles.name,
                    data=stretch.needles.data,
                    error=stretch.needles.error,
                    text=stretch.needles.text,
                    since_ms=stretch.since_ms,
                    until_ms=stretch.until_ms,
                    whole=whole,
                )
            )
            if not whole:
                return scanned, [_only_id(stretch, one) for one in scanned.ids]
            meant = [
                (record, seen)
                for record, seen in zip(scanned.jobs, scanned.places, strict=True)
                if stretch.every or _is_meant(stretch, record, now_ms)
            ]
            if len(meant) <= room:
                return scanned, [record for record, _ in meant]
            # The page is full within this look: look again, no further than to the last that fits.
            many = meant[room - 1][1]

    async def _by_id(
        self,
        query: Query,
        start: Cursor,
        queues: Sequence[str],
        ids: list[str],
        room: Callable[[], int],
    ) -> AsyncGenerator[Look]:
        jobs = self._open().jobs
        todo = [
            (queue, job_id)
            for queue, job_id in itertools.product(queues, ids)
            if (queue, job_id) > (start.queue, start.place or "")
        ]
        while todo:
            many = min(LOOKED_UP, room())
            now, todo = todo[:many], todo[many:]
            records = await asyncio.gather(*(jobs.get(queue, job_id) for queue, job_id in now))
            there = [record for record in records if record is not None]
            found = [
                record
                for record in there
                if any(holds(terms, Subject(record, start.now_ms)) for terms in query.alternatives)
            ]
            cursor = Cursor(start.digest, start.now_ms, now[-1][0], "", now[-1][1])
            yield Look(found, len(there), 0, False, cursor if todo else None)

    def _turn(self) -> asyncio.Semaphore:
        """Return what lets so many searches look at a time, bound to this event loop."""
        loop = asyncio.get_running_loop()
        if self._scans is None or self._loop is not loop:
            self._scans, self._loop = asyncio.Semaphore(SCANS_AT_ONCE), loop
        return self._scans


def read_cursor(text: str, query: Query) -> Cursor:
    """Return where a search stood.

    Raises:
        InvalidOptionError: It is no cursor, or another search's.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=Cursor)
        _rank(cursor.state)
    except ValueError:
        cursor = None
    require(cursor is not None, "cursor", text, "the `next` of the page before")
    assert cursor is not None  # noqa: S101 - for the type checker; `require` has refused
    if cursor.digest != _digest(query):
        raise InvalidOptionError(
            f"cursor={text[:20]!r}…: it goes on with another search; begin this one without one"
        )
    return cursor


def _digest(query: Query) -> str:
    return hashlib.sha256(str(query).encode()).hexdigest()[:8]


def _rank(state: str) -> int:
    return ORDER.index(State(state)) if state else -1


def _next_look(many: int, looked: int, took_s: float) -> int:
    """Return how many jobs the next call looks at: as many as `AIM_S` allows, within bounds."""
    if looked < many:  # cut short for another reason: it says too little
        return many
    fitting = round(many * AIM_S / max(took_s, 1e-6))
    return max(LEAST_LOOK, min(fitting, 2 * many, MAX_LOOK))


def _is_meant(stretch: Stretch, record: JobRecord, now_ms: int) -> bool:
    subject = Subject(record, now_ms)
    return any(holds(terms, subject) for terms in stretch.alternatives)


def _only_id(stretch: Stretch, job_id: str) -> JobRecord:
    """Return a record of which only id, queue and state mean something."""
    return JobRecord(
        id=job_id, queue=stretch.queue, name="", state=stretch.state, data="", opts="", priority=0,
        timestamp_ms=0, delay_ms=0, run_at_ms=None, attempts_made=0, attempts_started=0, stalled=0,
        progress="", result=None, failed_reason=None, processed_on_ms=None, finished_on_ms=None,
        worker_id=None, lease_remaining_ms=None, deferred_failure=None, cancel_reason=None,
        attempts=[], data_bytes=0,
    )  # fmt: skip
