"""`toril top`: shows queues and workers, refreshed twice a second."""

from __future__ import annotations

import asyncio
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING

import click

from toril.app import App
from toril.cli import workers as workers_module
from toril.cli.access import ask
from toril.cli.options import duration, store_options
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    WARN,
    Cell,
    Column,
    Output,
    as_data,
    is_terminal,
    plural,
    printable,
    rich_table,
    short_duration,
    stdout_console,
    write,
)
from toril.cli.queue import figure
from toril.engine.info import QueueInfo, WorkerInfo
from toril.rest.totals import totals

if TYPE_CHECKING:
    from rich.console import RenderableType

SPAN_S = 5.0
"""Rates are means over so long, so that they can be read."""

COLUMNS = (
    Column("QUEUE", cut=True),
    Column("STATE"),
    Column("WAITING", right=True),
    Column("DELAYED", right=True),
    Column("ACTIVE", right=True),
    Column("FAILED", right=True),
    Column("DONE/S", right=True),
    Column("FAIL/S", right=True),
    Column("OLDEST", right=True),
)
WORKER_COLUMNS = tuple(
    column for column in workers_module.COLUMNS if column.title not in ("PID", "TASKS", "UP")
)
FIXED_LINES = 7
"""Lines of a frame that are no rows of a table."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    at_s: float
    queues: list[QueueInfo]
    workers: list[WorkerInfo]


class Rates:
    """How fast jobs end, from how the totals of the queues grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, tuple[int, int]]]] = deque()

    def add(self, sample: Sample) -> None:
        """Take a look into account, and forget those that are too old."""
        totals = {info.name: (info.completed_total, info.failed_total) for info in sample.queues}
        self._samples.append((sample.at_s, totals))
        while len(self._samples) > 2 and sample.at_s - self._samples[1][0] >= SPAN_S:
            self._samples.popleft()

    def of(self, queue: str) -> tuple[float, float]:
        """Return completed and failed jobs per second of a queue; 0 before the second look."""
        (first_s, before), (last_s, now) = self._samples[0], self._samples[-1]
        # A queue that is new began at nothing, one that was obliterated meanwhile begins anew.
        was, is_ = before.get(queue, (0, 0)), now.get(queue, (0, 0))
        if last_s <= first_s or queue not in now:
            return 0.0, 0.0
        span_s = last_s - first_s
        completed, failed = (max(0, b - a) / span_s for a, b in zip(was, is_, strict=True))
        return completed, failed


@click.command()
@click.option("--once", is_flag=True, help="Print one frame and end. So it is without a terminal.")
@click.option(
    "--interval",
    type=duration,
    default=0.5,
    metavar="TIME",
    help="Between two looks. Default: 0.5.",
)
@store_options
def top(once: bool, interval: float, url: str | None, as_json: bool) -> None:
    """Watch queues and workers, live. q or Ctrl-C ends it.

    WAITING counts jobs with a priority, too. DONE/S and FAIL/S are means of the last 5 s. With
    --json: one object per look, on a line of its own.
    """
    output = Output(as_json=as_json)
    if interval < 0.05:
        raise click.UsageError("--interval: expected 50ms or more.")
    if once or (not as_json and not is_terminal(sys.stdout)):
        ask(url, lambda app: _once(app, output, interval))
    elif as_json:
        ask(url, lambda app: _stream(app, output, interval))
    else:
        ask(url, lambda app: _live(app, interval))


async def _once(app: App, output: Output, interval_s: float) -> None:
    """Look twice, for the rates, and print the second look."""
    rates = Rates()
    rates.add(await _look(app))
    await asyncio.sleep(interval_s)
    sample = await _look(app)
    rates.add(sample)
    if output.as_json:
        output.document(_facts(sample, rates))
        return
    console = stdout_console()
    with console.capture() as capture:
        console.print(frame(app.backend().url, sample, rates, lines=None))
    for line in capture.get().rstrip().splitlines():
        write(line.rstrip())


async def _stream(app: App, output: Output, interval_s: float) -> None:
    rates = Rates()
    async for sample in _looks(app, interval_s, asyncio.Event()):
        rates.add(sample)
        output.line(_facts(sample, rates))


async def _live(app: App, interval_s: float) -> None:
    from rich.live import Live

    first = await _look(app)  # whatever is wrong with the store is said on the usual screen
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (SIGINT, SIGTERM):
        loop.add_signal_handler(number, ended.set)
    rates = Rates()
    rates.add(first)
    url = app.backend().url
    console = stdout_console()
    begin = frame(url, first, rates, lines=console.height)
    with (
        _keys(ended),
        Live(begin, console=console, screen=True, auto_refresh=False) as live,
    ):
        live.refresh()
        async for sample in _looks(app, interval_s, ended):
            rates.add(sample)
            live.update(frame(url, sample, rates, lines=console.height), refresh=True)


