"""Clocks: the host's, and the interface that tests fulfil with one they can move."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings: the calendar's and a stopwatch's, both in integer milliseconds."""

    def now_ms(self) -> int:
        """Return the calendar time, milliseconds since 1970 UTC. May jump either way."""
        ...

    def steady_ms(self) -> int:
        """Return a stopwatch's reading in milliseconds. Shared by all processes of the host.

        Leases and heartbeats are measured with it, so that a calendar that is put back or
        forward neither keeps a dead worker's jobs nor takes a live one's.
        """
        ...


class SystemClock:
    """The host's clocks."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Return the calendar time."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        """Return the time since some moment before the host started, without jumps."""
        return time.monotonic_ns() // 1_000_000


FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""The first and the last moment that `datetime` can hold, to the millisecond."""


def moment(epoch_ms: int) -> datetime:
    """Return an epoch in milliseconds as an aware datetime in UTC.

    A store may hold any number: what lies beyond `FIRST` or `LAST` is shown as that.
    """
    if not _FIRST_MS <= epoch_ms <= _LAST_MS:
        return FIRST if epoch_ms < _FIRST_MS else LAST
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def moment_or_none(epoch_ms: int | None) -> datetime | None:
    """The same for an epoch that may not be known."""
    return None if epoch_ms is None else moment(epoch_ms)


def epoch_ms(at: datetime) -> int:
    """Return an aware datetime as milliseconds since 1970 UTC."""
    return round(at.timestamp() * 1000)


_FIRST_MS, _LAST_MS = epoch_ms(FIRST), epoch_ms(LAST)
