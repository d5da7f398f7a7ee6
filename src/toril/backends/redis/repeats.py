"""Calls that may be sent twice: a hash of the queue's remembers the answer of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from toril.backends.redis.client import Client
from toril.backends.redis.jobs import RedisJobs
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.requests import QueueIndex, new_jobs, whole_job
from toril.backends.redis.scripts import script
from toril.backends.redis.slots import SlotCalls, all_at_once
from toril.engine.job import Added, NewJob, WholeJob
from toril.engine.repeats import KEPT_MS, CallId, Done

PROBE_KEPT_MS = 60_000
_Placed = list[tuple[int, Added | Exception]]


class RedisRepeats:
    """The role `Repeats`."""

    def __init__(
        self, client: Client, keys: Keys, moments: Moments, known: QueueRegister, jobs: RedisJobs
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._jobs = jobs
        self._slots = SlotCalls(client, keys)
        self._books: dict[str, set[str]] = {}
        """Books of this process, each with the queues in whose keys it lies."""

    def start(self, call: CallId, jobs: Sequence[NewJob], done: Done) -> bool:
        places = QueueIndex()
        arguments = new_jobs(jobs, places)
        if not all(map(self._known.is_ready, places.names)):
            return False

        def answered(answers: Any, error: BaseException | None) -> None:
            done(None if error is not None else self._jobs.added(answers, jobs), error)

        return self._client.start(
            script("add_once"),
            [self._keys.meta(queue) for queue in places.names],
            self._moments.frozen(),
            call.book,
            call.number,
            self._kept_ms(call.book, places.names[0]),
            *arguments,
            done=answered,
        )

    async def add(
        self, call: CallId, jobs: Sequence[NewJob], *, sending: Callable[[], None] | None = None
    ) -> Sequence[Added | Exception]:
        await self._client.call("PING")
        queues = {job.queue: None for job in jobs}
        for queue in queues:
            await self._known.use(queue)
        if sending is not None:  # the first try of a call: its book is this process' to forget
            sending()
            self._kept_ms(call.book, jobs[0].queue)
        groups = self._slots.groups(enumerate(jobs), lambda one: one[1].queue)
        added = await all_at_once([self._add_group(call, group) for group in groups])
        for queue in queues:
            await self._known.announce(queue)
        answers: list[Added | Exception] = [Added("")] * len(jobs)
        for index, answer in itertools.chain(*added):
            answers[index] = answer
        return answers

    async def _add_group(self, call: CallId, group: Sequence[tuple[int, NewJob]]) -> _Placed:
        """Add jobs that lie in one slot."""
        places = QueueIndex()
        jobs = [job for _, job in group]
        arguments = new_jobs(jobs, places)
        answers = await self._client.run(
            script("add_once"),
            [self._keys.meta(queue) for queue in places.names],
            self._moments.frozen(),
            call.book,
            call.number,
            KEPT_MS,
            *arguments,
        )
        indexes = [index for index, _ in group]
        return list(zip(indexes, self._jobs.added(answers, jobs), strict=True))

    async def adopt(self, call: CallId, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        await self._known.use(queue)
        arguments = [word for job in jobs for word in whole_job(job, self._keys.prefix)]
        answers = await self._client.run(
            script("adopt_once"),
            [self._keys.meta(queue)],
            self._moments.frozen(),
            call.book,
            call.number,
            KEPT_MS,
            *arguments,
        )
        await self._known.announce(queue)
        return [answer == 1 for answer in answers]

    async def forget(self, book: str) -> None:
        queues = self._books.pop(book, set())
        await self._client.many([["UNLINK", self._keys.calls(queue, book)] for queue in queues])

    async def probe(self) -> None:
        await self._client.call("SET", self._keys.probe, "1", "PX", PROBE_KEPT_MS)
        if self._client.clustered:
            for node in await self._client.nodes():
                await node.call("PING")

    def _kept_ms(self, book: str, queue: str) -> int:
        """Return for how long a book is to be kept, as it is begun; 0: that was said before."""
        queues = self._books.get(book)
        if queues is None:
            queues = self._books[book] = set()
        if queue in queues:
            return 0
        queues.add(queue)
        return KEPT_MS