async def _looks(app: App, interval_s: float, ended: asyncio.Event) -> AsyncIterator[Sample]:
    """Look again and again, at even distances, until it is ended."""
    next_s = time.monotonic()
    while not ended.is_set():
        yield await _look(app)
        next_s = max(next_s + interval_s, time.monotonic())
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), next_s - time.monotonic())


async def _look(app: App) -> Sample:
    queues, workers = await asyncio.gather(app.queues(), app.workers())
    return Sample(time.monotonic(), queues, workers)


@contextmanager
def _keys(ended: asyncio.Event) -> Iterator[None]:
    """Let `q` end it: read keys as they are pressed, and leave the terminal as it was."""
    if not is_terminal(sys.stdin):
        yield
        return
    loop = asyncio.get_running_loop()
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)

    def press() -> None:
        if sys.stdin.read(1) in ("q", "Q", ""):
            ended.set()

    tty.setcbreak(fd)
    loop.add_reader(fd, press)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def frame(url: str, sample: Sample, rates: Rates, *, lines: int | None) -> RenderableType:
    """Return what the screen shows.

    Parameters:
        url: Of the store.
        sample: The look.
        rates: With that look.
        lines: Of the screen; what has no room is counted. None: any number.
    """
    from rich.console import Group
    from rich.text import Text

    queues, workers = sample.queues, sample.workers
    more_queues = more_workers = 0
    if lines is not None:
        room = max(4, lines - FIXED_LINES)
        more_workers = max(0, len(workers) - max(2, room // 3, room - len(queues)))
        workers = workers[: len(workers) - more_workers]
        more_queues = max(0, len(queues) - max(2, room - len(workers) - bool(more_workers)))
        queues = queues[: len(queues) - more_queues]
    speeds = [rates.of(info.name) for info in sample.queues]
    done, failed = (sum(speed[n] for speed in speeds) for n in (0, 1))
    whole = totals(sample.queues, sample.workers)
    head = Text("toril top", "bold")
    head.append(f"  {printable(url)}  {datetime.now():%H:%M:%S}", "not bold dim")  # noqa: DTZ005 - for a wall clock's reader
    summary = (
        f"{_speed(done)} done/s, {_speed(failed)} failed/s, {whole.active:,} running,"
        f" {plural(whole.workers, 'worker')}"
    )
    line = (
        f"{whole.running:,} of {plural(whole.slots, 'slot')} busy,"
        f" {whole.waiting + whole.prioritized:,} waiting, {whole.delayed:,} delayed,"
        f" {whole.failed:,} failed, oldest {short_duration(whole.oldest_waiting_s)}"
    )
    shown: list[RenderableType] = [head, Text(summary), Text(line), Text("")]
    if queues:
        shown.append(rich_table(COLUMNS, [_queue_row(info, rates) for info in queues]))
    else:
        shown.append(Text("There are no queues yet."))
    if more_queues:
        shown.append(Text(f"and {plural(more_queues, 'more queue')}", "dim"))
    shown.append(Text(""))
    if workers:
        shown.append(rich_table(WORKER_COLUMNS, [_worker_row(record) for record in workers]))
    else:
        shown.append(Text("No worker is alive: toril worker MODULE:APP", "yellow"))
    if more_workers:
        shown.append(Text(f"and {plural(more_workers, 'more worker')}", "dim"))
    return Group(*shown)


def _queue_row(info: QueueInfo, rates: Rates) -> list[str]:
    done, failed = rates.of(info.name)
    busy = info.active or info.waiting or info.prioritized
    state = Cell("paused", WARN) if info.paused else Cell("busy", GOOD) if busy else Cell("-", DIM)
    return [
        info.name,
        state,
        figure(info.waiting + info.prioritized),
        figure(info.delayed),
        figure(info.active),
        figure(info.failed, BAD),
        Cell(_speed(done), GOOD if done else DIM),
        Cell(_speed(failed), BAD if failed else DIM),
        short_duration(info.oldest_waiting_s),
    ]


def _worker_row(record: WorkerInfo) -> list[str]:
    cells = dict(
        zip(
            (column.title for column in workers_module.COLUMNS),
            workers_module.row(record),
            strict=True,
        )
    )
    return [cells[column.title] for column in WORKER_COLUMNS]


def _speed(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s == 0 or per_s >= 10 else f"{per_s:.1f}"


def _facts(sample: Sample, rates: Rates) -> dict[str, object]:
    queues = []
    for info in sample.queues:
        completed_per_s, failed_per_s = rates.of(info.name)
        queues.append(
            as_data(info) | {"completed_per_s": completed_per_s, "failed_per_s": failed_per_s}
        )
    return {
        "at": datetime.now(UTC),
        "totals": as_data(totals(sample.queues, sample.workers)),
        "queues": queues,
        "workers": [workers_module.as_facts(record) for record in sample.workers],
    }
