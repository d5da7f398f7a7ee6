"""`toril queues`, `toril queue`, and the commands that operate one queue."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable

import click

from toril.app import App
from toril.cli.access import ask, existing_queue
from toril.cli.options import (
    confirm,
    duration,
    store_options,
    yes_option,
)
from toril.cli.options import limit as read_limit
from toril.cli.options import priority as read_priority
from toril.cli.options import rate as read_rate
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    HEAD,
    WARN,
    Cell,
    Column,
    Counter,
    Output,
    as_data,
    plural,
    printable,
    short_duration,
)
from toril.engine.info import QueueInfo
from toril.engine.operator import Progress
from toril.engine.options import Priority, RateLimit
from toril.engine.queue import Queue
from toril.engine.states import LOOSE, State

COLUMNS = (
    Column("QUEUE", cut=True),
    Column("PAUSED"),
    Column("WAITING", right=True),
    Column("PRIO", right=True),
    Column("DELAYED", right=True),
    Column("ACTIVE", right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("OLDEST", right=True),
)
CHILDREN = Column("CHILDREN", right=True)
"""A column more where jobs wait for their children."""
EVENTS = Column("EVENTS")
"""A column more where a queue does not tell all its events."""
STATES = [str(state) for state in State]
CLEANABLE = [str(state) for state in LOOSE]


def row(info: QueueInfo) -> list[str]:
    """Return a queue's row under `COLUMNS`."""
    counts = (info.waiting, info.prioritized, info.delayed, info.active, info.completed)
    return [
        info.name,
        Cell("yes", WARN) if info.paused else "",
        *(figure(count) for count in counts),
        figure(info.failed, BAD),
        short_duration(info.oldest_waiting_s),
    ]


def shell_word(name: str) -> str:
    """Return a name as bash, zsh and ksh take it, whatever characters it holds."""
    if name.isprintable():
        return shlex.quote(name)
    parts = (
        char if char.isprintable() and char not in "'\\" else _as_bytes(char.encode())
        for char in name
    )
    return f"$'{''.join(parts)}'"


def _as_bytes(encoded: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in encoded)


def figure(count: int, style: str = "") -> Cell:
    """Return a count as a cell; a zero steps back."""
    return Cell(f"{count:,}", style if count else DIM)


@click.command()
@click.option(
    "--search", is_flag=True, help="On Redis: find queues that only BullMQ has used, and list them."
)
@store_options
def queues(search: bool, url: str | None, as_json: bool) -> None:
    """List queues with their figures.

    On Redis these are the queues that Toril has used. --search looks through all keys of the server
    for the others; from then on they are listed without it.

    OLDEST is the age of the job that is next in line; DONE and FAILED count what is kept. CHILDREN
    is there if jobs wait for their children: parents of BullMQ's flows. EVENTS is there if a queue
    does not tell all that happens; see toril events --set.
    """
    output = Output(as_json=as_json)

    async def act(app: App) -> tuple[list[QueueInfo], bool]:
        found = await app.queues(search=search)
        return found, "foreign_queues" in app.backend().capabilities and not search

    found, unsearched = ask(url, act)
    if as_json:
        output.document({"queues": as_data(found)})
    elif found:
        columns, rows = list(COLUMNS), [row(info) for info in found]
        if any(info.waiting_children for info in found):
            columns.append(CHILDREN)
            rows = [
                [*cells, figure(info.waiting_children)]
                for cells, info in zip(rows, found, strict=True)
            ]
        if any(info.events != "all" for info in found):
            columns.append(EVENTS)
            rows = [[*cells, info.events] for cells, info in zip(rows, found, strict=True)]
        output.table(columns, rows)
        for info in found:
            if not info.name.isprintable():
                output.say(f"To open {printable(info.name)}: toril queue {shell_word(info.name)}")
    else:
        output.say("There are no queues yet: add a job, with a task's enqueue or toril jobs add.")
        if unsearched:
            output.say("To find queues that only BullMQ has used: toril queues --search.")


