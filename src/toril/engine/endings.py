"""Turns the end of an attempt into exactly one outcome, whatever goes wrong.

Knows the attempt and the task's policies, and nothing of where or how it ran.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from toril.core.errors import (
    AttemptError,
    AttemptTimeoutError,
    InvalidOptionError,
    InvalidPayloadError,
    SealedFieldError,
    TorilError,
    UnknownTaskError,
)
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.job import Finished, OutcomeKind
from toril.engine.judging import Verdict, describe, judge
from toril.engine.options import KEEP_FAILED, KeepPolicy
from toril.engine.outcomes import Cancel, Outcome
from toril.engine.retried_job import RetriedJob
from toril.engine.task_results import Encoded, refused_result
from toril.engine.texts import beginning
from toril.engine.tracebacks import traceback_text
from toril.engine.unknown_tasks import PostponedError
from toril.engine.wire_options import from_wire

log = logger("toril.worker")

_PLAIN = (Outcome, InvalidOptionError, InvalidPayloadError, UnknownTaskError, AttemptError)
"""What says all by its words. Of other errors, those of services too, the traceback is kept: which
mail, which file, and on what way it came to that."""


class Endings:
    """Makes the outcomes of one worker's attempts."""

    def __init__(self, worker_id: str, ending: Callable[[], bool]) -> None:
        """Make them.

        Parameters:
            worker_id: Whose attempts they are.
            ending: Whether the program is ending, which cancels all tasks of its loop, ours too.
        """
        self._worker_id = worker_id
        self._ending = ending

    def returned(self, attempt: Attempt, result: object) -> Finished:
        """Return the outcome of an attempt whose task returned.

        Raises:
            Fail: The result cannot be stored.
        """
        if attempt.stop_kind is not None and attempt.stop_kind != "released":
            return self.stopped(attempt)  # it swallowed its cancellation and returned
        claimed, handler = attempt.claimed, attempt.handler
        assert handler is not None  # noqa: S101 - something has returned
        if type(result) is Encoded:
            value = str(result)
        else:
            try:  # here, and not by `encoded_result`: each attempt comes by
                value = handler.encode(result)
            except Exception as error:
                raise refused_result(handler, result, error) from error
        if handler.seals is not None:
            value = handler.seals.seal_result(value, claimed.data)
        keep = from_wire(claimed.opts).keep_completed or handler.keep_completed
        return Finished(
            queue=claimed.queue,
            number=claimed.number,
            job_id=claimed.id,
            token=claimed.token,
            kind="completed",
            name=claimed.name,
            waited_ms=claimed.waited_ms,
            value=value,
            attempt=claimed.attempts_started,
            attempts_made=claimed.attempts_made + 1,
            keep_count=keep.count,
            keep_age_ms=None if keep.age_s is None else round(keep.age_s * 1000),
            worker_id=self._worker_id,
            started_ms=claimed.started_ms,
            follow_ups=None if attempt.follow_ups is None else attempt.follow_ups.take(),
        )

    def raised(self, attempt: Attempt, error: BaseException) -> Finished:
        """Return the outcome of an attempt that raised."""
        if attempt.stop_kind is not None:  # told to end, and ended by raising
            return self.stopped(attempt)
        if isinstance(error, PostponedError):
            return self._postponed(attempt, error)
        try:
            verdict = _verdict(attempt, error)
            traceback = None if isinstance(error, _PLAIN) else traceback_text(error)
        except BaseException as broken:  # its own code raises: the job must end all the same
            verdict, traceback = Verdict("failed", f"{describe(error)} ({describe(broken)})"), None
        return self._ended(attempt, verdict, traceback, error=error)

    def stopped(self, attempt: Attempt) -> Finished:
        """Return the outcome of an attempt that was told to end."""
        match attempt.stop_kind:
            case "timeout":
                attempt.stop_kind = None
                return self.raised(attempt, AttemptTimeoutError(attempt.stop_reason))
            case "cancelled":
                return self._ended(attempt, Verdict("failed", attempt.stop_reason), None)
            case "released" | "lease_lost":
                return self._outcome(attempt, "released", counts=False)
            case None if self._ending():
                return self._outcome(attempt, "released", counts=False)
            case None:  # the task cancelled itself, or a library did
                return self.raised(attempt, RuntimeError("the task was cancelled from within"))

    def last_resort(self, attempt: Attempt, broken: BaseException) -> Finished:
        """Return a failure for an attempt of which no other outcome could be made. Never raises.

        Judging it, reading its stored options or writing its outcome failed. Without an outcome its
        lease would be renewed for ever, and its slot would be lost.
        """
        reason = f"the outcome of this attempt could not be settled: {describe(broken)}"
        reason = without_sealed(attempt, reason) or reason
        log.error("%s is failed: %s", attempt.label, reason)
        traceback = None
        with suppress(BaseException):
            traceback = without_sealed(attempt, traceback_text(broken))
        outcome = Finished.of(attempt.claimed, "failed", self._worker_id, counts=True)
        outcome.reason, outcome.traceback = beginning(reason), traceback
        outcome.keep_count, outcome.keep_age_ms = KEEP_FAILED.count, _ms(KEEP_FAILED.age_s)
        if attempt.handler is not None:
            outcome.dead_letter = attempt.handler.dead_letter
        attempt.error = broken
        return outcome

    def _postponed(self, attempt: Attempt, why: PostponedError) -> Finished:
        """Return the outcome of a job that waits for a worker that has its task."""
        outcome = self._outcome(attempt, "snoozed", counts=False)
        outcome.reason, outcome.wait_ms = why.reason, why.wait_ms
        outcome.unknown_since_ms = why.since_ms
        return outcome

    def _ended(
        self,
        attempt: Attempt,
        verdict: Verdict,
        traceback: str | None,
        *,
        error: BaseException | None = None,
    ) -> Finished:
        outcome = self._outcome(attempt, verdict.kind, counts=verdict.counts)
        reason = without_sealed(attempt, verdict.reason)
        outcome.reason = None if reason is None else beginning(reason)
        outcome.keep_traces = from_wire(attempt.claimed.opts).keep_traces
        if outcome.keep_traces != 0:
            outcome.traceback = without_sealed(attempt, traceback)
        outcome.wait_ms = round(verdict.wait_s * 1000)
        outcome.until_ms = verdict.until_ms
        outcome.exhausted = verdict.exhausted
        if verdict.kind in ("failed", "waiting_children"):  # a failed child fails the latter
            handler = attempt.handler
            keep = from_wire(attempt.claimed.opts).keep_failed
            keep = keep or (KEEP_FAILED if handler is None else handler.keep_failed)
            if isinstance(error, SealedFieldError):  # with the right key it can be retried
                keep = KeepPolicy()
            outcome.keep_count, outcome.keep_age_ms = keep.count, _ms(keep.age_s)
            outcome.dead_letter = None if handler is None else handler.dead_letter
            outcome.unwanted = attempt.stop_kind == "cancelled" or isinstance(error, Cancel)
        attempt.error = error
        return outcome

    def _outcome(self, attempt: Attempt, kind: OutcomeKind, *, counts: bool) -> Finished:
        outcome = Finished.of(attempt.claimed, kind, self._worker_id, counts=counts)
        outcome.lifo = from_wire(attempt.claimed.opts).lifo
        return outcome


def without_sealed(attempt: Attempt, text: str | None) -> str | None:
    """Return a text without the values of the payload's sealed fields."""
    handler = attempt.handler
    if text is None or handler is None or handler.seals is None:
        return text
    return handler.seals.scrub(text, attempt.claimed.data)


def _verdict(attempt: Attempt, error: BaseException) -> Verdict:
    if attempt.handler is None:
        return Verdict("failed", _bare(error))
    claimed = attempt.claimed
    policy = from_wire(claimed.opts).retry(attempt.handler.retry)
    made = claimed.attempts_made + 1

    def job() -> RetriedJob:
        return RetriedJob(
            id=claimed.id,
            queue=claimed.queue,
            task=claimed.name,
            attempts_made=made,
            max_attempts=policy.max_attempts,
            created_at_ms=claimed.timestamp_ms,
            raw_data=claimed.data,
            raw_options=claimed.opts,
        )

    draw = random.random()  # noqa: S311 - jitter
    return judge(error, policy, attempts_made=made, draw=draw, job=job)


def _bare(error: BaseException) -> str:
    return str(error) if isinstance(error, TorilError | Outcome) else describe(error)


def _ms(duration_s: float | None) -> int | None:
    return None if duration_s is None else round(duration_s * 1000)
