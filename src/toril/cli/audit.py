"""`toril audit`: prints who did what to jobs, queues and the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.options import duration, store_options
from toril.cli.output import BAD, DIM, Cell, Column, Output, as_data, moment_text
from toril.core.codec import encode_text
from toril.engine.audit import AuditEntry, AuditPage

COLUMNS = (
    Column("AT"),
    Column("WHO", cut=True),
    Column("WHAT"),
    Column("QUEUE", cut=True),
    Column("JOB", cut=True),
    Column("JOBS", right=True),
    Column("DETAIL", cut=True),
)


@click.command()
@click.option("--actor", metavar="WHO", help="Only what this one did, such as user:jo.")
@click.option("--verb", metavar="WHAT", help="Only this, such as retry_all or keys.add.")
@click.option("--queue", metavar="NAME", help="Only what was done to this queue and its jobs.")
@click.option("--job", "job_id", metavar="ID", help="Only what was done to a job of this id.")
@click.option("--since", type=duration, metavar="TIME", help="Only the last 90, 5m, 12h, 7d.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--after", metavar="CURSOR", help="The page after; a page ends with its cursor.")
@store_options
def audit(
    actor: str | None,
    verb: str | None,
    queue: str | None,
    job_id: str | None,
    since: float | None,
    limit: int,
    after: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Print who did what, newest first.

    What people do is recorded: by this command line, by a server, or by code that names them. With
    TORIL_AUDIT=all it is also what programs do.
    """
    begin = None if since is None else datetime.now(UTC) - timedelta(seconds=since)

    async def act(app: App) -> AuditPage:
        return await app.audit.page(
            limit=limit, after=after, actor=actor, verb=verb, queue=queue, job_id=job_id,
            since=begin,
        )  # fmt: skip

    page = ask(url, act)
    output = Output(as_json=as_json)
    if as_json:
        output.document({"entries": as_data(page.entries), "next": page.next})
        return
    if page.entries:
        output.table(COLUMNS, [_row(entry) for entry in page.entries])
    else:
        output.say("Nothing of this is in the audit log.")
    if page.next is not None:
        output.say(f"More: add --after {page.next}", DIM)


def _row(entry: AuditEntry) -> list[str]:
    return [
        moment_text(entry.at),
        entry.actor,
        entry.verb,
        entry.queue or "",
        entry.job_id or "",
        "" if entry.count is None else f"{entry.count:,}",
        Cell(_detail(entry), BAD if entry.error else ""),
    ]


def _detail(entry: AuditEntry) -> str:
    """Return what was given, what has changed by it, and why."""
    given = [f"{name}={_text(value)}" for name, value in entry.arguments.items()]
    before, after = entry.before or {}, entry.after or {}
    changed = [
        f"{name}: {_text(before.get(name))} -> {_text(after.get(name))}"
        for name in dict.fromkeys((*before, *after))
        if before and after and before.get(name) != after.get(name)
    ]
    words = [*given, *changed]
    if entry.error is not None:
        words.append(f"cut short by {entry.error}")
    if entry.reason is not None:
        words.append(f"reason: {entry.reason}")
    return "; ".join(words)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encode_text(value)
