"""A dead-letter queue: what failed for good, why, and how it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from toril.core.checks import require
from toril.core.clock import moment
from toril.core.codec import Json
from toril.core.errors import InvalidOptionError, JobNotFoundError
from toril.engine.contract import Backend, JobFilter, Redrive
from toril.engine.contract.jobs import JobPage
from toril.engine.handle import Job
from toril.engine.handler import Handlers
from toril.engine.job import JobRecord
from toril.engine.letter_info import LetterFilter, LetterInfo, LetterPage, letter_info
from toril.engine.letters import Letter, is_letter, job_again, marked, read_letter
from toril.engine.new_jobs import payload_text
from toril.engine.operator import Progress
from toril.engine.producer import Producer
from toril.engine.states import LOOSE, State

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
                    letters.append(letter_info(record, letter))
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
        return letter_info(record, letter)

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
        async with self._producer.operations.doing("redrive", self.name, letter_id) as doing:
            doing.changed = await self._redrive(letter_id, text)
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
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        given: dict[str, Any] = {
            "original_queue": queue,
            "task": task,
            "error": error,
            "limit": limit,
        }
        async with self._producer.operations.doing("redrive_all", self.name, **given) as doing:
            doing.count = 0
            async for letter_id in self._ids(wanted):
                if limit is not None and doing.count >= limit:
                    break
                if max_per_s is not None:
                    due_s = begin_s + doing.count / max_per_s
                    await asyncio.sleep(max(0.0, due_s - loop.time()))
                if await self._redrive(letter_id, None):
                    doing.count += 1
                    if progress is not None:
                        progress(doing.count)
            return doing.count

    async def remove(self, letter_id: str) -> None:
        """Remove a letter. Its job stays as it is.

        Raises:
            JobNotFoundError: There is none of this id.
            InvalidOptionError: The job of this id is no letter.
            WrongStateError: A worker holds the letter.
        """
        await self._find(letter_id)
        async with self._producer.operations.doing("remove", self.name, letter_id) as doing:
            doing.changed = await self._store().jobs.remove(self.name, letter_id) is not None

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
        given: dict[str, Any] = {
            "original_queue": queue,
            "task": task,
            "error": error,
            "redriven": redriven,
        }
        async with self._producer.operations.doing("remove_all", self.name, **given) as doing:
            doing.count = 0
            for state in LOOSE:
                async for removed in self._remove_in(state, wanted):
                    doing.count += removed
                    if progress is not None:
                        progress(doing.count)
            return doing.count

    async def _remove_in(self, state: State, wanted: LetterFilter) -> AsyncIterator[int]:
        """Remove the letters of one state that are meant; give how many, chunk by chunk."""
        after: str | None = None
        while True:
            page = await self._page(state, after)
            meant = [
                record.id
                for record in page.jobs
                if (letter := _letter(record)) is not None and wanted.meets(letter)
            ]
            gone = sum(await self._store().moving.remove(self.name, state, meant))
            yield gone
            stays = len(page.jobs) - gone
            if stays:  # go on behind those
                page = await self._page(state, after, stays)
                after = page.next
            if page.next is None:
                return

    async def _page(self, state: State, after: str | None, limit: int = CHUNK) -> JobPage:
        return await self._store().jobs.page(
            JobFilter(queue=self.name, states=(state,), limit=limit, after=after)
        )

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
                page = await self._page(state, after)
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
