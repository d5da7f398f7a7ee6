"""Tells hooks and the log how attempts ended, once the store has the outcome.

The facts for the hooks are gathered when the attempt ends, and travel with its outcome: from the
executor through the outbox and an exchange to here. An outcome goes no other way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.contract.dispatch import FenceResult
from toril.engine.hooks import HookName, Hooks
from toril.engine.job import Finished
from toril.engine.job_log import JobLog
from toril.engine.letter_writer import LetterWriter
from toril.engine.outbox import Batch, Facts, Outbox

log = logger("toril.worker")


class OutcomeHooks:
    """The two ends of an outcome's way: into the outbox, and out of an exchange."""

    def __init__(
        self,
        hooks: Hooks,
        outbox: Outbox,
        letters: LetterWriter,
        job_log: JobLog,
        *,
        traces: bool = False,
    ) -> None:
        """Make them.

        Parameters:
            traces: Attempts have spans, whose ids the log tells.
        """
        self._hooks = hooks
        self._job_log = job_log
        self._outbox = outbox
        self._letters = letters
        self._traces = traces
        self._expected_lost: set[tuple[str, int | str]] = set()

    def finished(self, attempt: Attempt, outcome: Finished) -> None:
        """Send an outcome, with the facts of its attempt if anybody wants them."""
        facts: Facts | None = None
        if outcome.kind in self._hooks.wanted:
            facts = attempt.names()
            facts["duration_s"] = time.monotonic() - attempt.started_s
            facts["error"] = attempt.error
            facts["data"] = attempt.claimed.data
            if self._traces:
                facts["trace"] = attempt.trace()
        if outcome.kind == "failed":
            self._letters.finish(outcome, lambda failed: self._outbox.add(failed, facts))
        else:
            self._outbox.add(outcome, facts)

    def expect_lost(self, outcome: Finished) -> None:
        """Say nothing when the store refuses an outcome: its job was removed on purpose."""
        self._expected_lost.add((outcome.token, outcome.number))

    def delivered(self, batch: Batch, words: Sequence[FenceResult]) -> None:
        """Tell the hooks, now that the store has applied these outcomes, or refused them."""
        for outcome, facts, word in zip(batch.outcomes, batch.facts, words, strict=True):
            if word == "lease_lost":
                self._lost(outcome)
                continue
            if outcome.kind == "failed":
                self._letters.applied(outcome)
            if facts is not None:
                self._job_log.ended(outcome, facts)
                if self._traces:
                    del facts["trace"]  # the log's alone
                if outcome.kind == "completed":
                    facts["result"] = outcome.value
                self._hooks.tell(cast("HookName", outcome.kind), reason=outcome.reason, **facts)

    def _lost(self, outcome: Finished) -> None:
        if (outcome.token, outcome.number) in self._expected_lost:
            self._expected_lost.discard((outcome.token, outcome.number))
            return
        log.warning(
            "job %s of %s was given to somebody else meanwhile; its late outcome (%s) was dropped",
            outcome.job_id,
            outcome.queue,
            outcome.kind,
        )
        self._hooks.tell("lease_lost", queue=outcome.queue, job_id=outcome.job_id)
