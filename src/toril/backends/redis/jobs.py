"""Adds, reads and lists jobs, and changes them one at a time. Many at a time: `bulk.py`."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Sequence
from typing import Any

from toril.backends.cursors import cursor, no_cursor, split_cursor
from toril.backends.pending import Gathering, Pending
from toril.backends.redis import records
from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts
from toril.backends.redis.requests import QueueIndex, new_jobs
from toril.backends.redis.scripts import script
from toril.backends.redis.slots import SlotCalls, all_at_once
from toril.backends.refusals import not_found, refused, wrong_state
from toril.core.errors import (
    BackendError,
    StoreUnreachableError,
)
from toril.engine.contract.jobs import JobFilter, JobPage
from toril.engine.job import Added, JobRecord, NewJob
from toril.engine.states import State, Verb

ADD_CHUNK = 500
"""Jobs that travel together: about 5 ms of the server's time."""
TOGETHER = 32
"""Producers that go on together: server and producers work at the same time."""


class RedisJobs:
    """The role `Jobs`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: QueueRegister,
        scripts: QueueScripts,
        *,
        metrics_points: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._scripts = scripts
        self.metrics_points = metrics_points
        self._gathering = Gathering(self._send, ADD_CHUNK)
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = SlotCalls(client, keys)

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        if len(jobs) != 1:
            return all_added(await self._add_groups(jobs))
        return [await self._gathering.add(jobs[0])]

    def _send(self, pending: Pending) -> None:
        """Send what the calls of one turn of the loop have gathered."""
        if not self._start(pending):
            task = asyncio.get_running_loop().create_task(self._add_pending(pending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _start(self, pending: Pending) -> bool:
        """Send without a task, if nothing is in the way; return whether it was sent."""

        def done(answers: Any, error: BaseException | None) -> None:
            if error is None:
                pending.succeed_by_turns(self.added(answers, pending.jobs), together=TOGETHER)
            else:
                pending.fail(error)

        places = QueueIndex()
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
            for alone in pending.one_by_one():
                await self._add_pending(alone)
        else:
            pending.succeed(answers)

    async def _add_groups(self, jobs: Sequence[NewJob]) -> Sequence[Added | Exception]:
        """Add jobs: together, or in a cluster by the slots of their queues."""
        queues = {job.queue: None for job in jobs}
        for queue in queues:
            await self._known.use(queue)
        answers = await self._add_by_slot(jobs)
        for queue in queues:
            await self._known.announce(queue)
        return answers

    async def _add_by_slot(self, jobs: Sequence[NewJob]) -> Sequence[Added | Exception]:
        if not self._client.clustered:
            return await self._add_together(jobs)
        groups = self._slots.groups(enumerate(jobs), lambda one: one[1].queue)
        added = await all_at_once([self._add_group(group) for group in groups])
        answers: list[Added | Exception] = [Added("")] * len(jobs)
        for index, answer in itertools.chain(*added):
            answers[index] = answer
        return answers

    async def _add_group(
        self, group: Sequence[tuple[int, NewJob]]
    ) -> list[tuple[int, Added | Exception]]:
        """Add jobs that lie in one slot. If that fails, it is their answer and no other's."""
        answers: Sequence[Added | Exception]
        try:
            answers = await self._add_together([job for _, job in group])
        except BackendError as error:
            answers = [copy.copy(error) for _ in group]
        except Exception as error:
            if len(group) > 1:  # one of them cannot be sent, so none was
                return list(itertools.chain(*[await self._add_group([one]) for one in group]))
            answers = [error]
        return [(index, answer) for (index, _), answer in zip(group, answers, strict=True)]

    async def _add_together(self, jobs: Sequence[NewJob]) -> Sequence[Added | Exception]:
        if not jobs:
            return []
        places = QueueIndex()
        arguments = new_jobs(jobs, places)
        answers = await self._client.run(
            script("add"),
            [self._keys.meta(queue) for queue in places.names],
            self._moments.frozen(),
            *arguments,
        )
        return self.added(answers, jobs)

    def added(self, answers: Sequence[Any], jobs: Sequence[NewJob]) -> list[Added | BackendError]:
        """Return what became of each job; an error for one that the script could not add."""
        return added_or_error(answers, jobs, self._client.address.shown)

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        row = await self._scripts.run("read_job", queue, job_id)
        return None if row is None else records.job(row, queue)

    async def page(self, wanted: JobFilter) -> JobPage:
        states, place = _start(wanted)
        rows, *behind = await self._scripts.run(
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
        answer = await self._scripts.run("remove", queue, job_id)
        if answer[0] == "missing":
            return None
        return _done(answer, queue, job_id, "remove")

    async def retry(self, queue: str, job_id: str, *, reset_attempts: bool) -> None:
        reset = "yes" if reset_attempts else "no"
        _done(await self._scripts.run("retry", queue, job_id, reset), queue, job_id, "retry")

    async def promote(self, queue: str, job_id: str) -> None:
        _done(await self._scripts.run("promote", queue, job_id), queue, job_id, "promote")

    async def change_delay(self, queue: str, job_id: str, *, delay_ms: int) -> None:
        answer = await self._scripts.run("change_delay", queue, job_id, delay_ms)
        _done(answer, queue, job_id, "change_delay")

    async def change_priority(self, queue: str, job_id: str, *, priority: int, lifo: bool) -> None:
        in_front = "yes" if lifo else "no"
        answer = await self._scripts.run("change_priority", queue, job_id, priority, in_front)
        _done(answer, queue, job_id, "change_priority")

    async def update_data(self, queue: str, job_id: str, *, data: str) -> None:
        answer = await self._scripts.run("update_data", queue, job_id, data)
        _done(answer, queue, job_id, "update_data")

    async def set_progress(self, queue: str, job_id: str, *, progress: str) -> None:
        answer = await self._scripts.run("set_progress", queue, job_id, progress)
        _done(answer, queue, job_id, "set_progress")

    async def cancel(self, queue: str, job_id: str, *, reason: str) -> State:
        answer = await self._scripts.run("cancel", queue, job_id, reason, self.metrics_points)
        return _done(answer, queue, job_id, "cancel")


def added_or_error(
    answers: Sequence[Any], jobs: Sequence[NewJob], shown: str
) -> list[Added | BackendError]:
    """Return what became of each job; an error for one that the script could not add."""
    return [
        Added(answer)
        if isinstance(answer, str)
        else Added(answer[0], duplicate=True)
        if answer[0] is not None
        else BackendError(
            f"{shown}: the job was not added to queue {job.queue!r}: {answer[1]}. A key of the"
            " queue holds what does not belong there; `toril doctor` names it"
        )
        for answer, job in zip(answers, jobs, strict=True)
    ]


def all_added(answers: Sequence[Added | Exception]) -> list[Added]:
    """Return the answers of jobs that were all added.

    Raises:
        BackendError: One was not. It says how many were.
    """
    added = [answer for answer in answers if isinstance(answer, Added)]
    for answer in answers:
        if isinstance(answer, StoreUnreachableError):
            text = f"{answer} Of {len(answers)} jobs {len(added)} were added."
            raise StoreUnreachableError(text, sent=answer.sent or bool(added))
        if isinstance(answer, BackendError):
            raise BackendError(f"{answer}. Of {len(answers)} jobs {len(added)} were added")
        if isinstance(answer, Exception):
            raise answer
    return added


def _done(answer: list[Any], queue: str, job_id: str, verb: Verb) -> State:
    """Return the state that a job was in when a verb was done to it, or raise why it was not."""
    word, *state = answer
    if word == "ok":
        return State(state[0])
    if word == "missing":
        raise not_found(queue, job_id)
    if state[0] == "scheduled":
        problem = "is the next one of its schedule; remove the schedule"
        raise refused(queue, job_id, problem)
    raise wrong_state(queue, job_id, State(state[0]), verb)


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
