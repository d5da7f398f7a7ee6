"""`toril workers`, `toril tell`: lists live workers, and tells one what to do."""

from __future__ import annotations

import click

from toril.cli.access import ask
from toril.cli.codes import STATE, RefusedError
from toril.cli.options import store_options
from toril.cli.output import (
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    Output,
    ago,
    plural,
    short_bytes,
    short_duration,
)
from toril.engine.info import WorkerInfo
from toril.engine.wishes import WISHES, Wish

SILENT_S = 7.5
"""Three heartbeats missed."""

COLUMNS = (
    Column("WORKER", cut=True),
    Column("PID", right=True),
    Column("STATE"),
    Column("BUSY", right=True),
    Column("QUEUES", cut=True),
    Column("TASKS", cut=True),
    Column("UP", right=True),
    Column("SEEN", right=True),
    Column("MEMORY", right=True),
)


def row(worker: WorkerInfo) -> list[str]:
    """Return a worker's row under `COLUMNS`."""
    beat_s = worker.beat_age_s
    busy = f"{worker.running}/{worker.concurrency}"
    return [
        worker.id,
        str(worker.pid),
        state(worker),
        Cell(busy, "" if worker.running else DIM),
        ", ".join(worker.queues),
        _tasks(worker),
        ago(worker.started_at),
        Cell(short_duration(beat_s), WARN if beat_s > SILENT_S else ""),
        short_bytes(worker.resident_bytes),
    ]


def _tasks(worker: WorkerInfo) -> str:
    if worker.tasks is None:
        return "-"
    return ", ".join(dict.fromkeys(name for names in worker.tasks.values() for name in names))


def state(worker: WorkerInfo) -> Cell:
    """Return how a worker does, in a word."""
    if worker.beat_age_s > SILENT_S:
        return Cell("silent", WARN)
    if worker.paused:
        return Cell("paused", WARN)
    return Cell("quiet", WARN) if worker.quiet else Cell("working", GOOD)


def as_facts(worker: WorkerInfo) -> dict[str, object]:
    """Return a worker as JSON data: seconds, and a moment as ISO text."""
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "state": str(state(worker)),
        "queues": worker.queues,
        "concurrency": worker.concurrency,
        "running": worker.running,
        "quiet": worker.quiet,
        "paused": worker.paused,
        "started_at": worker.started_at,
        "beat_age_s": worker.beat_age_s,
        "resident_bytes": worker.resident_bytes,
        "version": worker.version,
        "tasks": worker.tasks,
    }


@click.command()
@store_options
def workers(url: str | None, as_json: bool) -> None:
    """List the workers that are alive.

    BUSY is jobs at this moment of how many at once; SEEN is the age of the last heartbeat.
    """
    output = Output(as_json=as_json)
    found = ask(url, lambda app: app.workers())
    if as_json:
        output.document({"workers": [as_facts(worker) for worker in found]})
    elif found:
        output.table(COLUMNS, [row(worker) for worker in found])
    else:
        output.say("No worker is alive: start one with toril worker MODULE:APP.")


@click.command()
@click.argument("worker_id", metavar="WORKER")
@click.argument("wish", type=click.Choice(WISHES))
@click.argument("concurrency", metavar="[JOBS]", type=int, required=False)
@store_options
def tell(
    worker_id: str, wish: Wish, concurrency: int | None, url: str | None, as_json: bool
) -> None:
    """Tell WORKER, by its id, to pause, resume, take no more jobs (quiet) or stop.

    resize JOBS has it run so many jobs at once; what runs goes on.

    It hears it with its next heartbeat, within 3 seconds. `toril workers` lists the ids.
    """
    if (wish == "resize") != (concurrency is not None):
        raise click.UsageError("Give the number of jobs with resize, and with it alone.")
    found = ask(url, lambda app: app.tell_worker(worker_id, wish, concurrency=concurrency))
    if not found:
        raise RefusedError(
            f"no worker {worker_id!r} is alive: toril workers lists those that are", STATE
        )
    facts: dict[str, object] = {"worker": worker_id, "wish": wish}
    words: str = wish
    if concurrency is not None:
        facts["concurrency"] = concurrency
        words = f"run {plural(concurrency, 'job')} at once"
    Output(as_json=as_json).done(facts, f"Worker {worker_id} is told to {words}.")