@click.command("queue")
@click.argument("queue")
@click.option(
    "--priority",
    "priorities",
    type=read_priority,
    multiple=True,
    help="Count what waits with it; more than once. Default: urgent, high, normal, low.",
)
@store_options
def show_queue(queue: str, priorities: tuple[int, ...], url: str | None, as_json: bool) -> None:
    """Show what is in QUEUE, and what holds it back.

    --priority takes a word or a number; 0 counts what waits without one.
    """
    wanted = priorities or tuple(map(int, Priority))

    async def act(app: App) -> tuple[QueueInfo, dict[int, int]]:
        found, info = await existing_queue(app, queue)
        return info, await found.waiting_by_priority(wanted)

    info, by_priority = ask(url, act)
    output = Output(as_json=as_json)
    if as_json:
        facts = {str(priority): many for priority, many in by_priority.items()}
        output.document({**as_data(info), "waiting_by_priority": facts})
        return
    state = Cell("PAUSED", WARN) if info.paused else Cell("GOES ON", GOOD)
    output.say([Cell(info.name, HEAD), "  ", state])
    for label, text in _facts(info, by_priority if priorities or info.prioritized else {}):
        output.say(f"{label:<10}{text}")


def _facts(info: QueueInfo, by_priority: dict[int, int]) -> list[tuple[str, str]]:
    jobs = ", ".join(f"{_count(info, state):,} {state}" for state in STATES if _count(info, state))
    facts = [("jobs", jobs or "none")]
    if info.oldest_waiting_s is not None:
        facts.append(("oldest", f"the next in line is {short_duration(info.oldest_waiting_s)} old"))
    if by_priority:
        counted = (f"{_priority(rank)} {many:,}" for rank, many in by_priority.items())
        facts.append(("priority", ", ".join(counted)))
    facts.append(("limits", _limits(info)))
    if info.held_s:
        facts.append(("held", f"nothing starts for {info.held_s:.1f} s more"))
    if info.maxed:
        facts.append(("full", "as many run as may at once"))
    facts.append(("so far", f"{info.completed_total:,} completed, {info.failed_total:,} failed"))
    return facts


def _priority(rank: int) -> str:
    if rank == 0:
        return "none"
    return Priority(rank).name.lower() if rank in list(Priority) else str(rank)


@click.command()
@click.argument("queue")
@store_options
def pause(queue: str, url: str | None, as_json: bool) -> None:
    """Let no job of QUEUE start, on any worker; jobs that run go on."""

    async def act(app: App) -> None:
        await (await existing_queue(app, queue))[0].pause()

    ask(url, act)
    facts = {"queue": queue, "paused": True}
    Output(as_json=as_json).done(facts, f"{queue} is paused; toril resume {queue} ends it.")


@click.command()
@click.argument("queue")
@store_options
def resume(queue: str, url: str | None, as_json: bool) -> None:
    """Let the jobs of QUEUE start again."""

    async def act(app: App) -> None:
        await (await existing_queue(app, queue))[0].resume()

    ask(url, act)
    Output(as_json=as_json).done({"queue": queue, "paused": False}, f"{queue} goes on.")


