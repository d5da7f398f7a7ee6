"""The log lines of a worker on the command line: its start and its end."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from toril.core.durations import in_words
from toril.core.loggers import FACTS, logger
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
    version = "" if app.version is None else f" (version {app.version})"
    python = platform.python_version()
    url = app.backend().url
    log.info(
        "worker %s%s started: Toril %s, Python %s, %s\n"
        "jobs         %s\n"
        "queues       %s\n"
        "tasks        %s\n"
        "concurrency  %d, lease %s, up to %s to end what runs",
        *(
            worker.id,
            version,
            VERSION,
            python,
            loop,
            url,
            ", ".join(queues),
            ", ".join(names) or "none",
        ),
        *(options.concurrency, in_words(options.lease_s), in_words(options.shutdown_s)),
        extra=_facts(
            event="started",
            worker_id=worker.id,
            version=VERSION,
            app_version=app.version,
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


def _facts(**facts: Any) -> dict[str, Any]:
    return {FACTS: facts}
