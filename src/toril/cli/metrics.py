"""`toril metrics`: figures of queues for Prometheus."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import click

from toril.app import App
from toril.cli.access import ask, existing_queue, server_of_command
from toril.cli.harmless import encodes
from toril.cli.options import store_options
from toril.cli.output import Output, as_data, printable, write
from toril.observability.exposed import metrics_in
from toril.observability.figures import Figures
from toril.observability.prometheus import Metric, exposition
from toril.observability.prometheus import metrics as metrics_of


@click.command()
@click.argument("names", metavar="[QUEUE]...", nargs=-1)
@store_options
def metrics(names: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Print the figures of QUEUEs as Prometheus reads them. Default: of all queues.

    Names that begin with bullmq_ are BullMQ's: jobs by state, and how many have completed and
    failed. Those with toril_ are our own: ages, totals by task and outcome, how long jobs waited
    and ran, workers, dead letters, and how late schedules are. What an application adds is told by
    its own web page and, to --server, by a server of the application.
    """

    async def figures(app: App) -> Figures:
        for name in names:
            await existing_queue(app, name)
        return await app.figures(names or None)

    async def text(app: App) -> str:
        for name in names:
            await existing_queue(app, name)
        return await app.prometheus(names or None)

    if server_of_command(url) is None:
        found = metrics_of(ask(url, figures))
    else:
        found = metrics_in(ask(url, text))
    if as_json:
        document = as_data(found)
        for sample in (sample for metric in document for sample in metric["samples"]):
            sample["value"] = _plain(sample["value"])
            sample["buckets"] = {le: _plain(many) for le, many in sample["buckets"].items()}
            if not sample["buckets"]:
                del sample["buckets"]
        Output(as_json=True).document({"metrics": document})
    else:
        write(exposition(_fit_to_print(found)), end="")


def _plain(value: float) -> float:
    """Return a whole number without a point, as the store and a server tell it alike."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fit_to_print(found: Sequence[Metric]) -> list[Metric]:
    """Return metrics whose labels can be printed."""
    return [
        replace(metric, samples=[replace(one, labels=_fit(one.labels)) for one in metric.samples])
        for metric in found
    ]


def _fit(labels: Mapping[str, str]) -> dict[str, str]:
    # Here and not on the way out: the backslashes of an escape have to be escaped themselves.
    fit = {name: printable(text) for name, text in labels.items()}
    return {
        name: text if encodes(sys.stdout, text) else f"{text!a}"[1:-1] for name, text in fit.items()
    }
