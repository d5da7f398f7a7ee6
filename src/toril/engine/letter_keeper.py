"""Looks after dead letters: adds those that other clients leave out, and removes old ones."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract import Backend, DeadLetterRule, JobFilter
from toril.engine.job import JobRecord, NewJob
from toril.engine.letters import is_letter, letter_job
from toril.engine.states import State

log = logger("toril.worker")

LOOK_S = 5.0
"""Between two looks for failures of other clients, of queues that have a rule."""
RULES_S = 60.0
"""Between two looks for rules: a worker of queues that have none does nothing else here."""
AGE_S = 600.0
"""Between two looks for letters that are kept no longer."""
CHUNK = 100
"""Failures or letters in one call."""
AGEING = (State.WAIT, State.PRIORITIZED, State.COMPLETED, State.FAILED)
"""States in which letters grow old. One that is delayed or runs is being dealt with."""


class LetterKeeper:
    """The loop of one worker that looks after the letters of its queues."""

    def __init__(
        self,
        backend: Backend,
        queues: Sequence[str],
        *,
        told: Callable[[NewJob, JobRecord], None],
    ) -> None:
        """Make a keeper.

        Parameters:
            told: Takes each letter that was added, and the job that it is of.
        """
        self._backend = backend
        self._queues = queues
        self._told = told
        self._rules: dict[str, DeadLetterRule] = {}
        self._rules_at_s = 0.0
        self._age_at_s = 0.0

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except BackendError as error:
                log.warning("looking after dead letters failed, trying again: %s", error)
            except Exception:  # a fault of ours: the worker goes on without letters of others
                log.exception("looking after dead letters failed, trying again")
            pause_s = LOOK_S if self._rules else RULES_S
            # Spread, so that workers that started together do not look together.
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311 - spread only

    async def look(self) -> None:
        """Look once."""
        now_s = time.monotonic()
        if now_s >= self._rules_at_s:
            self._rules_at_s = now_s + RULES_S * 0.75
            for queue in self._queues:
                rule = await self._backend.dead_letters.rule(queue)
                if rule is None:
                    self._rules.pop(queue, None)
                elif rule.queue != queue and self._backend.dispatch.together((queue, rule.queue)):
                    self._rules[queue] = rule
        for queue, rule in self._rules.items():
            await self._add_missing(queue, rule)
        if now_s >= self._age_at_s:
            self._age_at_s = now_s + AGE_S
            for target, keep_ms in _keeps(self._rules.values()).items():
                await remove_old(self._backend, target, keep_ms)

    async def _add_missing(self, queue: str, rule: DeadLetterRule) -> None:
        while True:
            ids, until = await self._backend.dead_letters.unlettered(queue, limit=CHUNK)
            for job_id in ids:
                record = await self._backend.jobs.get(queue, job_id)
                if record is None or record.state is not State.FAILED or is_letter(job_id):
                    continue
                letter = letter_job(record, rule.queue)
                (added,) = await self._backend.jobs.add([letter])
                if not added.duplicate:
                    self._told(letter, record)
            if not until:
                return
            await self._backend.dead_letters.looked(queue, until)


async def remove_old(backend: Backend, target: str, keep_ms: int) -> int:
    """Remove the letters of a queue that were written longer ago; return how many.

    Letters stand in the order in which they came, but for a few: each state is read from its oldest
    on, and no further than to the first page without an old one.
    """
    before_ms = backend.clock.now_ms() - keep_ms
    removed = 0
    for state in AGEING:
        while True:
            page = await backend.jobs.page(JobFilter(queue=target, states=(state,), limit=CHUNK))
            old = [record.id for record in page.jobs if _is_old(record, before_ms)]
            if not old:
                break
            removed += sum(await backend.moving.remove(target, state, old))
    return removed


def _is_old(record: JobRecord, before_ms: int) -> bool:
    return is_letter(record.id) and record.timestamp_ms < before_ms


def _keeps(rules: Iterable[DeadLetterRule]) -> dict[str, int]:
    """Return how long each dead-letter queue keeps its letters: the longest of its rules says."""
    keeps: dict[str, int] = {}
    for rule in rules:
        if rule.keep_ms is not None:
            keeps[rule.queue] = max(rule.keep_ms, keeps.get(rule.queue, 0))
    return keeps
