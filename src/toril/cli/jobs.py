"""`toril jobs`: list, show, explain, add, and what an operator does to some or all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask, existing_queue, named_job, one_job
from toril.cli.codes import DONE, STATE, RefusedError
from toril.cli.each import Tried
from toril.cli.job_words import STYLES, attempt_lines, facts
from toril.cli.jobs_add import add, free_id
from toril.cli.jobs_list import list_jobs
from toril.cli.main import SuggestingGroup
from toril.cli.options import store_options
from toril.cli.output import (
    DIM,
    HEAD,
    Cell,
    Counter,
    Output,
    as_data,
    plural,
    printable_lines,
    write,
)
from toril.engine.explanation import Explanation
from toril.engine.handle import Job
from toril.engine.info import JobInfo
from toril.engine.operator import Progress
from toril.engine.queue import Queue
from toril.engine.states import FINISHED, State

LOOK_S = 0.3
"""Between two looks at a log that is followed."""


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def jobs(ctx: click.Context) -> None:
    """List, show, explain, add, retry, remove, promote and cancel jobs."""
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


jobs.add_command(list_jobs)


@jobs.command("show")
@one_job
@store_options
def show(words: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Show all that is known of the job ID, of QUEUE or of whichever queue has it."""

    async def act(app: App) -> JobInfo:
        return await (await named_job(app, words)).info()

    info = ask(url, act)
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(info))
        return
    state = Cell(info.state.upper(), STYLES.get(info.state, HEAD))
    output.say([Cell(info.name, HEAD), f"  {info.queue} {info.id}  ", state])
    for label, text in facts(info):
        output.say(f"{label:<10}{text}")
    for line in attempt_lines(info):
        output.say(line)
    last = next((each.traceback for each in reversed(info.attempts) if each.traceback), None)
    for line in printable_lines(last or ""):
        output.say(f"  {line}", DIM)


@jobs.command("explain")
@one_job
@store_options
def explain(words: tuple[str, ...], url: str | None, as_json: bool) -> int:
    """Say why the job ID is not running, and what can be done. QUEUE is where it is.

    The most important reason first, each with a word that scripts can go by.

    Ends with 4 if there is no such job.
    """

    async def act(app: App) -> Explanation:
        return await (await named_job(app, words)).explain()

    found = ask(url, act)
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(found))
    else:
        state = "NO SUCH JOB" if found.state is None else found.state.upper()
        style = HEAD if found.state is None else STYLES.get(found.state, HEAD)
        output.say([Cell(f"{found.queue} {found.job_id}  ", HEAD), Cell(state, style)])
        for reason in found.reasons:
            output.say(f"{reason.kind:<15} {reason.sentence}")
    return STATE if found.state is None else DONE


@jobs.command("logs")
@one_job
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has finished.")
@store_options
def logs(words: tuple[str, ...], follow: bool, url: str | None, as_json: bool) -> None:
    """Print what the job ID has logged, of QUEUE or of whichever queue has it."""
    output = Output(as_json=as_json)

    def tell(lines: Sequence[str]) -> None:
        for line in lines:
            if as_json:
                output.line({"line": line})
            else:
                output.say(line)

    async def act(app: App) -> None:
        job = await named_job(app, words)
        seen: list[str] = []
        while True:
            # Asked first: what it logged before it finished is there then.
            finished = (await job.info()).state in FINISHED
            lines = await job.logs(limit=1_000_000)
            tell(unseen(seen, lines))
            seen = lines
            if finished or not follow:
                return
            await asyncio.sleep(LOOK_S)

    ask(url, act)


def unseen(before: Sequence[str], now: Sequence[str]) -> Sequence[str]:
    """Return the lines that were added to a log which may have lost its oldest meanwhile.

    Parameters:
        before: The log as it was.
        now: The log as it is: some end of `before`, and what was added.
    """
    for start in range(len(before) + 1):
        kept = before[start:]
        if list(now[: len(kept)]) == list(kept):
            return now[len(kept) :]
    return now


jobs.add_command(add)
jobs.add_command(free_id)


@jobs.command("retry")
@click.argument("queue")
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All jobs of --state, oldest first.")
@click.option(
    "--state",
    type=click.Choice([str(state) for state in FINISHED]),
    default=str(State.FAILED),
    show_default=True,
    help="With --all: of which state.",
)
@click.option("--limit", type=click.IntRange(min=1), help="With --all: at most so many.")
@store_options
def retry(
    queue: str,
    job_ids: tuple[str, ...],
    everything: bool,
    state: str,
    limit: int | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Put finished jobs back in line.

    All their attempts are before them again.
    """
    _each_or_all(
        queue,
        job_ids,
        url,
        as_json=as_json,
        everything=everything,
        each=lambda job: job.retry(),
        every=lambda found, told: found.retry_all(state, limit=limit, progress=told),
        verb="retried",
    )


@jobs.command("promote")
@click.argument("queue")
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All delayed jobs, soonest first.")
@click.option("--limit", type=click.IntRange(min=1), help="With --all: at most so many.")
@store_options
def promote(
    queue: str,
    job_ids: tuple[str, ...],
    everything: bool,
    limit: int | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make delayed jobs of QUEUE ready now."""
    _each_or_all(
        queue,
        job_ids,
        url,
        as_json=as_json,
        everything=everything,
        each=lambda job: job.promote(),
        every=lambda found, told: found.promote_all(limit=limit, progress=told),
        verb="promoted",
    )


@jobs.command("remove")
@click.argument("queue")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@store_options
def remove(queue: str, job_ids: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Remove jobs of QUEUE. One that runs has to be cancelled first."""

    async def each(job: Job[Any]) -> None:
        if not await job.remove():
            raise RefusedError(f"queue {queue!r} has no job {job.id!r}", STATE)

    _each_or_all(queue, job_ids, url, as_json=as_json, each=each, verb="removed")


@jobs.command("cancel")
@click.argument("queue")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--reason", default="cancelled", show_default=True, help="Kept with the job.")
@store_options
def cancel(
    queue: str, job_ids: tuple[str, ...], reason: str, url: str | None, as_json: bool
) -> None:
    """Stop jobs for good.

    At once if they wait; of those that run, the worker is told.
    """
    _each_or_all(
        queue, job_ids, url, as_json=as_json, each=lambda job: job.cancel(reason), verb="cancelled"
    )


def _each_or_all(
    name: str,
    job_ids: Sequence[str],
    url: str | None,
    *,
    as_json: bool,
    each: Callable[[Job[Any]], Awaitable[None]],
    verb: str,
    everything: bool = False,
    every: Callable[[Queue, Progress], Awaitable[int]] | None = None,
) -> None:
    """Do something to each job named, or to all, and say to how many.

    Raises:
        SeveralRefusedError: To some of them it could not be done; to the others it is, and said.
    """
    if every is not None and bool(job_ids) == everything:
        raise click.UsageError("Give the queue and the ids of its jobs, or the queue and --all.")
    output = Output(as_json=as_json)
    counter = Counter(verb)
    tried = Tried()

    async def act(app: App) -> int:
        queue, _ = await existing_queue(app, name)
        if everything and every is not None:
            try:
                return await every(queue, counter)
            finally:
                counter.end()
        await tried.each(job_ids, lambda job_id: each(queue.job(job_id)))
        return len(tried.done)

    count = ask(url, act)
    facts: dict[str, Any] = {"queue": name, verb: count}
    if not everything:
        facts |= {"ids": tried.done, **tried.facts}
    if everything or tried.done or as_json:
        output.done(facts, f"{plural(count, 'job')} of {name} {verb}.")
    tried.end()
