"""`toril search`: finds jobs by a line of text, in all queues."""

from __future__ import annotations

import time

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.job_words import COLUMNS, row
from toril.cli.options import duration, store_options
from toril.cli.output import DIM, Column, Output, as_data, note, plural
from toril.engine.info import JobInfo
from toril.engine.operator import Progress
from toril.engine.search.found import SearchPage, SearchPlan

PAGE = 200
"""Jobs that one call asks for at most."""


@click.command("search")
@click.argument("query", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option(
    "--after", metavar="CURSOR", help="Go on; a search that goes on ends with its cursor."
)
@click.option(
    "--within",
    "within_s",
    type=duration,
    default="1m",
    show_default=True,
    metavar="TIME",
    help="Look for so long at most.",
)
@click.option("--explain", is_flag=True, help="Only say what the search will cost.")
@store_options
def search(
    query: tuple[str, ...],
    limit: int,
    after: str | None,
    within_s: float,
    explain: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Find jobs: toril search 'state:failed error~timeout since:1h'.

    All words have to hold. FIELD:VALUE, with * for any text and commas between values; FIELD~TEXT
    for text within; > >= < <= for numbers and durations; - before what must not hold; OR between
    alternatives. A word alone is looked for in id, name, payload and error.

    Fields: state, queue, name, id, data, data.PATH, opts.PATH, result.PATH, error, worker, dedup,
    parent, attempts, stalled, priority, size, since, until, age, wait, runtime.
    """
    text = " ".join(query)
    output = Output(as_json=as_json)
    if explain:
        _say_plan(output, ask(url, lambda app: app.explain_search(text)))
        return

    async def act(app: App) -> tuple[list[JobInfo], SearchPage, int]:
        found: list[JobInfo] = []
        looked_at = 0
        until_s = time.monotonic() + within_s
        cursor = after
        while True:
            page = await app.search(
                text,
                cursor=cursor,
                limit=min(PAGE, limit - len(found)),
                budget=max(0.0, until_s - time.monotonic()),
                progress=shown.behind(looked_at, len(found)),
            )
            found += page.jobs
            looked_at += page.looked_at
            cursor = page.next
            if cursor is None or len(found) >= limit or time.monotonic() >= until_s:
                return found, page, looked_at

    shown = _Shown()
    try:
        found, last, looked_at = ask(url, act)
    finally:
        shown.wipe()
    if as_json:
        facts = {"jobs": as_data(found), "next": last.next, "looked_at": looked_at}
        output.document(facts)
        return
    if found:
        columns = (Column("QUEUE", cut=True), *COLUMNS)
        output.table(columns, [[info.queue, *row(info)] for info in found])
    else:
        output.say("No such jobs." if last.ended else "No such jobs so far.")
    if not last.ended:
        where = (
            "" if last.queue is None else f" It stands at {last.state or 'ids'} of {last.queue}."
        )
        output.say(f"Looked at {plural(looked_at, 'job')}; there may be more.{where}", DIM)
        output.say(f"More: add --after {last.next}", DIM)


class _Shown:
    """Shows how far a search has come, on a terminal, five times a second."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + 0.2
        self._is_shown = False

    def behind(self, looked_at: int, found: int) -> Progress:
        """Return what is told of a page, after so many jobs."""
        return lambda many: self._show(looked_at + many, found)

    def wipe(self) -> None:
        """Wipe the note, if there is one."""
        if self._is_shown:
            note("")

    def _show(self, looked_at: int, found: int) -> None:
        now_s = time.monotonic()
        if looked_at and now_s >= self._next_s:
            self._next_s = now_s + 0.2
            self._is_shown = True
            note(f"{looked_at:,} jobs looked at, {found:,} found; Ctrl-C stops here")


def _say_plan(output: Output, plan: SearchPlan) -> None:
    if output.as_json:
        output.document(as_data(plan))
        return
    output.say(f"query  {plan.query}")
    output.say(f"tier   {plan.tier}, {plural(plan.jobs_at_most, 'job')} at most")
    for sentence in plan.sentences:
        output.say(sentence)
