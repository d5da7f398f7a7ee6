"""A queue and a job that are behind a server, with the methods that commands use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from toril.cli.remote_records import attempts_page, job_of_facts, job_of_line
from toril.client import ApiError, AsyncClient
from toril.core.clock import epoch_ms
from toril.engine.events import EventRecord, EventsTold
from toril.engine.explanation import Explanation
from toril.engine.info import JobInfo, QueueInfo
from toril.engine.operator import Progress
from toril.engine.options import JobOptions, RateLimit
from toril.engine.queue import Page
from toril.engine.states import State
from toril.rest.answers import Done, Event
from toril.rest.bodies import DeduplicationBody

MOST = 1000
"""Items of one request."""


class RemoteQueue:
    """A queue behind a server."""

    def __init__(self, client: AsyncClient, name: str) -> None:
        self._client = client
        self.name = name

    def job(self, job_id: str) -> RemoteJob:
        """Return a job, whether it exists or not."""
        return RemoteJob(self._client, self.name, job_id)

    async def info(self) -> QueueInfo | None:
        """Return the queue's figures; None if nothing is known of it."""
        try:
            return (await self._client.get_queue(self.name)).queue
        except ApiError as error:
            if error.code == "queue_not_found":
                return None
            raise

    async def waiting_by_priority(self, priorities: Iterable[int]) -> dict[int, int]:
        """Return how many jobs wait with each of some priorities, as far as the server says."""
        facts = await self._client.get_queue(self.name)
        counted = {int(rank): many for rank, many in facts.waiting_by_priority.items()}
        return {rank: counted[rank] for rank in priorities if rank in counted}

    async def add(self, name: str, data: Any, options: JobOptions) -> RemoteJob:
        """Add a job."""
        held = options.deduplication
        added = await self._client.add_job(
            self.name,
            name,
            data,
            job_id=options.job_id,
            delay_s=options.delay_s,
            priority=options.priority,
            max_attempts=options.max_attempts,
            deduplication=None if held is None else DeduplicationBody(id=held.id, ttl_s=held.ttl_s),
        )
        return RemoteJob(self._client, added.queue, added.id, duplicate=added.duplicate)

    async def jobs(
        self,
        state: Iterable[State | str],
        *,
        limit: int = 50,
        after: str | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Return a page of jobs."""
        states = [State(one) for one in state]
        page = await self._client.list_jobs(
            self.name, state=states, limit=limit, after=after, newest_first=newest_first
        )
        return Page([job_of_line(line) for line in page.items], page.next)

    async def events(
        self, *, after: int | None = None, until_idle: bool = False
    ) -> AsyncIterator[EventRecord]:
        """Follow the queue's events."""
        position = after
        while position is not None:
            page = await self._client.list_events(self.name, after=position, limit=MOST)
            for event in page.items:
                position = event.position
                yield event_record(event)
            if not page.items:
                break
        if until_idle:
            return
        seen = None if position is None else f"{self.name}={position}"
        while True:  # a stream ends when the server is started anew
            async for message in self._client.stream(queues=[self.name], after=seen):
                seen = message.id or seen
                if message.kind == "event":
                    yield record_of_message(message.data)

    async def pause(self) -> None:
        """Let no job start."""
        await self._client.pause_queue(self.name)

    async def resume(self) -> None:
        """Let jobs start again."""
        await self._client.resume_queue(self.name)

    async def set_rate(self, rate: RateLimit | None) -> None:
        """Limit starts."""
        if rate is None:
            await self._client.change_queue(self.name, rate_limit=None)
        else:
            await self._client.change_queue(
                self.name, rate_limit=rate.limit, rate_window_s=rate.window_s
            )

    async def set_concurrency(self, limit: int | None) -> None:
        """Limit how many run at once."""
        await self._client.change_queue(self.name, concurrency=limit)

    async def set_events(self, told: EventsTold) -> None:
        """Say which events are written."""
        await self._client.change_queue(self.name, events=told)

    async def set_history(self, kept: bool) -> None:
        """Say whether its history is written."""
        await self._client.change_queue(self.name, history=kept)

    async def set_dead_letter(self, queue: str | None, *, keep: float | None = None) -> None:
        """Say where failures leave letters."""
        await self._client.change_queue(self.name, dead_letter=queue, dead_letter_keep_s=keep)

    async def release_deduplication(self, deduplication_id: str) -> bool:
        """Let the next job have a de-duplication id."""
        try:
            await self._client.free_deduplication_id(self.name, deduplication_id)
        except ApiError as error:
            if error.code == "not_held":
                return False
            raise
        return True

    async def drain(self, *, delayed: bool, progress: Progress) -> int:
        """Remove all jobs that wait."""
        return await _all(
            lambda _: self._client.drain_queue(self.name, delayed=delayed), None, progress
        )

    async def clean(
        self, state: Any, *, older_than: float, limit: int | None, progress: Progress
    ) -> int:
        """Remove jobs of one state."""
        return await _all(
            lambda left: self._client.clean_queue(
                self.name, state=state, older_than_s=older_than, limit=left
            ),
            limit,
            progress,
        )

    async def retry_all(self, state: Any, *, limit: int | None, progress: Progress) -> int:
        """Put finished jobs back in line."""
        return await _all(
            lambda left: self._client.retry_jobs(self.name, state=state, limit=left),
            limit,
            progress,
        )

    async def promote_all(self, *, limit: int | None, progress: Progress) -> int:
        """Make delayed jobs ready."""
        return await _all(
            lambda left: self._client.promote_jobs(self.name, limit=left), limit, progress
        )

    async def obliterate(self, *, force: bool, progress: Progress) -> int:
        """Remove the queue."""
        return await _all(
            lambda _: self._client.obliterate_queue(self.name, self.name, force=force),
            None,
            progress,
        )


async def _all(
    ask: Callable[[int | None], Awaitable[Done]], limit: int | None, progress: Progress
) -> int:
    """Ask until nothing is left over."""
    done = 0
    while True:
        part = await ask(None if limit is None else limit - done)
        done += part.count
        progress(done)
        if not part.more or (limit is not None and done >= limit):
            return done


class RemoteJob:
    """A job behind a server."""

    def __init__(
        self, client: AsyncClient, queue: str, job_id: str, *, duplicate: bool = False
    ) -> None:
        self._client = client
        self.queue = queue
        self.id = job_id
        self.duplicate = duplicate

    async def info(self) -> JobInfo:
        """Return everything that is known of it."""
        facts = await self._client.get_job(self.queue, self.id)
        try:
            data = await self._client.get_data(self.queue, self.id)
            result = await self._client.get_result(self.queue, self.id)
            attempts = await attempts_page(self._client, self.queue, self.id)
        except ApiError as error:
            if error.status != 403:  # the key may not see what jobs carry
                raise
            return job_of_facts(facts, None, None, [])
        return job_of_facts(facts, data, result, attempts)

    async def explain(self) -> Explanation:
        """Return why it does not run."""
        return await self._client.explain_job(self.queue, self.id)

    async def logs(self, *, limit: int) -> list[str]:
        """Return its log lines, oldest first."""
        lines: list[str] = []
        after: str | None = None
        while len(lines) < limit:
            page = await self._client.list_log_lines(self.queue, self.id, limit=MOST, after=after)
            lines += page.items
            after = page.next
            if after is None:
                break
        return lines

    async def cancel(self, reason: str) -> None:
        """Stop it for good."""
        await self._client.cancel_job(self.queue, self.id, reason=reason)

    async def retry(self) -> None:
        """Put it back in line."""
        await self._client.retry_job(self.queue, self.id)

    async def promote(self) -> None:
        """Make it ready now."""
        await self._client.promote_job(self.queue, self.id)

    async def remove(self) -> bool:
        """Remove it; return whether it was there."""
        try:
            await self._client.remove_job(self.queue, self.id)
        except ApiError as error:
            if error.code == "job_not_found":
                return False
            raise
        return True


def event_record(event: Event) -> EventRecord:
    """Return an event as a store gives it."""
    fields = dict(event.fields)
    if event.job_id is not None:
        fields = {"jobId": event.job_id, **fields}
    return EventRecord(event.position, epoch_ms(event.at), event.name, fields)


def record_of_message(data: Any) -> EventRecord:
    """Return an event of a stream as a store gives it."""
    import msgspec

    return event_record(msgspec.convert(data, Event))
