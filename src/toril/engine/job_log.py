"""The log of what a worker ran: a line for each attempt, on the logger `toril.jobs`.

At `info` a line says queue, task, id, attempt, duration and outcome. What fails is an error, what
is tried again a warning. What the level does not let through costs nothing: hooks and this log
share the facts, which are gathered for the outcomes that somebody wants (`Hooks.wanted`).
"""

from __future__ import annotations

import logging
from typing import Any

from toril.core.durations import in_words
from toril.core.errors import TorilError
from toril.core.loggers import FACTS, logger
from toril.engine.attempt import Attempt
from toril.engine.hooks import Hooks
from toril.engine.job import Finished
from toril.engine.outcomes import Outcome
from toril.engine.texts import MAX_TEXT_BYTES, beginning
from toril.engine.wording import stamp

log = logger("toril.jobs")

_TOLD = {
    logging.ERROR: ("failed",),
    logging.WARNING: ("retried",),
    logging.INFO: ("completed", "snoozed", "waiting_children", "released"),
    logging.DEBUG: ("active",),
}
"""From which level on what is told."""


def _show_as_stored(record: logging.LogRecord) -> bool:
    """Have formatters show the traceback that is stored: cut, and text that can be written."""
    record.exc_text = getattr(record, FACTS, {}).get("traceback")
    return True


log.logger.addFilter(_show_as_stored)
# A program that has set up no logging gets no lines of jobs on its stderr, as from any library.
log.logger.addHandler(logging.NullHandler())


class JobLog:
    """Says what one worker ran."""

    def __init__(self, hooks: Hooks) -> None:
        """Have the facts gathered that the logger's level lets through now."""
        for level, kinds in _TOLD.items():
            if log.isEnabledFor(level):
                hooks.gather(kinds)

    def began(self, attempt: Attempt) -> None:
        """Say that an attempt has begun."""
        if log.isEnabledFor(logging.DEBUG):
            names = attempt.names()
            told = {"event": "active", **names, **attempt.trace()}
            log.debug("%s started", _label(names), extra={FACTS: told})

    def ended(self, outcome: Finished, facts: dict[str, Any]) -> None:
        """Say how an attempt has ended, now that the store has it."""
        error, duration_s = facts["error"], facts["duration_s"]
        label, took, reason = _label(facts), _took(duration_s), outcome.reason
        told: dict[str, Any] = {
            "event": outcome.kind,
            "queue": facts["queue"],
            "job_id": facts["job_id"],
            "task": facts["task"],
            "attempt": facts["attempt"],
            "duration_s": round(duration_s, 6),
            **facts.get("trace", {}),
        }
        if reason is not None:
            told["reason"] = reason
        extra = {FACTS: told}
        match outcome.kind:
            case "completed":
                log.info("%s completed in %s", label, took, extra=extra)
            case "failed" if outcome.unwanted:
                log.info("%s was cancelled after %s: %s", label, took, reason, extra=extra)
            case "failed":
                # A traceback helps where the task's own code failed; the words of others say it.
                own = error is not None and not isinstance(error, TorilError | Outcome)
                if own and outcome.traceback is not None:
                    told["traceback"] = outcome.traceback
                shown = beginning(reason or "", MAX_TEXT_BYTES)
                cause = error if own else None
                log.error("%s failed in %s: %s", label, took, shown, exc_info=cause, extra=extra)
            case "retried":
                again = _again(outcome)
                log.warning(
                    "%s failed in %s and is tried again %s: %s", label, took, again, reason,
                    extra=extra,
                )  # fmt: skip
            case "snoozed" if outcome.unknown_since_ms is not None:
                log.debug("%s was put back: %s", label, reason, extra=extra)
            case "snoozed":
                again = _again(outcome)
                log.info("%s snoozed after %s and runs again %s", label, took, again, extra=extra)
            case "waiting_children":
                log.info("%s waits for its children after %s", label, took, extra=extra)
            case "released":
                log.info("%s was given back after %s", label, took, extra=extra)


def _label(names: dict[str, Any]) -> str:
    return (
        f"job {names['job_id']} of {names['queue']} ({names['task']}), attempt {names['attempt']},"
    )


def _again(outcome: Finished) -> str:
    """Return in how long, or when, the job may run again."""
    if outcome.until_ms is not None:
        return f"at {stamp(outcome.until_ms)}"
    return f"in {in_words(outcome.wait_ms / 1000)}" if outcome.wait_ms else "at once"


def _took(duration_s: float) -> str:
    return in_words(duration_s) if duration_s >= 0.001 else "less than 1 ms"
