"""`toril history`: what a queue did, as a table over time; and whether it is written."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from toril.app import App
from toril.cli.access import ask, existing_queue
from toril.cli.harmless import encodes
from toril.cli.options import duration, store_options
from toril.cli.output import BAD, DIM, HEAD, WARN, Cell, Column, Output, local, plural
from toril.core.checks import nearest
from toril.engine.history import HistoryPoint, HistorySeries

LINES = 30
"""Most lines of a table, unless a step is given."""
STEPS_S = (60.0, 300.0, 900.0, 3600.0, 10_800.0, 86_400.0, 7 * 86_400.0, 28 * 86_400.0)
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = ".:-=+*#@"
"""Where the output takes no others."""

COLUMNS = (
    Column("FROM"),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("RETRIED", right=True),
    Column("WAIT p50", right=True),
    Column("p95", right=True),
    Column("RUN p50", right=True),
    Column("p95", right=True),
    Column("OLDEST", right=True),
)


@click.command()
@click.argument("queue")
@click.option("--task", metavar="NAME", help="Only jobs of this name.")
@click.option(
    "--since", type=duration, default="6h", show_default=True,
    help="From how long ago, such as 90m, 12h or 7d.",
)  # fmt: skip
@click.option("--step", type=duration, help="How long a line is, such as 5m, 1h or 1d.")
@click.option(
    "--set", "wanted", type=click.Choice(["on", "off"]),
    help="Print nothing, but begin or end to write QUEUE's history.",
)  # fmt: skip
@store_options
def history(
    queue: str,
    task: str | None,
    since: float,
    step: float | None,
    wanted: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Show what QUEUE did: outcomes, and how long jobs waited and ran.

    WAIT is from when a job could run to its start, RUN from there to the end of the attempt. p50 is
    the median, p95 what 95 of 100 stay below; neither is more than 41 % too high. OLDEST is the
    greatest age that the next job in line was seen with.

    Minutes are kept for 7 days, hours for 90 days, days (UTC) for two years.
    """
    output = Output(as_json=as_json)
    if wanted is not None:
        _choose(queue, wanted == "on", url, output)
        return

    async def act(app: App) -> tuple[HistorySeries, bool]:
        found = (await existing_queue(app, queue))[1]
        chosen = step or next((one for one in STEPS_S if since / one <= LINES), STEPS_S[-1])
        series = await app.history(queue, task=task, since=since, step=chosen)
        return series, found.history

    series, is_written = ask(url, act)
    if as_json:
        output.document(series.plain() | {"written": is_written})
        return
    _print(series, output)
    if task is not None and task not in series.tasks:
        close = nearest(task, series.tasks)
        hint = f"did you mean {close}?" if close else _tasks(series)
        output.say(f"Nothing was run under the name {task}: {hint}")
    elif task is None and len(series.tasks) > 1:
        output.say(_tasks(series))
    if not is_written:
        output.say(
            f"It is not written any more: toril history {queue} --set on begins again.", WARN
        )


def _choose(queue: str, kept: bool, url: str | None, output: Output) -> None:
    async def act(app: App) -> None:
        await (await existing_queue(app, queue))[0].set_history(kept)

    ask(url, act)
    sentence = "is written from now on" if kept else "is not written any more; what there is stays"
    output.done({"queue": queue, "history": kept}, f"The history of {queue} {sentence}.")


def _print(series: HistorySeries, output: Output) -> None:
    total = series.total
    attempts = total.completed + total.failed + total.retried
    if attempts:
        done = [point.completed for point in series.points]
        lost = [point.failed + point.retried for point in series.points]
        output.say(["completed  ", sparkline(done), f"  {total.completed:,}"])
        if any(lost):
            output.say(
                [Cell("gone wrong ", BAD), Cell(sparkline(lost), BAD), "  ",
                 f"{plural(total.failed, 'failed job')}, {total.retried:,} retried"]
            )  # fmt: skip
        output.say()
        by_day = series.step_s >= 86_400
        rows = [_row(point, by_day=by_day) for point in _without_begin(series.points)]
        output.table(COLUMNS, [*rows, _row(total, by_day=by_day, title="all")])
    else:
        output.say("Nothing has ended in this time.")


def sparkline(figures: Sequence[int]) -> str:
    """Return figures as a line of bars; a zero is a space."""
    bars = BARS if encodes(sys.stdout, BARS) else PLAIN_BARS
    most = max(figures, default=0)
    return "".join(bars[(figure * len(bars) - 1) // most] if figure else " " for figure in figures)


def _without_begin(points: Sequence[HistoryPoint]) -> Sequence[HistoryPoint]:
    """Return points from the first on where anything happened."""
    for place, point in enumerate(points):
        if point.completed or point.failed or point.retried or point.oldest_waiting_s is not None:
            return points[place:]
    return points


def _row(point: HistoryPoint, *, by_day: bool, title: str | None = None) -> list[str]:
    at = point.at.strftime("%Y-%m-%d") if by_day else local(point.at).strftime("%m-%d %H:%M")
    return [
        Cell(title, HEAD) if title else Cell(at, DIM),
        _count(point.completed),
        _count(point.failed, BAD),
        _count(point.retried, WARN),
        _seconds(point.wait.p50_s),
        _seconds(point.wait.p95_s),
        _seconds(point.run.p50_s),
        _seconds(point.run.p95_s),
        _seconds(point.oldest_waiting_s),
    ]


def _count(count: int, style: str = "") -> Cell:
    return Cell(f"{count:,}", style if count else DIM)


def _seconds(duration_s: float | None) -> str:
    """Return a duration in a few characters: `3ms`, `1.4s`, `12m`, `3h`."""
    if duration_s is None:
        return "-"
    if duration_s < 1:
        return f"{duration_s * 1000:.0f}ms"
    for unit, size_s, most in (("s", 1, 100), ("m", 60, 100), ("h", 3600, 48)):
        if duration_s < size_s * most:
            number = duration_s / size_s
            return f"{number:.1f}{unit}" if number < 10 else f"{number:.0f}{unit}"
    return f"{duration_s / 86_400:.0f}d"


def _tasks(series: HistorySeries) -> str:
    return f"Tasks: {', '.join(series.tasks)}" if series.tasks else "no task was."
