"""`toril dead`: letters of jobs that failed for good, and how their jobs come back."""

from __future__ import annotations

from typing import Any

import click

from toril.app import App
from toril.cli.access import ask, existing_queue
from toril.cli.each import Tried
from toril.cli.job_words import value_text
from toril.cli.main import SuggestingGroup
from toril.cli.options import confirm, duration, store_options, yes_option
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    HEAD,
    Cell,
    Column,
    Counter,
    Output,
    ago,
    as_data,
    moment_text,
    plural,
    printable_lines,
    write,
)
from toril.core.codec import decode
from toril.engine.dead_letters import DEAD_LETTER, DeadLetterQueue
from toril.engine.letter_info import LetterInfo, LetterPage

COLUMNS = (
    Column("ID"),
    Column("JOB", cut=True),
    Column("QUEUE", cut=True),
    Column("TRIES", right=True),
    Column("FAILED", right=True),
    Column("BACK"),
    Column("REASON", cut=True),
)


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def dead(ctx: click.Context) -> None:
    """List, show, redrive and remove dead letters: what failed for good.

    A queue leaves letters once it has a dead-letter queue: toril dead set QUEUE, or dead_letter= of
    a task.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def _of(command: Any) -> Any:
    return click.option(
        "--letters",
        default=DEAD_LETTER,
        show_default=True,
        metavar="NAME",
        help="The dead-letter queue.",
    )(command)


def _chosen(command: Any) -> Any:
    for option in (
        click.option("--error", metavar="TEXT", help="Only where the reason contains this."),
        click.option("--task", metavar="NAME", help="Only of jobs of this name."),
        click.option("--queue", metavar="NAME", help="Only of jobs that were in this queue."),
    ):
        command = option(command)
    return command


@dead.command("list")
@_of
@_chosen
@click.option(
    "--redriven/--not-redriven", default=None, help="Only those whose job is back, or is not."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="CURSOR", help="The page after; a page ends with its cursor.")
@store_options
def list_letters(
    letters: str,
    queue: str | None,
    task: str | None,
    error: str | None,
    redriven: bool | None,
    limit: int,
    after: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List letters, oldest first. BACK says whether the job was brought back."""
    output = Output(as_json=as_json)

    async def act(app: App) -> LetterPage:
        return await app.dead_letters(letters).list(
            queue=queue, task=task, error=error, redriven=redriven, limit=limit, after=after
        )

    page = ask(url, act)
    if as_json:
        output.document({"letters": as_data(page.letters), "next": page.next})
        return
    if page.letters:
        output.table(COLUMNS, [_row(letter) for letter in page.letters])
    else:
        output.say(f"{letters} has no such letters.")
    if page.next is not None:
        output.say(f"More: add --after {page.next}", DIM)


def _row(letter: LetterInfo) -> list[str]:
    return [
        letter.id,
        letter.task,
        letter.original_queue,
        str(letter.attempts_made),
        ago(letter.failed_at),
        Cell("yes", GOOD) if letter.redriven_at is not None else "",
        Cell(letter.failed_reason, DIM if letter.redriven_at is not None else BAD),
    ]


@dead.command("show")
@click.argument("letter_id", metavar="ID")
@_of
@store_options
def show(letter_id: str, letters: str, url: str | None, as_json: bool) -> None:
    """Show all that the letter ID says."""
    info = ask(url, lambda app: app.dead_letters(letters).get(letter_id))
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(info))
        return
    output.say([Cell(info.task, HEAD), f"  {info.original_queue} {info.original_job_id}"])
    back = "no" if info.redriven_at is None else f"{moment_text(info.redriven_at)}"
    for label, text in (
        ("failed", f"{moment_text(info.failed_at)} ({ago(info.failed_at)} ago)"),
        ("reason", info.failed_reason),
        ("attempts", str(info.attempts_made)),
        ("data", value_text(info.data)),
        ("options", value_text(info.options)),
        ("redriven", back),
        ("letter", f"{info.id}, {info.state} in {info.queue}"),
    ):
        output.say(f"{label:<10}{text}")
    for attempt in info.attempts:
        output.say(
            f"attempt {attempt.number:<2}{attempt.outcome},"
            f" {moment_text(attempt.ended_at)}, {attempt.worker_id}"
            + (f": {attempt.error}" if attempt.error else "")
        )
    for line in printable_lines(info.stacktrace[-1] if info.stacktrace else ""):
        output.say(f"  {line}", DIM)


