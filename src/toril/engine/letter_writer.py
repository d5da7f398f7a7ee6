"""Gives each failure of a worker its dead letter, if the queue or the task leaves one.

A letter holds the history of the job, which a claim does not carry. So a failure waits until its
job was read, keeps its slot meanwhile, and then goes to the store together with its letter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from toril.core.clock import Clock
from toril.core.errors import BackendClosedError, BackendError
from toril.core.loggers import logger
from toril.engine.contract import Backend
from toril.engine.job import Attempt, Finished, JobRecord, NewJob
from toril.engine.letters import as_failed, is_letter, letter_job

log = logger("toril.worker")

RULE_HOLDS_S = 1.0
"""How long a rule that was read counts: a change takes effect within this time."""
FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 2.0


class LetterWriter:
    """Writes the letters of one worker's failures."""

    def __init__(self, backend: Backend, *, stored: Callable[[NewJob, Finished], None]) -> None:
        """Make a writer.

        Parameters:
            stored: Takes each letter and its failure, once both are stored.
        """
        self._backend = backend
        self._stored = stored
        self._clock: Clock = backend.clock
        self._rules: dict[str, tuple[float, str | None]] = {}
        """By queue: when its rule was read, on `time.monotonic`, and its dead-letter queue."""
        self._writing: set[asyncio.Task[None]] = set()
        self._refused: set[tuple[str, str]] = set()

    def finish(self, outcome: Finished, then: Callable[[Finished], None]) -> None:
        """Hand a failure on, with its letter in its follow-up jobs if it leaves one.

        Parameters:
            outcome: An outcome of the kind `failed`.
            then: Takes it, at once or later, in any case once.
        """
        if self._leaves_none(outcome):
            then(outcome)
            return
        self._start(self._write(outcome, then))

    def applied(self, outcome: Finished) -> None:
        """Take note of a failure that the store has. One without its letter gets it now.

        That is a failure that took the place of an outcome which the store could not write.
        """
        if outcome.follow_ups:
            self._stored(outcome.follow_ups[0], outcome)
        elif not self._leaves_none(outcome):
            self._start(self._add_late(outcome))

    async def settle(self, timeout_s: float) -> None:
        """Wait for letters that are being written."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=timeout_s)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _leaves_none(self, outcome: Finished) -> bool:
        """Whether it is known already that a failure leaves no letter."""
        if outcome.unwanted or is_letter(outcome.job_id):
            return True
        if outcome.dead_letter is not None:
            return False
        known = self._rules.get(outcome.queue)
        return known is not None and known[1] is None and time.monotonic() < known[0] + RULE_HOLDS_S

    async def _write(self, outcome: Finished, then: Callable[[Finished], None]) -> None:
        try:
            letter = await self._letter_of(outcome)
            if letter is not None:
                outcome.follow_ups = [letter]
        except Exception:  # a fault of ours: the failure itself must reach the store
            log.exception("job %s of %s leaves no letter", outcome.job_id, outcome.queue)
        finally:
            then(outcome)

    async def _add_late(self, outcome: Finished) -> None:
        letter = await self._letter_of(outcome)
        if letter is not None:
            await self._backend.jobs.add([letter])
            self._stored(letter, outcome)

    async def _letter_of(self, outcome: Finished) -> NewJob | None:
        """Return the letter of a failure; None if it leaves none.

        Asks again while the store does not answer: without the store there is no outcome either.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                target = outcome.dead_letter or await self._rule(outcome.queue)
                if target is None or not self._reaches(outcome.queue, target):
                    return None
                record = await self._backend.jobs.get(outcome.queue, outcome.job_id)
                break
            except BackendClosedError:
                return None
            except BackendError as error:
                log.debug("asking again for job %s: %s", outcome.job_id, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
        if record is None or record.cancel_reason is not None:
            outcome.unwanted = True
            return None
        return letter_job(self._as_failed(record, outcome), target)

    async def _rule(self, queue: str) -> str | None:
        rule = await self._backend.dead_letters.rule(queue)
        target = None if rule is None else rule.queue
        self._rules[queue] = (time.monotonic(), target)
        return target

    def _reaches(self, queue: str, target: str) -> bool:
        if target != queue and self._backend.dispatch.together((queue, target)):
            return True
        if (queue, target) not in self._refused:
            self._refused.add((queue, target))
            log.error(
                "failures of queue %r leave no letters: its dead-letter queue %r is %s",
                queue,
                target,
                "itself" if target == queue else "in another slot of the Redis Cluster",
            )
        return False

    def _as_failed(self, record: JobRecord, outcome: Finished) -> JobRecord:
        if record.finished_on_ms is not None:  # stored already
            return record
        last = Attempt(
            number=outcome.attempt,
            started_ms=outcome.started_ms,
            ended_ms=self._clock.now_ms(),
            worker_id=outcome.worker_id,
            outcome="failed",
            error=outcome.reason,
            traceback=outcome.traceback,
        )
        return as_failed(record, last, attempts_made=outcome.attempts_made)
