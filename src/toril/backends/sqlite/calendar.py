"""Keeps a wrong calendar from removing finished jobs.

Finished jobs are removed for their age by the calendar, since they are kept for longer than most
hosts stay up. A calendar that was set forward, or a worker with a clock of its own, would make all
of them too old at once. So the file stores how far the calendar is ahead of the steady clock, which
nobody can set. A calendar that is suddenly further ahead is believed only after nobody has shown
the old one for a day. A calendar that is behind is believed at once: jobs that are kept for too
long can still be removed later.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import apsw

from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.statements import statement
from toril.backends.sqlite.transaction import Transaction
from toril.core.clock import Clock

SLACK_MS = 5_000
"""Normal distance between two calendars of one host: they are not read at the same moment, and
corrections come in steps."""
DOUBT_MS = 86_400_000
"""How long the old calendar must be unseen before one that is ahead is believed: a day."""
AGAIN_MS = 600_000
"""Between two notes of an unchanged calendar."""


class Seen(NamedTuple):
    """The calendar that the file has noted last."""

    boot: int
    offset_ms: int
    """The calendar minus the steady clock."""
    seen_ms: int
    """When it was last seen, steady clock."""


def believe(known: Seen | None, boot: int, now_ms: int, steady_ms: int) -> tuple[int, Seen | None]:
    """Return the moment to take as now when removing old jobs, and a note to store, if any.

    The moment is never later than `now_ms`. After a boot there is no note to compare with, so the
    calendar is believed.
    """
    mine = Seen(boot, now_ms - steady_ms, steady_ms)
    if known is None or known.boot != boot or known.seen_ms > steady_ms:
        return now_ms, mine
    ahead_ms = mine.offset_ms - known.offset_ms
    silent_ms = steady_ms - known.seen_ms
    if ahead_ms > SLACK_MS and silent_ms < DOUBT_MS:
        return steady_ms + known.offset_ms, None
    is_news = abs(ahead_ms) > SLACK_MS or silent_ms >= AGAIN_MS
    return now_ms, mine if is_news else None


def believed_ms(transaction: Transaction) -> int:
    """Return the moment that a transition takes as now when it removes old jobs."""
    rows = transaction.run("calendar_get")
    now_ms, news = believe(
        Seen(*rows[0]) if rows else None,
        transaction.boot,
        transaction.now_ms,
        transaction.steady_ms,
    )
    if news is not None:
        transaction.run("calendar_set", *news)
    return now_ms


def dated_ms(transaction: Transaction) -> int:
    """Return the moment under which a transition writes history.

    It is the believed one, so that a wrong calendar writes no history into the future. The file is
    asked only if the calendar has jumped, and every ten minutes.
    """
    steady_ms, kept = transaction.steady_ms, transaction.kept
    offset_ms = transaction.now_ms - steady_ms
    is_known = (
        "believed offset" in kept
        and 0 <= steady_ms - kept["calendar read"] < AGAIN_MS
        and -SLACK_MS <= offset_ms - kept["calendar offset"] <= SLACK_MS
    )
    if not is_known:
        kept["calendar offset"], kept["calendar read"] = offset_ms, steady_ms
        kept["believed offset"] = believed_ms(transaction) - steady_ms
    return steady_ms + kept["believed offset"]


def note_calendar(connection: apsw.Connection, clock: Clock) -> None:
    """Note this process's calendar when it opens the file.

    Writes nothing if the file knows this calendar already.
    """
    with suppress(apsw.Error):  # it cannot be written now, as those who want to will be told
        rows: list[Any] = connection.execute(statement("calendar_get")).fetchall()
        known = Seen(*rows[0]) if rows else None
        _, news = believe(known, boot_of(clock), clock.now_ms(), clock.steady_ms())
        if news is not None:
            connection.execute(statement("calendar_set"), news)
