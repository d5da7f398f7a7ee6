"""The log lines of a worker on the command line: its start, its jobs, its end."""

from __future__ import annotations

import logging
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from toril.cli.logs import FACTS
from toril.core.durations import in_words
from toril.core.errors import TorilError
from toril.core.loggers import logger
from toril.engine.hooks import HookEvent
from toril.engine.outcomes import Outcome
from toril.engine.tracebacks import traceback_text
from toril.version import VERSION

if TYPE_CHECKING:
    from toril.app import App
    from toril.engine.worker import Worker

log = logger("toril.cli")


def say_started(app: App, worker: Worker, *, loop: str) -> None:
    """Say which queues and tasks there are, how many jobs at once, and where they live."""
    options = worker.options
    tasks = [task for task in app.tasks() if task.queue in options.queues]
    weights = options.weights or {}
    queues = [f"{name}={weights[name]}" if name in weights else name for name in options.queues]
    names = [f"{task.name} ({task.queue}, {task.run_in})" for task in tasks]
    python = platform.python_version()
    url = app.backend().url
    log.info(
        "worker %s started: Toril %s, Python %s, %s\n"
        "jobs         %s\n"
        "queues       %s\n"
        "tasks        %s\n"
        "concurrency  %d, lease %s, up to %s to end what runs",
        *(worker.id, VERSION, python, loop, url, ", ".join(queues), ", ".join(names) or "none"),
        *(options.concurrency, in_words(options.lease_s), in_words(options.shutdown_s)),
        extra=_facts(
            event="started",
            worker_id=worker.id,
            version=VERSION,
            python=python,
            loop=loop,
            url=url,
            queues=list(options.queues),
            tasks=[task.name for task in tasks],
            concurrency=options.concurrency,
            lease_s=options.lease_s,
            shutdown_s=options.shutdown_s,
        ),
    )
    if sys.stderr.isatty():
        log.info("Ctrl-C ends it and what runs first; kill -USR1 %d: take no more", os.getpid())


def say_quiet(worker: Worker) -> None:
    """Say that nothing more is taken."""
    log.info(
        "quiet: no new jobs are taken, %d still run",
        worker.busy,
        extra=_facts(event="quiet", worker_id=worker.id, running=worker.busy),
    )


def say_stopping(worker: Worker, signal_name: str, *, now: bool) -> None:
    """Say that it ends, and how soon."""
    if now:
        log.warning(
            "%s again: giving back what still runs",
            signal_name,
            extra=_facts(event="stopping_now", worker_id=worker.id, running=worker.busy),
        )
        return
    log.info(
        "%s: ending; %d still run, for up to %s (once more: now)",
        signal_name,
        worker.busy,
        in_words(worker.options.shutdown_s),
        extra=_facts(event="stopping", worker_id=worker.id, running=worker.busy),
    )


def say_stopped(worker: Worker) -> None:
    """Say that it has ended."""
    log.info("worker %s stopped", worker.id, extra=_facts(event="stopped", worker_id=worker.id))


def listen(app: App) -> None:
    """Log what becomes of jobs: failures and retries always, the rest at level debug."""
    app.on("failed")(_failed)
    app.on("retried")(_retried)
    if log.isEnabledFor(logging.DEBUG):  # otherwise each job would pay for it
        app.on("active")(_active)
        app.on("completed")(_completed)


def _failed(event: HookEvent) -> None:
    facts = _of(event)
    # A traceback helps where the task's own code failed; the words of the others say it all.
    if event.error is not None and not isinstance(event.error, TorilError | Outcome):
        facts[FACTS]["traceback"] = traceback_text(event.error)
    log.error("%s failed: %s", _label(event), event.reason, extra=facts)


def _retried(event: HookEvent) -> None:
    log.warning("%s failed and is tried again: %s", _label(event), event.reason, extra=_of(event))


def _active(event: HookEvent) -> None:
    log.debug("%s started", _label(event), extra=_of(event))


def _completed(event: HookEvent) -> None:
    log.debug("%s completed", _label(event), extra=_of(event))


def _label(event: HookEvent) -> str:
    task = "" if event.task is None else f" ({event.task})"
    attempt = "" if event.attempt is None else f", attempt {event.attempt},"
    return f"job {event.job_id} of {event.queue}{task}{attempt}"


def _of(event: HookEvent) -> dict[str, Any]:
    facts = {
        "event": event.name,
        "queue": event.queue,
        "job_id": event.job_id,
        "task": event.task,
        "attempt": event.attempt,
        "duration_s": event.duration_s,
        "reason": event.reason,
    }
    return _facts(**{name: value for name, value in facts.items() if value is not None})


def _facts(**facts: Any) -> dict[str, Any]:
    return {FACTS: facts}
