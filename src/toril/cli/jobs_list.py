"""`toril jobs list`: jobs of one queue or of all, and those that fit some flags.

The store lists by queue and state. Flags are looked for in chunks, up to so many jobs in one call;
the cursor at the end goes on from there.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import click

from toril.app import App
from toril.cli.access import ask, existing_queue
from toril.cli.codes import USAGE, RefusedError
from toril.cli.job_words import COLUMNS, row
from toril.cli.options import moment, store_options
from toril.cli.output import DIM, Column, Output, as_data, plural
from toril.engine.info import JobInfo, QueueInfo
from toril.engine.queue import Queue
from toril.engine.states import State

# Those that somebody is most likely to look for come first.
ORDER = (
    State.ACTIVE,
    State.FAILED,
    State.WAIT,
    State.PRIORITIZED,
    State.DELAYED,
    State.WAITING_CHILDREN,
    State.COMPLETED,
)
CHUNK = 200
"""Jobs of one call of the store, where flags choose among them."""
MOST_LOOKED_AT = 10_000
"""Jobs that one command looks at. More would hold up others for long."""
QUEUE = Column("QUEUE", cut=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the flags choose."""

    task: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None

    @property
    def all(self) -> bool:
        """No flag is given."""
        return self == Wanted()

    def has(self, info: JobInfo) -> bool:
        """Whether a job is wanted. Its time is that of its end, else that of its adding."""
        at = info.finished_at or info.created_at
        reasons = [info.failed_reason, *(attempt.error for attempt in info.attempts[-1:])]
        return (
            (self.task is None or info.name == self.task)
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
            and (self.error is None or any(self.error in text for text in reasons if text))
        )


class Part(NamedTuple):
    """Some states of a queue, which the store lists in one order."""

    label: str
    """What names it in a cursor. Empty: there is only one."""
    queue: Queue
    states: Sequence[State | str]


@dataclass(slots=True)
class Listing:
    """What was found."""

    jobs: list[JobInfo]
    next: str | None = None
    """Where to go on. None: this was the last."""
    looked_at: int = 0


@click.command("list")
@click.argument("queue", required=False)
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in State]),
    multiple=True,
    help="Of one state; more than once: of several, one after the other. Default: all, the most"
    " urgent to look at first.",
)
@click.option("--task", metavar="NAME", help="Only of this task.")
@click.option(
    "--since", type=moment, metavar="TIME", help="Only those that ended, or were added if they have"
    " not, in the last 2h, or since 2026-12-01T08:00.",
)  # fmt: skip
@click.option("--until", type=moment, metavar="TIME", help="Only those until then.")
@click.option("--error", metavar="TEXT", help="Only where the last error contains this.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many."
)
@click.option("--after", metavar="CURSOR", help="The page after; a page ends with its cursor.")
@click.option("--newest", is_flag=True, help="Newest first. Default: in the order they will run.")
@store_options
def list_jobs(
    queue: str | None,
    states: tuple[str, ...],
    task: str | None,
    since: datetime | None,
    until: datetime | None,
    error: str | None,
    limit: int,
    after: str | None,
    newest: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """List the jobs of QUEUE, or of all queues.

    With --task, --since, --until or --error up to 10,000 jobs are looked at; the cursor at the end
    goes on from there.
    """
    output = Output(as_json=as_json)
    wanted = Wanted(task=task, since=since, until=until, error=error)

    async def act(app: App) -> Listing:
        parts = await _parts(app, queue, states or ORDER)
        return await _search(parts, wanted, limit=limit, after=after, newest=newest)

    found = ask(url, act)
    if as_json:
        output.document({"jobs": as_data(found.jobs), "next": found.next})
        return
    if not found.jobs:
        which = f"{' or '.join(states)} " if states else ""
        fits = "" if wanted.all else " that fit"
        none = f"no {which}jobs{fits}"
        output.say(f"There are {none}." if queue is None else f"{queue} has {none}.")
    elif queue is None:
        output.table((QUEUE, *COLUMNS), [[info.queue, *row(info)] for info in found.jobs])
    else:
        output.table(COLUMNS, [row(info) for info in found.jobs])
    if found.next is not None:
        looked = "" if wanted.all else f"Looked at {plural(found.looked_at, 'job')}. "
        output.say(f"{looked}More: add --after {shlex.quote(found.next)}", DIM)


async def _parts(app: App, queue: str | None, states: Sequence[State | str]) -> list[Part]:
    if queue is not None:
        found, _ = await existing_queue(app, queue)
        return [Part("", found, states)]
    infos = await app.queues()
    return [
        Part(f"{state}:{info.name}", app.queue(info.name, existing=True), [state])
        for state in map(State, states)
        for info in infos
        if _count(info, state)
    ]


def _count(info: QueueInfo, state: State) -> int:
    name = {State.WAIT: "waiting"}.get(state, str(state).replace("-", "_"))
    return int(getattr(info, name))


async def _search(
    parts: list[Part], wanted: Wanted, *, limit: int, after: str | None, newest: bool
) -> Listing:
    """Go through the parts until there are enough, or enough was looked at."""
    listing = Listing([])
    place, cursor = _place(parts, after)
    while place < len(parts):
        part = parts[place]
        room = limit - len(listing.jobs)
        chunk = room if wanted.all else CHUNK
        page = await part.queue.jobs(part.states, limit=chunk, after=cursor, newest_first=newest)
        fitting = [number for number, info in enumerate(page.jobs, 1) if wanted.has(info)]
        if len(fitting) > room or (len(fitting) == room and fitting[-1] < len(page.jobs)):
            # The page ends with the last job that is shown: where is that?
            end = fitting[room - 1]
            page = await part.queue.jobs(part.states, limit=end, after=cursor, newest_first=newest)
            fitting = [number for number, info in enumerate(page.jobs, 1) if wanted.has(info)]
        listing.jobs += [page.jobs[number - 1] for number in fitting[:room]]
        listing.looked_at += len(page.jobs)
        cursor = page.next
        if cursor is None:
            place += 1
        if len(listing.jobs) >= limit or listing.looked_at >= MOST_LOOKED_AT:
            break
    if place < len(parts):
        label = parts[place].label
        listing.next = cursor if not label else f"{label}:{cursor or ''}"
    return listing


def _place(parts: list[Part], after: str | None) -> tuple[int, str | None]:
    """Return the part in which to go on, and the cursor in it.

    Raises:
        RefusedError: It is no cursor of such a listing.
    """
    if after is None:
        return 0, None
    if len(parts) == 1 and not parts[0].label:
        return 0, after
    # A cursor of the store has colons of its own; a state and a queue's name have none.
    state, _, rest = after.partition(":")
    queue, colon, cursor = rest.partition(":")
    labels = [part.label for part in parts]
    if not colon or state not in list(State):
        raise RefusedError(f"--after {after!r}: no cursor of a listing of all queues", USAGE)
    if f"{state}:{queue}" in labels:
        return labels.index(f"{state}:{queue}"), cursor or None
    # Nothing is left of that part: go on with the one behind it.
    order = {str(each): number for number, each in enumerate(ORDER)}
    before = (order[state], queue)
    for number, part in enumerate(parts):
        if (order[str(part.states[0])], part.queue.name) > before:
            return number, None
    return len(parts), None
