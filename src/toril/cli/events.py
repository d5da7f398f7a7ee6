"""`toril events`: prints past and future events of queues, and sets which ones are written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import get_args

import click

from toril.app import App
from toril.cli.access import ask, existing_queue
from toril.cli.options import store_options
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    WARN,
    Cell,
    Output,
    local,
    printable,
    write,
)
from toril.core.clock import moment
from toril.engine.events import EventName, EventRecord, EventsTold

NEW_QUEUES_S = 1.0
"""How soon a queue that is new is followed, when all are."""

STYLES: dict[str, str] = {
    EventName.COMPLETED: GOOD,
    EventName.FAILED: BAD,
    EventName.RETRIES_EXHAUSTED: BAD,
    EventName.STALLED: WARN,
    EventName.PAUSED: WARN,
}

TOLD: dict[EventsTold, str] = {
    "all": "tells all its events",
    "outcomes": "tells outcomes: not that jobs are added, wait or start",
    "none": "tells nothing",
}


@click.command()
@click.argument("queues", metavar="[QUEUE]...", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "--after", type=click.IntRange(min=0), help="Those after this position, of one queue."
)
@click.option("--from-start", is_flag=True, help="All that are kept.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True,
    help="The newest of each queue, unless --after or --from-start is given.",
)  # fmt: skip
@click.option(
    "--set", "told", type=click.Choice(get_args(EventsTold)),
    help="Print none, but set what QUEUE tells from now on.",
)  # fmt: skip
@store_options
def events(
    queues: tuple[str, ...],
    follow: bool,
    after: int | None,
    from_start: bool,
    limit: int,
    told: EventsTold | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Print the events of QUEUEs, of all processes. Default: of all queues.

    With --json each is an object on a line of its own. Positions grow within their queue.

    `--set outcomes` leaves out the ordinary life of jobs: added, waiting, delayed,
    waiting-children, active, drained. With `--set none` nothing is written at all, and whoever
    waits for a result finds it later.
    """
    if after is not None and len(queues) != 1:
        raise click.UsageError("--after is a position in one queue: name it.")
    if after is not None and from_start:
        raise click.UsageError("Give --after or --from-start, not both.")
    output = Output(as_json=as_json)
    if told is not None:
        if len(queues) != 1:
            raise click.UsageError("--set is for one queue: name it.")
        if follow or from_start or after is not None:
            raise click.UsageError("--set prints no events: give it alone.")
        _choose(queues[0], told, url, output)
        return

    def tell(queue: str, event: EventRecord) -> None:
        if as_json:
            output.line(_facts(queue, event))
        else:
            output.say(_line(queue, event))

    async def act(app: App) -> None:
        infos = [(await existing_queue(app, name))[1] for name in dict.fromkeys(queues)]
        infos = infos or await app.queues()
        names = [info.name for info in infos]
        backend = app.backend()
        ends = {name: await backend.events.latest(name) for name in names}
        if from_start or after is not None:
            asked = [_between(app, name, after or 0, ends[name]) for name in names]
        else:
            asked = [backend.events.newest(name, limit=limit) for name in names if limit]
        past = dict(zip(names, await asyncio.gather(*asked), strict=False))
        for at, event in sorted(
            ((name, event) for name, found in past.items() for event in found),
            key=lambda each: (each[1].at_ms, each[0], each[1].position),
        ):
            tell(at, event)
        for info in infos:
            if info.events == "none":
                hint = f"toril events {info.name} --set all"
                write(printable(f"{info.name} {TOLD[info.events]}: {hint} ends it."), err=True)
        if follow:
            ends |= {name: found[-1].position for name, found in past.items() if found}
            await _follow(app, ends, queues, tell)

    ask(url, act)


def _choose(queue: str, told: EventsTold, url: str | None, output: Output) -> None:
    async def act(app: App) -> None:
        await (await existing_queue(app, queue))[0].set_events(told)

    ask(url, act)
    output.done({"queue": queue, "events": told}, f"{queue} {TOLD[told]}.")


async def _between(app: App, name: str, begin: int, end: int) -> list[EventRecord]:
    found = []
    if begin < end:
        async for event in app.queue(name, existing=True).events(after=begin, until_idle=True):
            if event.position > end:
                break
            found.append(event)
    return found


async def _follow(
    app: App, begins: dict[str, int], named: Sequence[str], tell: Callable[[str, EventRecord], None]
) -> None:
    """Follow queues at once, each from a position; if none was named, also those to come."""

    async def one(name: str, begin: int) -> None:
        async for event in app.queue(name, existing=True).events(after=begin):
            tell(name, event)

    async with asyncio.TaskGroup() as group:
        for name, begin in begins.items():
            group.create_task(one(name, begin))
        while not named:
            await asyncio.sleep(NEW_QUEUES_S)
            for info in await app.queues():
                if info.name not in begins:
                    begins[info.name] = 0
                    group.create_task(one(info.name, 0))


def _facts(queue: str, event: EventRecord) -> dict[str, object]:
    return {
        "queue": queue,
        "position": event.position,
        "at": moment(event.at_ms),
        "name": event.name,
        "fields": event.fields,
    }


def _line(queue: str, event: EventRecord) -> list[str]:
    at = local(moment(event.at_ms)).strftime("%H:%M:%S.%f")[:-3]
    fields = [f"{name}={value}" for name, value in event.fields.items() if name != "jobId"]
    name = Cell(f"{event.name:<10}", STYLES.get(event.name, ""))
    return [Cell(at, DIM), " ", name, " ", " ".join([queue, event.job_id or "-", *fields])]
