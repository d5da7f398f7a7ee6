"""A dead-letter queue: what failed for good, why, and how it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from toril.core.checks import require
from toril.core.clock import moment
from toril.core.codec import Json
from toril.core.errors import InvalidOptionError, JobNotFoundError
from toril.core.reading import read
from toril.engine.contract import Backend, JobFilter, Redrive
from toril.engine.handle import Job
from toril.engine.handler import Handlers
from toril.engine.info import AttemptInfo
from toril.engine.job import JobRecord
from toril.engine.letters import Letter, is_letter, job_again, marked, read_letter
from toril.engine.new_jobs import payload_text
from toril.engine.operator import Progress
from toril.engine.producer import Producer
from toril.engine.states import State

DEAD_LETTER = "dead-letter"
"""The dead-letter queue where none is named."""
STATES = tuple(state for state in State if state is not State.WAITING_CHILDREN)
"""States in which a letter may be: those that wait first."""
CHUNK = 100
"""Letters that one call of the store reads."""
MAX_LOOKED_AT = 2_000
"""Letters that `list` looks at before it returns what it has found, with a cursor to go on."""
TRIES = 5
"""How often a letter is read anew because somebody has changed it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterInfo:
    """A dead letter as it was when it was looked at."""

    id: str
    queue: str
    """The dead-letter queue."""
    state: State
    """What became of the letter itself: it is a job that a worker may take."""
    original_queue: str
    original_job_id: str
    task: str
    """The name of the job."""
    data: Any
    """The payload of the job, decoded. A `RawText` where it cannot be."""
    options: Any
    """Its stored options, in BullMQ's words."""
    failed_reason: str
    attempts_made: int
    """Attempts that count."""
    failed_at: datetime
    """When it failed for good."""
    redriven_at: datetime | None
    """When it was brought back. None: it was not."""
    stacktrace: list[str]
    """One for each attempt that left one, oldest first."""
    attempts: list[AttemptInfo]
    """Each attempt, oldest first; stack traces stand in `stacktrace`."""


class LetterPage(NamedTuple):
    """Some letters of a listing."""

    letters: list[LetterInfo]
    next: str | None
    """Give it as `after` for the next page. None: this was the last."""


class LetterFilter(msgspec.Struct, frozen=True):
    """Which letters are meant. What is None does not matter."""

    queue: str | None = None
    """The queue that the job was in."""
    task: str | None = None
    """The name of the job."""
    error: str | None = None
    """A part of the reason, in any case of letters."""
    redriven: bool | None = None
    """Whether the job was brought back."""

    def meets(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            self.queue in (None, letter.original_queue)
            and self.task in (None, letter.job_name)
            and (self.error is None or self.error.lower() in letter.failed_reason.lower())
            and self.redriven in (None, letter.redriven_at is not None)
        )


