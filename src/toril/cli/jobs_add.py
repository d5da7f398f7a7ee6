"""`toril jobs add`, and `toril jobs free-id` for a de-duplication id that a job holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.codes import STATE, RefusedError
from toril.cli.options import PRIORITY_HELP, duration, priority, store_options
from toril.cli.output import Output, printable
from toril.core.codec import decode
from toril.engine.deduplication import Deduplication
from toril.engine.options import JobOptions


@click.command()
@click.argument("queue")
@click.argument("name")
@click.argument("data", metavar="[JSON]", default="{}")
@click.option(
    "--delay",
    type=duration,
    metavar="TIME",
    default=0.0,
    help="Run no sooner: 5m, 12h. Default: 0.",
)
@click.option("--priority", "rank", type=priority, default="0", help=PRIORITY_HELP)
@click.option("--id", "job_id", help="An id of your own; a second job with it is not added.")
@click.option("--deduplicate", "deduplication_id", metavar="ID", help="Not if a job holds this ID.")
@click.option(
    "--for", "ttl", type=duration, metavar="TIME", help="How long it holds ID: 5m, 12h. Default:"
    " until it finishes.",
)  # fmt: skip
@click.option(
    "--attempts", type=click.IntRange(min=1), help="Attempts in all. Default: as its task says."
)
@store_options
def add(
    queue: str,
    name: str,
    data: str,
    delay: float,
    rank: int,
    job_id: str | None,
    deduplication_id: str | None,
    ttl: float | None,
    attempts: int | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Add a job called NAME to QUEUE.

    JSON is its payload, such as '{"to": "jo@example.com"}'; `-` reads it from stdin, @FILE from a
    file. It is checked against the task when it runs. With --deduplicate it is added only if no
    other job holds that ID: until it finishes, or for the time given.
    """
    if ttl is not None and deduplication_id is None:
        raise click.UsageError("--for says how long --deduplicate holds its ID: give both.")
    options = JobOptions(
        job_id=job_id,
        delay_s=delay,
        priority=rank,
        max_attempts=attempts,
        deduplication=None
        if deduplication_id is None
        else Deduplication(deduplication_id, ttl_s=ttl),
    )
    payload = payload_of(data)
    job = ask(url, lambda app: app.queue(queue).add(name, payload, options), create=True)
    sentence = f"Job {job.id} added to {queue}."
    if job.duplicate:
        sentence = f"Nothing added: {queue} has a job {job.id} already."
        if deduplication_id is not None and job.id != job_id:
            sentence = f"Nothing added: job {job.id} of {queue} holds {deduplication_id!r}."
    facts = {"id": job.id, "queue": queue, "name": name, "duplicate": job.duplicate}
    Output(as_json=as_json).done(facts, sentence)


def payload_of(text: str) -> Any:
    """Return the payload that an argument says: JSON, `-` for stdin, or @FILE.

    Raises:
        UsageError: It is no JSON.
    """
    source, hint = "JSON", """ Quote it for the shell: '{"key": "value"}'."""
    try:
        if text == "-":
            source, hint, text = "stdin", "", sys.stdin.read()
        elif text.startswith("@"):
            source, hint = text[1:], ""
            text = Path(source).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"{source}: byte {error.start} is not UTF-8; a payload is JSON in UTF-8: convert it."
        ) from None
    try:
        return decode(text)
    except ValueError as error:
        raise click.UsageError(
            f"{source}: {printable(text[:60])!r} is not JSON: {error}.{hint}"
        ) from None


@click.command("free-id")
@click.argument("queue")
@click.argument("deduplication_id", metavar="ID")
@store_options
def free_id(queue: str, deduplication_id: str, url: str | None, as_json: bool) -> None:
    """Let the next job of QUEUE have a de-duplication ID that a job holds."""

    async def act(app: App) -> bool:
        return await app.queue(queue, existing=True).release_deduplication(deduplication_id)

    if not ask(url, act):
        raise RefusedError(f"no job of queue {queue!r} holds {deduplication_id!r}", STATE)
    facts = {"queue": queue, "deduplication_id": deduplication_id}
    Output(as_json=as_json).done(facts, f"{deduplication_id!r} is free in {queue}.")
