"""`toril metrics`: figures of queues for Prometheus."""

from __future__ import annotations

import asyncio

import click

from toril.app import App
from toril.cli.access import ask, known_queue
from toril.cli.options import store_options
from toril.cli.output import Output, as_data
from toril.engine.info import QueueInfo, WorkerInfo
from toril.observability.prometheus import exposition
from toril.observability.prometheus import metrics as metrics_of


@click.command()
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@store_options
def metrics(names: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Print the figures of QUEUEs as Prometheus reads them. Default: of all queues.

    How many jobs are in which state, and how many have completed and failed, have BullMQ's names
    (bullmq_job_count, bullmq_job_completed_total, bullmq_job_failed_total); the age of the job that
    is next in line, whether the queue is paused, and how many workers serve it have our own.
    """

    async def act(app: App) -> tuple[list[QueueInfo], list[WorkerInfo]]:
        for name in names:
            await known_queue(app, name)
        queues, workers = await asyncio.gather(app.queues(), app.workers())
        return [info for info in queues if not names or info.name in names], workers

    queues, workers = ask(url, act)
    found = metrics_of(queues, workers)
    if as_json:
        Output(as_json=True).document({"metrics": as_data(found)})
    else:
        click.echo(exposition(found), nl=False)
