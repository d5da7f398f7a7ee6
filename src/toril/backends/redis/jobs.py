"""Jobs one by one: add, look up, list, and an operator's verbs. In bulk: `bulk.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from toril.backends.cursors import cursor, no_cursor, split_cursor
from toril.backends.pending import Pending
from toril.backends.redis import records
from toril.backends.redis.bulk import Bulk
from toril.backends.redis.requests import Places, new_jobs
from toril.backends.redis.scripts import script
from toril.backends.refusals import not_found
from toril.core.errors import (
    BackendError,
    JobError,
    WrongStateError,
)
from toril.engine.contract.jobs import JobFilter, JobPage
from toril.engine.job import Added, JobRecord, NewJob
from toril.engine.states import State

ADD_CHUNK = 500
"""Jobs that travel together: about 5 ms of the server's time."""
TOGETHER = 32
"""Producers that go on together: server and producers work at the same time."""


class RedisJobs(Bulk):
    """The role `Jobs`."""

    def __init__(self, *roles: Any, metrics_points: int) -> None:
        super().__init__(*roles, metrics_points=metrics_points)
        self._pending: dict[asyncio.AbstractEventLoop, Pending] = {}

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        if len(jobs) != 1:
            return _all_added(await self._add_groups(jobs))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Added] = loop.create_future()
        pending = self._pending.get(loop)
        if pending is None:
            pending = self._pending[loop] = Pending([], [])
            loop.call_soon(self._send, loop)
        pending.jobs.append(jobs[0])
        pending.futures.append(future)
        if len(pending.jobs) >= ADD_CHUNK:
            self._send(loop)
        return [await future]

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what the calls of one turn of the loop have gathered."""
        pending = self._pending.pop(loop, None)
        if pending is not None and not self._start(pending):
            self._tasks.add(task := loop.create_task(self._add_pending(pending)))
            task.add_done_callback(self._tasks.discard)

    def _start(self, pending: Pending) -> bool:
        """Send without a task, if nothing is in the way; return whether it was sent."""

        def done(answers: Any, error: BaseException | None) -> None:
            if error is None:
                pending.succeed_by_turns(self._added(answers, pending.jobs), together=TOGETHER)
            else:
                pending.fail(error)

        places = Places()
        try:
            arguments = new_jobs(pending.jobs, places)
            if not all(map(self._known.is_ready, places.names)):
                return False
            metas = [self._keys.meta(queue) for queue in places.names]
            return self._client.start(
                script("add"), metas, self._moments.frozen(), *arguments, done=done
            )
        except Exception:  # one of them cannot be sent: the other way finds out which
            return False

    async def _add_pending(self, pending: Pending) -> None:
        try:
            answers = await self._add_groups(pending.jobs)
        except BackendError as error:
            pending.fail(error)
        except Exception as error:
            if len(pending.jobs) == 1:
                pending.fail(error)
                return
            # One of them cannot be sent: each on its own, so that only that one is refused.
            for job, future in zip(*pending, strict=True):
                await self._add_pending(Pending([job], [future]))
        else:
            pending.succeed(answers)

    async def _add_groups(self, jobs: Sequence[NewJob]) -> list[Added | BackendError]:
        """Add jobs: together, or in a cluster by the slots of their queues."""
        queues = {job.queue: None for job in jobs}
        for queue in queues:
            await self._known.use(queue)
        answers = await self._add_by_slot(jobs)
        for queue in queues:
            await self._known.announce(queue)
        return answers

    async def _add_by_slot(self, jobs: Sequence[NewJob]) -> list[Added | BackendError]:
        if not self._client.clustered:
            return await self._add_together(jobs)
        groups: dict[int | None, list[int]] = {}
        for index, job in enumerate(jobs):
            slot = self._client.slot(self._keys.meta(job.queue))
            groups.setdefault(slot, []).append(index)
        answers: list[Added | BackendError] = [Added("")] * len(jobs)
        for places in groups.values():
            added = await self._add_together([jobs[index] for index in places])
            for index, answer in zip(places, added, strict=True):
                answers[index] = answer
        return answers

    async def _add_together(self, jobs: Sequence[NewJob]) -> list[Added | BackendError]:
        if not jobs:
            return []
        places = Places()
        arguments = new_jobs(jobs, places)
        answers = await self._client.run(
            script("add"),
            [self._keys.meta(queue) for queue in places.names],
            self._moments.frozen(),
            *arguments,
        )
        return self._added(answers, jobs)

    def _added(self, answers: Sequence[Any], jobs: Sequence[NewJob]) -> list[Added | BackendError]:
        """Return what became of each job; an error for one that the script could not add."""
        return [
            Added(answer)
            if isinstance(answer, str)
            else Added(answer[0], duplicate=True)
            if answer[0] is not None
            else BackendError(
                f"{self._client.address.shown}: the job was not added to queue {job.queue!r}:"
                f" {answer[1]}. A key of the queue holds what does not belong there; `toril doctor`"
                " names it"
            )
            for answer, job in zip(answers, jobs, strict=True)
        ]

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        row = await self._run("read_job", queue, job_id)
        return None if row is None else records.job(row, queue)

    async def page(self, wanted: JobFilter) -> JobPage:
        states, place = _start(wanted)
        rows, *behind = await self._run(
            "page",
            wanted.queue,
            " ".join(states),
            wanted.limit,
            "yes" if wanted.newest_first else "no",
            *place,
        )
        jobs = [records.job(row, wanted.queue) for row in rows]
        return JobPage(jobs, cursor(*behind[0]) if behind else None)

    async def remove(self, queue: str, job_id: str) -> State | None:
        answer = await self._run("remove", queue, job_id)
        if answer[0] == "missing":
            return None
        return _done(answer, queue, job_id, "removed; cancel it first")

    async def retry(self, queue: str, job_id: str, *, reset_attempts: bool) -> None:
        reset = "yes" if reset_attempts else "no"
        _done(await self._run("retry", queue, job_id, reset), queue, job_id, "retried")

    async def promote(self, queue: str, job_id: str) -> None:
        _done(await self._run("promote", queue, job_id), queue, job_id, "promoted")

    async def change_delay(self, queue: str, job_id: str, *, delay_ms: int) -> None:
        answer = await self._run("change_delay", queue, job_id, delay_ms)
        _done(answer, queue, job_id, "delayed anew")

    async def change_priority(self, queue: str, job_id: str, *, priority: int, lifo: bool) -> None:
        in_front = "yes" if lifo else "no"
        answer = await self._run("change_priority", queue, job_id, priority, in_front)
        _done(answer, queue, job_id, "")

    async def update_data(self, queue: str, job_id: str, *, data: str) -> None:
        answer = await self._run("update_data", queue, job_id, data)
        _done(answer, queue, job_id, "changed")

    async def cancel(self, queue: str, job_id: str, *, reason: str) -> State:
        answer = await self._run("cancel", queue, job_id, reason, self.metrics_points)
        return _done(answer, queue, job_id, "cancelled")

    async def deduplicating(self, queue: str, deduplication_id: str) -> str | None:
        holder: str | None = await self._run("read_deduplication", queue, deduplication_id)
        return holder

    async def release_deduplication(self, queue: str, deduplication_id: str) -> bool:
        held: int = await self._run("release_deduplication", queue, deduplication_id)
        return held == 1

    async def logs(
        self, queue: str, job_id: str, *, start: int, limit: int
    ) -> tuple[list[str], int]:
        answer = await self._client.run(
            script("read_log"), [self._keys.meta(queue)], job_id, start, limit
        )
        if not answer:
            raise not_found(queue, job_id)
        return answer[0], answer[1]

    async def add_log(self, queue: str, job_id: str, line: str, *, keep: int) -> int:
        many: int = await self._client.run(
            script("add_log"), [self._keys.meta(queue)], job_id, line, keep
        )
        if many < 0:
            raise not_found(queue, job_id)
        return many


def _all_added(answers: Sequence[Added | BackendError]) -> list[Added]:
    added = [answer for answer in answers if isinstance(answer, Added)]
    for answer in answers:
        if isinstance(answer, BackendError):
            raise BackendError(f"{answer}. Of {len(answers)} jobs {len(added)} were added")
    return added


_ALLOWED = {
    "retried": "failed or completed",
    "promoted": "delayed",
    "delayed anew": "delayed",
    "cancelled": "wait or prioritized or delayed or active",
}


def _done(answer: list[Any], queue: str, job_id: str, verb: str) -> State:
    """Return the state that a job was in when a verb was done to it, or raise why it was not."""
    if answer[0] == "ok":
        return State(answer[1])
    if answer[0] == "missing":
        raise not_found(queue, job_id)
    raise _refusal(answer[1], queue, job_id, verb)


def _refusal(state: str, queue: str, job_id: str, verb: str) -> JobError:
    if state == "scheduled":
        text = "is the next one of its schedule; remove the schedule"
    elif state == State.WAITING_CHILDREN:
        allowed = _ALLOWED.get(verb, "jobs that wait for no children")
        text = f"is {state}; only {allowed} can be {verb.partition(';')[0]}"
        if verb not in _ALLOWED:
            text += "; cancel it first, or remove its whole flow"
    else:
        allowed = _ALLOWED.get(verb, "jobs that no worker holds")
        text = f"is {state}; only {allowed} can be {verb}"
    return WrongStateError(f"job {job_id!r} of queue {queue!r} {text}", job_id=job_id, queue=queue)


def _start(wanted: JobFilter) -> tuple[Sequence[State], Sequence[str]]:
    """Return the states of a page, and how many jobs of the first come before it.

    With the score and the id of the last of those.
    """
    if wanted.after is None:
        return wanted.states, ("0", "", "")
    state, place = split_cursor(wanted.after, wanted.states)
    if len(place) != 3 or not (place[0].isdecimal() and _is_score(place[1])):
        raise no_cursor(wanted.after)
    return wanted.states[wanted.states.index(state) :], place


def _is_score(text: str) -> bool:
    try:
        return text == "" or float(text) >= 0
    except ValueError:
        return False