class DeadLetterQueue:
    """A dead-letter queue. Each call asks the store."""

    def __init__(self, producer: Producer, handlers: Handlers, name: str) -> None:
        self._producer = producer
        self._handlers = handlers
        self.name = name

    async def list(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        redriven: bool | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> LetterPage:
        """Return a page of letters, oldest first: those that wait, then those that were taken.

        Other jobs of the queue are left out.

        Parameters:
            queue: Only of jobs that were in this queue.
            task: Only of jobs of this name.
            error: Only where the reason contains this text, in any case.
            redriven: Only those whose job was brought back, or was not.
            limit: How many, 1 to 1,000. With a filter there may be fewer although `next` is set:
                one call looks at 2,000 letters at most.
            after: `LetterPage.next` of the page before.
        """
        require(1 <= limit <= 1000, "limit", limit, "an integer from 1 to 1,000")
        wanted = LetterFilter(queue, task, error, redriven)
        letters: list[LetterInfo] = []
        looked_at = 0
        while True:
            many = min(CHUNK, limit - len(letters))
            page = await self._store().jobs.page(
                JobFilter(queue=self.name, states=STATES, limit=many, after=after)
            )
            looked_at += len(page.jobs)
            for record in page.jobs:
                letter = _letter(record)
                if letter is not None and wanted.meets(letter):
                    letters.append(_info(record, letter))
            after = page.next
            if after is None or len(letters) >= limit or looked_at >= MAX_LOOKED_AT:
                return LetterPage(letters, after)

    async def get(self, letter_id: str) -> LetterInfo:
        """Return one letter.

        Raises:
            JobNotFoundError: There is none of this id.
            InvalidOptionError: The job of this id is no letter.
        """
        record, letter = await self._find(letter_id)
        return _info(record, letter)

    async def redrive(self, letter_id: str, data: Json | None = None) -> Job[Any]:
        """Bring the job of a letter back, and mark the letter; return the job.

        It keeps its id, options and history; its attempts are counted from 0. If the failed job is
        still there, that one goes back in line; else it is added again. A letter whose job was
        brought back before changes nothing, nor does one whose job is no longer failed.

        Parameters:
            letter_id: The id of the letter.
            data: Another payload for the job. None: it keeps its own.

        Raises:
            JobNotFoundError: There is no letter of this id.
            InvalidOptionError: The job of this id is no letter.
            InvalidPayloadError: `data` is not JSON, or does not fit the task, if the app has it.
        """
        _, letter = await self._find(letter_id)
        text = None if data is None else self._payload(letter, data)
        await self._redrive(letter_id, text)
        return Job(self._producer, letter.original_queue, letter.original_job_id)

    async def redrive_all(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        limit: int | None = None,
        max_per_s: float | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Bring back the jobs of all letters that were not redriven, or of some; return how many.

        It can be given up half-way and asked again.

        Parameters:
            queue: Only of jobs that were in this queue.
            task: Only of jobs of this name.
            error: Only where the reason contains this text, in any case.
            limit: At most so many. None: all.
            max_per_s: Jobs a second at most. None: as fast as the store takes them.
            progress: Told how many are done so far.
        """
        require(limit is None or limit >= 0, "limit", limit, "an integer from 0, or None")
        good = max_per_s is None or max_per_s > 0
        require(good, "max_per_s", max_per_s, "jobs a second, above 0, or None")
        wanted = LetterFilter(queue, task, error, False)
        done = 0
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        async for letter_id in self._ids(wanted):
            if limit is not None and done >= limit:
                break
            if max_per_s is not None:
                await asyncio.sleep(max(0.0, begin_s + done / max_per_s - loop.time()))
            if await self._redrive(letter_id, None):
                done += 1
                if progress is not None:
                    progress(done)
        return done

    async def remove(self, letter_id: str) -> None:
        """Remove a letter. Its job stays as it is.

        Raises:
            JobNotFoundError: There is none of this id.
            InvalidOptionError: The job of this id is no letter.
            WrongStateError: A worker holds the letter.
        """
        await self._find(letter_id)
        await self._store().jobs.remove(self.name, letter_id)

    async def remove_all(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        error: str | None = None,
        redriven: bool | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Remove letters, but for those that a worker holds; return how many.

        Parameters:
            queue: Only of jobs that were in this queue.
            task: Only of jobs of this name.
            error: Only where the reason contains this text, in any case.
            redriven: Only those whose job was brought back, or was not.
            progress: Told how many are done so far.
        """
        wanted = LetterFilter(queue, task, error, redriven)
        done = 0
        for state in STATES:
            if state is State.ACTIVE:
                continue
            after: str | None = None
            while True:
                page = await self._store().jobs.page(
                    JobFilter(queue=self.name, states=(state,), limit=CHUNK, after=after)
                )
                meant = [
                    record.id
                    for record in page.jobs
                    if (letter := _letter(record)) is not None and wanted.meets(letter)
                ]
                gone = await self._store().jobs.remove_many(self.name, state, meant)
                done += sum(gone)
                if progress is not None:
                    progress(done)
                stays = len(page.jobs) - sum(gone)
                if stays:  # go on behind those
                    page = await self._store().jobs.page(
                        JobFilter(queue=self.name, states=(state,), limit=stays, after=after)
                    )
                    after = page.next
                if page.next is None:
                    break
        return done

    async def _redrive(self, letter_id: str, data: str | None) -> bool:
        """Bring one job back; return whether this call did it."""
        store = self._store()
        for _ in range(TRIES):
            record, letter = await self._find(letter_id)
            if letter.redriven_at is not None:
                return False
            now_ms = store.clock.now_ms()
            job = job_again(letter, now_ms)
            if data is not None:
                job = msgspec.structs.replace(
                    job, record=msgspec.structs.replace(job.record, data=data)
                )
            word, _state = await store.dead_letters.redrive(
                Redrive(
                    self.name, letter_id, record.data, marked(letter, moment(now_ms)), job, data
                )
            )
            match word:
                case "back":
                    return True
                case "was_back":
                    return False
                case "missing":
                    raise _missing(self.name, letter_id)
        raise InvalidOptionError(
            f"letter {letter_id!r} of queue {self.name!r} changes all the time: is a program"
            " writing to it? Nothing was brought back"
        )

    async def _find(self, letter_id: str) -> tuple[JobRecord, Letter]:
        record = await self._store().jobs.get(self.name, letter_id)
        if record is None:
            raise _missing(self.name, letter_id)
        letter = _letter(record)
        if letter is None:
            raise InvalidOptionError(
                f"job {letter_id!r} of queue {self.name!r} is no dead letter; see"
                f" toril jobs show {self.name} {letter_id}"
            )
        return record, letter

    async def _ids(self, wanted: LetterFilter) -> AsyncIterator[str]:
        """Return the ids of letters. They may be marked on the way, but not removed."""
        for state in STATES:
            after: str | None = None
            while True:
                page = await self._store().jobs.page(
                    JobFilter(queue=self.name, states=(state,), limit=CHUNK, after=after)
                )
                for record in page.jobs:
                    letter = _letter(record)
                    if letter is not None and wanted.meets(letter):
                        yield record.id
                after = page.next
                if after is None:
                    break

    def _payload(self, letter: Letter, data: Json) -> str:
        text = payload_text(letter.job_name, data)
        handler = self._handlers.find(letter.original_queue, letter.job_name)
        return text if handler is None else handler.job_of(text).data

    def _store(self) -> Backend:
        return self._producer.backend()


def _letter(record: JobRecord) -> Letter | None:
    return read_letter(record.data) if is_letter(record.id) else None


def _missing(queue: str, letter_id: str) -> JobNotFoundError:
    return JobNotFoundError(
        f"queue {queue!r} has no letter {letter_id!r}", job_id=letter_id, queue=queue
    )


def _info(record: JobRecord, letter: Letter) -> LetterInfo:
    return LetterInfo(
        id=record.id,
        queue=record.queue,
        state=record.state,
        original_queue=letter.original_queue,
        original_job_id=letter.original_job_id,
        task=letter.job_name,
        data=read(bytes(letter.data).decode()),
        options=read(bytes(letter.opts).decode()),
        failed_reason=letter.failed_reason,
        attempts_made=letter.attempts_made,
        failed_at=_at(letter.failed_at) or moment(record.timestamp_ms),
        redriven_at=None if letter.redriven_at is None else _at(letter.redriven_at),
        stacktrace=letter.stacktrace,
        attempts=[
            AttemptInfo(
                number=attempt.number,
                started_at=moment(attempt.started_ms),
                ended_at=moment(attempt.ended_ms),
                worker_id=attempt.worker_id,
                outcome=attempt.outcome,
                error=attempt.error,
                traceback=attempt.traceback,
            )
            for attempt in letter.history
        ],
    )


def _at(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
