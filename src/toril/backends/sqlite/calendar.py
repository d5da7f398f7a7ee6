"""What the file knows of the calendar, so that a wrong one removes nothing.

Finished jobs are kept for a time that is longer than a host mostly stays up, so it has to go by the
calendar; and a calendar that was put forward, or a worker that has its own, would make all of them
too old at once. The file therefore notes what its users' calendars said, as a distance from the
steady clock, which nobody sets. A calendar that is suddenly further ahead is not believed for a
day, in which whoever has the other one shows it. A calendar that is behind is believed at once:
what is kept a while longer can still be removed.
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
"""How far calendars of one host are apart without anything being wrong: one is read, then another,
and corrections come in steps."""
DOUBT_MS = 86_400_000
"""For how long a calendar that is ahead of all others is not believed: a day."""
AGAIN_MS = 600_000
"""Between two notes that the calendar is as it was."""


class Seen(NamedTuple):
    """The calendar that the file has seen."""

    boot: int
    offset_ms: int
    """The calendar minus the steady clock."""
    seen_ms: int
    """When it was last seen, steady clock."""


def believe(known: Seen | None, boot: int, now_ms: int, steady_ms: int) -> tuple[int, Seen | None]:
    """Return what may be taken for now by those who remove, and what to note, if anything.

    It is never later than `now_ms`. After a start of the host there is nothing to compare with: the
    calendar is believed as it is.
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
    """Return what may be taken for now by a transition that removes what has become old."""
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


def note_calendar(connection: apsw.Connection, clock: Clock) -> None:
    """Note the calendar of whoever opens the file, before any other could mislead.

    The file is not written where it knows this calendar already.
    """
    with suppress(apsw.Error):  # it cannot be written now, as those who want to will be told
        rows: list[Any] = connection.execute(statement("calendar_get")).fetchall()
        known = Seen(*rows[0]) if rows else None
        _, news = believe(known, boot_of(clock), clock.now_ms(), clock.steady_ms())
        if news is not None:
            connection.execute(statement("calendar_set"), news)
