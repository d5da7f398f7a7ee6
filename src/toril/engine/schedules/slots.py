"""Which slot of a schedule is next, and which were missed. Pure: moments come in as parameters.

A slot is a moment of the schedule itself, never "so long after the last job": so every worker that
asks at any time gets the same.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import NamedTuple

import msgspec

from toril.core.checks import require
from toril.core.reading import LARGEST
from toril.engine.schedules import cron

COUNTED_AT_MOST = 1000
"""Missed slots that are counted; where there are more, it is said so."""
CAUGHT_UP_AT_MOST = 100
"""Missed slots that the policy `all` runs: the newest. With each minute of a week it would be a
flood of ten thousand."""
LATE_AFTER_MS = 60_000
"""A slot counts as missed when no worker took it for so long; or until the next one, if sooner."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When a schedule makes jobs. All of it was checked, or is looked at by `problem`."""

    every_ms: int | None = None
    """The same span again and again. Excludes `pattern`."""
    pattern: str | None = None
    """A cron expression in fields."""
    timezone: str | None = None
    """Whose local time the expression means. None: UTC."""
    offset_ms: int | None = None
    """`every_ms`: how long after a multiple of it. None: whatever the first slot says."""
    start_ms: int | None = None
    """No slot before."""
    end_ms: int | None = None
    """No slot after."""


class Missed(NamedTuple):
    """What nobody took in time."""

    many: int
    """How many slots; `COUNTED_AT_MOST` may mean more."""
    first_ms: int
    last_ms: int


def next_slot(timing: Timing, after_ms: int) -> int | None:
    """Return the first slot after a moment. None: there is none any more.

    Raises:
        InvalidOptionError: The expression or the zone cannot be read: somebody else wrote it.
    """
    if timing.start_ms is not None:
        after_ms = max(after_ms, timing.start_ms - 1)
    if timing.every_ms is not None:
        require(timing.every_ms >= 1, "every", timing.every_ms, "milliseconds, from 1")
        offset_ms = timing.offset_ms or 0
        slot_ms: int | None = (
            (after_ms - offset_ms) // timing.every_ms + 1
        ) * timing.every_ms + offset_ms
    else:
        fields = cron.expanded(timing.pattern)
        slot_ms = cron.next_ms(fields, cron.zone(timing.timezone or "UTC"), after_ms)
    if slot_ms is None or slot_ms > LARGEST:
        return None
    return None if timing.end_ms is not None and slot_ms > timing.end_ms else slot_ms


def first_slot(timing: Timing, now_ms: int, *, immediately: bool) -> int | None:
    """Return the first slot of a new schedule. None: it has none.

    One that repeats a span without an offset begins with its start, or one span from now; its
    later slots follow from that one (`settled`).
    """
    if immediately:
        return now_ms if timing.end_ms is None or now_ms <= timing.end_ms else None
    if timing.every_ms is not None and timing.offset_ms is None:
        begin_ms = now_ms + timing.every_ms
        if timing.start_ms is not None:
            begin_ms = max(timing.start_ms, now_ms)
        return begin_ms if timing.end_ms is None or begin_ms <= timing.end_ms else None
    return next_slot(timing, now_ms)


def settled(timing: Timing, first_ms: int) -> int:
    """Return the offset that makes the first slot one of the schedule's own."""
    if timing.every_ms is None:
        return 0
    return first_ms % timing.every_ms if timing.offset_ms is None else timing.offset_ms


def spread_ms(queue: str, schedule_id: str, slot_ms: int, jitter_ms: int) -> int:
    """Return by how much a slot's job is put off: the same for all who ask, from 0 below jitter."""
    if jitter_ms <= 0:
        return 0
    draw = zlib.crc32(f"{queue}\0{schedule_id}\0{slot_ms}".encode("utf-8", "surrogatepass"))
    return draw * jitter_ms >> 32


def missed(timing: Timing, slot_ms: int, due_ms: int, now_ms: int) -> Missed | None:
    """Return what was missed when the job of a slot is taken now. None: it comes in time.

    Parameters:
        timing: The schedule's.
        slot_ms: The slot whose job is taken: it is one of the missed.
        due_ms: When it should have been taken: the slot and its jitter.
        now_ms: When it is.
    """
    after_ms = next_slot(timing, slot_ms)
    if now_ms - due_ms < LATE_AFTER_MS and (after_ms is None or after_ms > now_ms):
        return None
    if timing.every_ms is not None:
        until_ms = now_ms if timing.end_ms is None else min(now_ms, timing.end_ms)
        many = max(1, (until_ms - slot_ms) // timing.every_ms + 1)
        return Missed(many, slot_ms, slot_ms + (many - 1) * timing.every_ms)
    many, last_ms = 1, slot_ms
    while after_ms is not None and after_ms <= now_ms and many < COUNTED_AT_MOST:
        many, last_ms = many + 1, after_ms
        after_ms = next_slot(timing, after_ms)
    return Missed(many, slot_ms, last_ms)


def newest(timing: Timing, after_ms: int, until_ms: int, many: int) -> list[int]:
    """Return the newest `many` slots in (after, until], oldest first."""
    first_ms = next_slot(timing, after_ms)
    if first_ms is None or first_ms > until_ms:
        return []
    span_ms = many * max(1000, (next_slot(timing, first_ms) or until_ms) - first_ms)
    while True:  # twice as far back each time, so that what lies far back is never gone through
        begin_ms = max(after_ms, until_ms - span_ms)
        found: deque[int] = deque(maxlen=many)
        slot_ms = next_slot(timing, begin_ms)
        while slot_ms is not None and slot_ms <= until_ms:
            found.append(slot_ms)
            slot_ms = next_slot(timing, slot_ms)
        if len(found) == many or begin_ms == after_ms:
            return list(found)
        span_ms *= 2
