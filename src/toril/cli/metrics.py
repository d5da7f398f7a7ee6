"""`toril metrics`: figures of queues for Prometheus."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import click

from toril.app import App
from toril.cli.access import ask, existing_queue
from toril.cli.harmless import encodes
from toril.cli.options import store_options
from toril.cli.output import Output, as_data, printable, write
from toril.engine.info import QueueInfo, WorkerInfo
from toril.observability.prometheus import Metric, exposition
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
        if names:
            wanted = sorted(dict.fromkeys(names))
            return [(await existing_queue(app, name))[1] for name in wanted], await app.workers()
        queues, workers = await asyncio.gather(app.queues(), app.workers())
        return queues, workers

    queues, workers = ask(url, act)
    found = metrics_of(queues, workers)
    if as_json:
        Output(as_json=True).document({"metrics": as_data(found)})
    else:
        write(exposition(_fit_to_print(found)), end="")


def _fit_to_print(found: list[Metric]) -> list[Metric]:
    """Return metrics whose labels can be printed."""
    return [
        replace(metric, samples=[replace(one, labels=_fit(one.labels)) for one in metric.samples])
        for metric in found
    ]


def _fit(labels: dict[str, str]) -> dict[str, str]:
    # Here and not on the way out: the backslashes of an escape have to be escaped themselves.
    fit = {name: printable(text) for name, text in labels.items()}
    return {
        name: text if encodes(sys.stdout, text) else f"{text!a}"[1:-1] for name, text in fit.items()
    }
