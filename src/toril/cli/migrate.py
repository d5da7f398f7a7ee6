"""`toril migrate`: moves queues with all their jobs from one store to another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import click

from toril.app import App
from toril.cli.access import existing_queue
from toril.cli.codes import DONE, STATE
from toril.cli.options import json_option
from toril.cli.output import BAD, DIM, WARN, Cell, Column, Counter, Output, plural
from toril.engine.migration import MOVABLE, QueueMove
from toril.engine.states import State
from toril.settings import Settings

COLUMNS = (
    Column("QUEUE", cut=True),
    Column("WAITING", right=True),
    Column("PRIO", right=True),
    Column("DELAYED", right=True),
    Column("CHILDREN", right=True),
    Column("FAILED", right=True),
    Column("DONE", right=True),
    Column("LEFT", right=True),
    Column("THEN"),
)


@click.command()
@click.option("--from", "source", metavar="URL", required=True, help="The store to move from.")
@click.option("--to", "target", metavar="URL", required=True, help="The store to move to.")
@click.option(
    "--queue", "queues", metavar="NAME", multiple=True, help="Which; more than once. Default: all."
)
@click.option("--force", is_flag=True, help="Although workers serve the queues.")
@click.option("--dry-run", is_flag=True, help="Show what there is to move, and change nothing.")
@json_option
def migrate(
    source: str, target: str, queues: tuple[str, ...], force: bool, dry_run: bool, as_json: bool
) -> int:
    """Move queues with all their jobs from one store to another.

    Stop workers first. Jobs keep ids, order, attempts, logs and results; settings and totals go
    with them. A queue is paused in both stores meanwhile; then it goes on in the target, unless it
    was paused, and stays paused, empty, where it was. LEFT are jobs that could not be moved. Cut
    short at any moment, it is run again and goes on.
    """
    counter = Counter("moved")
    began_s = time.monotonic()

    async def work() -> tuple[str, str | None, list[QueueMove]]:
        # What is removed here has to be on the disk there, unless the URL says otherwise.
        settings = replace(Settings.load(), durability="full")
        async with (
            App(source, settings=settings).existing() as old,
            App(target, settings=settings) as new,
        ):
            for name in queues:
                await existing_queue(old, name)
            try:
                moves = await old.migrate_to(
                    new, queues=queues or None, force=force, dry_run=dry_run, progress=counter
                )
            finally:
                counter.end()
            return old.backend().url, None if dry_run else new.backend().url, moves

    here, there, moves = asyncio.run(work())
    duration_s = time.monotonic() - began_s
    output = Output(as_json=as_json)
    if as_json:
        output.document(_facts(here, there, moves, duration_s))
    elif not moves:
        output.say(f"{here} has no queues.")
    else:
        output.table(COLUMNS, [_row(move) for move in moves])
        if there is None:
            _tell_plan(output, here, moves)
        else:
            _tell(output, here, moves, duration_s)
    return STATE if any(_left(move) for move in moves) else DONE


def _facts(
    here: str, there: str | None, moves: Sequence[QueueMove], duration_s: float
) -> dict[str, object]:
    total = sum(map(_moved, moves))
    return {
        "from": here,
        "to": there,
        "dry_run": there is None,
        "moved": total,
        "left": sum(map(_left, moves)),
        "duration_s": round(duration_s, 3),
        "jobs_per_s": round(total / duration_s),
        "queues": [
            {
                "queue": move.queue,
                "moved": {str(state): move.moved[state] for state in MOVABLE},
                "schedules": move.schedules,
                "running": move.moved[State.ACTIVE],
                "tied": move.tied,
                "tied_id": move.tied_id,
                "taken": move.taken,
                "taken_id": move.taken_id,
                "paused": move.paused,
                "duration_s": round(move.duration_s, 3),
            }
            for move in moves
        ],
    }


def _tell_plan(output: Output, here: str, moves: Sequence[QueueMove]) -> None:
    total = plural(sum(map(_moved, moves)), "job")
    output.say(f"{total} of {here} would move; nothing was changed.")
    for move in moves:
        if running := move.moved[State.ACTIVE]:
            what = plural(running, "running job")
            output.say(f"{move.queue} has {what}: its workers have to be stopped first.", WARN)
        if move.tied:
            what = plural(move.tied, "waiting parent")
            output.say(
                f"{move.queue}: {what} would stay, such as {move.tied_id}: the flow reaches into"
                " queues that do not move.",
                WARN,
            )


def _tell(output: Output, here: str, moves: Sequence[QueueMove], duration_s: float) -> None:
    for move in moves:
        if move.tied:
            output.say(
                f"{move.queue}: {plural(move.tied, 'job')} stayed, such as {move.tied_id}, tied to"
                " a flow in queues that did not move.",
                WARN,
            )
        if move.taken:
            output.say(
                f"{move.queue}: {plural(move.taken, 'job')} stayed, such as {move.taken_id}, as the"
                " target has another one of the same id.",
                WARN,
            )
    if schedules := sum(move.schedules for move in moves):
        output.say(f"{plural(schedules, 'schedule')} moved, each with its next job.")
    total = sum(map(_moved, moves))
    output.say(
        f"{plural(total, 'job')} moved in {duration_s:.1f} s ({total / duration_s:,.0f} jobs/s),"
        f" counted in both stores. In {here} the queues stay paused."
    )


def _row(move: QueueMove) -> list[str]:
    left = _left(move)
    return [
        move.queue,
        *(Cell(f"{many:,}", "" if many else DIM) for many in map(move.moved.__getitem__, MOVABLE)),
        Cell(f"{left:,}", BAD if left else DIM),
        Cell("paused", WARN) if move.paused else "goes on",
    ]


def _moved(move: QueueMove) -> int:
    return sum(move.moved[state] for state in MOVABLE)


def _left(move: QueueMove) -> int:
    return move.tied + move.taken
