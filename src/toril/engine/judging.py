"""What an attempt's error means for its job. A pure function."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from toril.core.clock import epoch_ms
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError, InvalidPayloadError, UnknownTaskError
from toril.engine.backoff import delay_s
from toril.engine.options import RetryPolicy
from toril.engine.outcomes import Cancel, Fail, Retry, Snooze, WaitForChildren
from toril.engine.retried_job import RetriedJob, asked
from toril.engine.stand_ins import is_one_of
from toril.engine.texts import MAX_TEXT_BYTES, beginning, text_of

_MAX_KIND_BYTES = 512


class Verdict(NamedTuple):
    """What happens next."""

    kind: Literal["failed", "retried", "snoozed", "waiting_children"]
    reason: str | None
    wait_s: float = 0.0
    until: datetime | None = None
    exhausted: bool = False
    """No attempt was left."""
    counts: bool = True
    """Whether this attempt counts."""

    @property
    def until_ms(self) -> int | None:
        """`until` as epoch milliseconds."""
        return None if self.until is None else epoch_ms(self.until)


def judge(
    error: BaseException,
    policy: RetryPolicy,
    *,
    attempts_made: int,
    draw: float,
    job: Callable[[], RetriedJob] | None = None,
) -> Verdict:
    """Return what an error means.

    Parameters:
        error: What the attempt raised.
        policy: The task's policy, with what the job says in its place.
        attempts_made: Attempts that count, this one included.
        draw: A number in [0, 1) for jitter.
        job: Gives the job, for a rule of the customer's that wants it.
    """
    match error:
        case Snooze():
            return Verdict("snoozed", None, error.after_s or 0.0, error.until, counts=False)
        case WaitForChildren():
            return Verdict("waiting_children", None, counts=False)
        case Cancel() | Fail():
            return Verdict("failed", str(error.reason))
        case InvalidPayloadError() | InvalidOptionError() | UnknownTaskError():
            return Verdict("failed", str(error))  # another attempt would say the same
    left = attempts_made < policy.max_attempts
    if isinstance(error, Retry):
        if left:
            return Verdict("retried", str(error.reason), error.after_s)
        return Verdict("failed", str(error.reason), exhausted=True)
    reason = describe(error)
    if is_one_of(error, policy.give_up_on):
        return Verdict("failed", reason)
    if policy.retry_on is not None and not is_one_of(error, policy.retry_on):
        return Verdict("failed", reason)
    if not left:
        return Verdict("failed", reason, exhausted=True)
    if policy.wait is None:
        return Verdict("retried", reason, delay_s(attempts_made, policy, draw=draw))
    try:
        wait_s = asked(policy.wait, attempts_made, error, None if job is None else job())
        if wait_s is not None:
            wait_s = seconds(wait_s, "wait")
    except BaseException as broken:  # it is the customer's: the job must go on all the same
        reason = f"{reason} (and the retry policy's wait function raised {describe(broken)})"
        return Verdict("retried", reason, delay_s(attempts_made, policy, draw=draw))
    return Verdict("failed", reason) if wait_s is None else Verdict("retried", reason, wait_s)


def describe(error: BaseException) -> str:
    """Return `Kind: text`, cut to what a store takes. Never raises."""
    kind = beginning(type(error).__qualname__, _MAX_KIND_BYTES)
    text = text_of(error, MAX_TEXT_BYTES - _MAX_KIND_BYTES - 2)
    return f"{kind}: {text}" if text else kind