@dead.command("redrive")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were not redriven, or some.")
@_of
@_chosen
@click.option("--limit", type=click.IntRange(min=1), help="With --all: at most so many.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="With --all: jobs a second."
)
@click.option("--data", metavar="JSON", help="With one ID: another payload for the job.")
@store_options
def redrive(
    letter_ids: tuple[str, ...],
    everything: bool,
    letters: str,
    queue: str | None,
    task: str | None,
    error: str | None,
    limit: int | None,
    rate: float | None,
    data: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Bring the jobs of letters back: into their queue, with their options, attempts anew.

    A letter whose job was brought back before changes nothing.
    """
    if bool(letter_ids) == everything:
        raise click.UsageError("Give the ids of letters, or --all.")
    if data is not None and len(letter_ids) != 1:
        raise click.UsageError("--data goes with one ID.")
    if not everything and (queue, task, error, limit, rate) != (None,) * 5:
        raise click.UsageError("--queue, --task, --error, --limit and --rate go with --all.")
    payload = None if data is None else _json(data)
    output, counter, tried = Output(as_json=as_json), Counter("redriven"), Tried()
    jobs: list[str] = []

    async def act(app: App) -> int:
        found = app.dead_letters(letters)

        async def back(letter_id: str) -> None:
            jobs.append((await found.redrive(letter_id, payload)).id)

        if not everything:
            await tried.each(letter_ids, back)
            return len(jobs)
        try:
            return await found.redrive_all(
                queue=queue,
                task=task,
                error=error,
                limit=limit,
                max_per_s=rate,
                progress=counter,
            )
        finally:
            counter.end()

    count = ask(url, act)
    facts: dict[str, Any] = {"letters": letters, "redriven": count}
    if not everything:
        facts |= {"jobs": jobs, **tried.facts}
    if everything or jobs or as_json:
        output.done(facts, f"{plural(count, 'job')} brought back from {letters}.")
    tried.end()


def _json(text: str) -> Any:
    try:
        return decode(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text[:80]!r} is no JSON: {error}", param_hint="--data"
        ) from error


@dead.command("remove")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All letters, or some.")
@_of
@_chosen
@click.option(
    "--redriven/--not-redriven", default=None, help="With --all: whose job is back, or is not."
)
@yes_option
@store_options
def remove(
    letter_ids: tuple[str, ...],
    everything: bool,
    letters: str,
    queue: str | None,
    task: str | None,
    error: str | None,
    redriven: bool | None,
    yes: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Remove letters. Their jobs stay as they are."""
    if bool(letter_ids) == everything:
        raise click.UsageError("Give the ids of letters, or --all.")
    output, counter, tried = Output(as_json=as_json), Counter("removed"), Tried()
    if everything:
        confirm(f"Remove letters of {letters}? What they hold is gone then.", yes=yes)

    async def act(app: App) -> int:
        found: DeadLetterQueue = app.dead_letters(letters)
        if not everything:
            await tried.each(letter_ids, found.remove)
            return len(tried.done)
        try:
            return await found.remove_all(
                queue=queue, task=task, error=error, redriven=redriven, progress=counter
            )
        finally:
            counter.end()

    count = ask(url, act)
    if everything or tried.done or as_json:
        facts = {"letters": letters, "removed": count, **tried.facts}
        output.done(facts, f"{plural(count, 'letter')} removed.")
    tried.end()


@dead.command("set")
@click.argument("queue")
@click.option("--off", is_flag=True, help="Failures leave no letters any more.")
@click.option("--keep", type=duration, help="Letters that are older are removed: 30d, 12h.")
@_of
@store_options
def set_rule(
    queue: str, off: bool, keep: float | None, letters: str, url: str | None, as_json: bool
) -> None:
    """Have jobs of QUEUE that fail for good leave letters in --letters."""
    if off and keep is not None:
        raise click.UsageError("--keep goes without --off.")

    async def act(app: App) -> None:
        found, _ = await existing_queue(app, queue)
        await found.set_dead_letter(None if off else letters, keep=keep)

    ask(url, act)
    sentence = (
        f"Failures of {queue} leave no letters any more."
        if off
        else f"Jobs of {queue} that fail for good leave a letter in {letters}."
    )
    output = Output(as_json=as_json)
    output.done({"queue": queue, "dead_letter": None if off else letters}, sentence)