@click.command()
@click.argument("queue")
@click.option(
    "--rate", type=read_rate, metavar="N/TIME", help="Starts in a time: 10/s, 100/5m; or none."
)
@click.option("--concurrency", type=read_limit, metavar="N", help="Jobs at once; or none.")
@store_options
def limit(
    queue: str,
    rate: tuple[int, float] | str | None,
    concurrency: int | str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Show or set the limits of QUEUE. They hold over all workers at once.

    Without options: show them. `none` takes a limit away.
    """

    async def act(app: App) -> QueueInfo:
        found, _ = await existing_queue(app, queue)
        if rate is not None:
            window = RateLimit(limit=rate[0], window_s=rate[1]) if isinstance(rate, tuple) else None
            await found.set_rate(window)
        if concurrency is not None:
            await found.set_concurrency(concurrency if isinstance(concurrency, int) else None)
        return (await existing_queue(app, queue))[1]

    info = ask(url, act)
    facts = {
        "queue": queue,
        "concurrency": info.concurrency,
        "rate_limit": info.rate_limit,
        "rate_window_s": info.rate_window_s,
    }
    Output(as_json=as_json).done(facts, f"{queue}: {_limits(info)}")


def _limits(info: QueueInfo) -> str:
    rate, concurrency = "any rate", "any number at once"
    if info.rate_limit is not None:
        rate = f"at most {plural(info.rate_limit, 'start')} in {info.rate_window_s or 1:g} s"
    if info.concurrency is not None:
        concurrency = f"at most {info.concurrency:,} at once"
    return f"{rate}, {concurrency}"


@click.command()
@click.argument("queue")
@click.option("--delayed", is_flag=True, help="Those that are due later, too.")
@yes_option
@store_options
def drain(queue: str, delayed: bool, yes: bool, url: str | None, as_json: bool) -> None:
    """Remove all jobs of QUEUE that wait; those that run or have finished stay."""
    _remove(
        queue,
        url,
        as_json=as_json,
        yes=yes,
        count=lambda info: info.waiting + info.prioritized + (info.delayed if delayed else 0),
        which="waiting or delayed " if delayed else "waiting ",
        act=lambda found, progress: found.drain(delayed=delayed, progress=progress),
    )


@click.command()
@click.argument("queue")
@click.option(
    "--state",
    type=click.Choice(CLEANABLE),
    default=str(State.COMPLETED),
    show_default=True,
    help="Of which state.",
)
@click.option(
    "--older-than",
    type=duration,
    metavar="TIME",
    default=0.0,
    help="Only those that finished (or were added) longer ago, such as 7d. Default: all.",
)
@click.option("--limit", "most", type=click.IntRange(min=1), help="At most so many. Default: all.")
@yes_option
@store_options
def clean(
    queue: str,
    state: str,
    older_than: float,
    most: int | None,
    yes: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Remove jobs of one state from QUEUE, oldest first."""

    async def act(found: Queue, progress: Progress) -> int:
        removed: list[str] | int = await found.clean(
            state, older_than=older_than, limit=most, progress=progress
        )
        return removed if isinstance(removed, int) else len(removed)  # a server tells how many

    _remove(
        queue,
        url,
        as_json=as_json,
        yes=yes,
        count=lambda info: min(_count(info, state), most or _count(info, state)),
        which=f"{state} ",
        older_than_s=older_than,
        act=act,
    )


@click.command()
@click.argument("queue")
@click.option("--force", is_flag=True, help="Also when jobs of it run at this moment.")
@yes_option
@store_options
def obliterate(queue: str, force: bool, yes: bool, url: str | None, as_json: bool) -> None:
    """Remove QUEUE, which has to be paused, with its jobs, events, limits and counters."""
    _remove(
        queue,
        url,
        as_json=as_json,
        yes=yes,
        count=lambda info: sum(_count(info, state) for state in STATES),
        which="",
        whole=True,
        act=lambda found, progress: found.obliterate(force=force, progress=progress),
    )


def _remove(
    name: str,
    url: str | None,
    *,
    as_json: bool,
    yes: bool,
    count: Callable[[QueueInfo], int],
    which: str,
    act: Callable[[Queue, Progress], Awaitable[int]],
    older_than_s: float = 0.0,
    whole: bool = False,
) -> None:
    """Ask whether to remove, remove in chunks, and say how many went."""
    up_to = "up to " if older_than_s else ""
    _, info = ask(url, lambda app: existing_queue(app, name))
    what = f"{up_to}{plural(count(info), f'{which}job')} of {name!r}"
    confirm(f"Remove queue {name!r} with {what}?" if whole else f"Remove {what}?", yes=yes)
    counter = Counter("removed")

    async def work(app: App) -> int:
        try:
            return await act(app.queue(name, existing=True), counter)
        finally:
            counter.end()

    removed = ask(url, work)
    sentence = f"{plural(removed, f'{which}job')} of {name} removed."
    if whole:
        sentence = f"Queue {name} is gone, with {plural(removed, 'job')}."
    Output(as_json=as_json).done({"queue": name, "removed": removed}, sentence)


def _count(info: QueueInfo, state: str) -> int:
    return info.waiting if state == State.WAIT else int(getattr(info, state.replace("-", "_")))


__all__ = ["clean", "drain", "limit", "obliterate", "pause", "queues", "resume", "show_queue"]
