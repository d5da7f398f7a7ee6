"""`toril workers`: who is alive, where, and at what."""

from __future__ import annotations

import click

from toril.cli.access import ask
from toril.cli.options import store_options
from toril.cli.output import (
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    Output,
    ago,
    short_bytes,
    short_duration,
)
from toril.core.clock import moment
from toril.engine.contract.workers import WorkerRecord

SILENT_S = 15.0
"""Three heartbeats missed."""

COLUMNS = (
    Column("WORKER", cut=True),
    Column("PID", right=True),
    Column("STATE"),
    Column("BUSY", right=True),
    Column("QUEUES", cut=True),
    Column("UP", right=True),
    Column("SEEN", right=True),
    Column("MEMORY", right=True),
)


def row(record: WorkerRecord) -> list[str]:
    """Return a worker's row under `COLUMNS`."""
    beat_s = record.beat_age_ms / 1000
    busy = f"{record.running}/{record.concurrency}"
    return [
        record.id,
        str(record.pid),
        state(record),
        Cell(busy, "" if record.running else DIM),
        ", ".join(record.queues),
        ago(moment(record.started_ms)),
        Cell(short_duration(beat_s), WARN if beat_s > SILENT_S else ""),
        short_bytes(record.resident_bytes),
    ]


def state(record: WorkerRecord) -> Cell:
    """Return how a worker does, in a word."""
    if record.beat_age_ms / 1000 > SILENT_S:
        return Cell("silent", WARN)
    return Cell("quiet", WARN) if record.quiet else Cell("working", GOOD)


def as_facts(record: WorkerRecord) -> dict[str, object]:
    """Return a worker as JSON data: seconds, and a moment as ISO text."""
    return {
        "id": record.id,
        "host": record.host,
        "pid": record.pid,
        "state": str(state(record)),
        "queues": record.queues,
        "concurrency": record.concurrency,
        "running": record.running,
        "quiet": record.quiet,
        "started_at": moment(record.started_ms),
        "beat_age_s": record.beat_age_ms / 1000,
        "resident_bytes": record.resident_bytes,
        "version": record.version,
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
        output.document({"workers": [as_facts(record) for record in found]})
    elif found:
        output.table(COLUMNS, [row(record) for record in found])
    else:
        output.say("No worker is alive: start one with toril worker MODULE:APP.")
