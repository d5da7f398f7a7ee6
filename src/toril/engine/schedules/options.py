"""What a caller may say about a schedule. All checked when built."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from toril.core.checks import is_whole, require
from toril.core.clock import epoch_ms
from toril.core.durations import seconds
from toril.core.ids import MAX_ID_CHARS
from toril.engine.options import MAX_COUNT
from toril.engine.schedules import cron as crons
from toril.engine.schedules.slots import Timing
from toril.engine.schedules.turn import POLICIES, MissedPolicy

SHORTEST_S = 0.01
"""The shortest span that is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleOptions:
    """When a schedule makes jobs."""

    cron: str | None = None
    """Five fields (minute, hour, day of month, month, day of week), six with seconds first, or
    `@daily` and its kin. Excludes `every`."""
    every: float | timedelta | None = None
    """The same span again and again, in seconds or as a timedelta, from 0.01 s."""
    timezone: str | None = None
    """Whose local time `cron` means, such as `Europe/Berlin`. None: the settings', else UTC."""
    start: datetime | None = None
    """No job before this moment (aware)."""
    end: datetime | None = None
    """No job after this moment (aware)."""
    limit: int | None = None
    """How many jobs in all. None: no limit."""
    offset: float | timedelta | None = None
    """With `every`: so long after each full span, counted from 1970. `every=3600, offset=300`: at
    five past each hour. None: counted from the first job."""
    immediately: bool = False
    """Make the first job now, whatever the schedule says."""
    jitter: float | timedelta = 0.0
    """Put each job off by up to so long, each schedule by another span, in seconds or as a
    timedelta, so that many schedules of one moment do not run at once."""
    missed: MissedPolicy = "one"
    """What becomes of slots that no worker took in time: `skip`, none of them runs; `one`, one run
    stands for all of them; `all`, each runs, the newest 100 of them."""

    def __post_init__(self) -> None:
        require(
            (self.cron is None) != (self.every is None),
            "cron",
            self.cron,
            f"one of cron= and every=, with every={self.every!r}",
        )
        if self.cron is not None:
            crons.expanded(self.cron)
            require(self.offset is None, "offset", self.offset, "none with cron")
        if self.every is not None:
            every_s = seconds(self.every, "every")
            require(every_s >= SHORTEST_S, "every", self.every, f"a span from {SHORTEST_S} s")
            require(self.timezone is None, "timezone", self.timezone, "none with every")
        if self.timezone is not None:
            crons.zone(self.timezone)
        for name, at in (("start", self.start), ("end", self.end)):
            aware = at is None or (isinstance(at, datetime) and at.utcoffset() is not None)
            require(aware, name, at, "an aware datetime (with a time zone)")
        if self.start is not None and self.end is not None:
            require(self.start < self.end, "end", self.end, f"a moment after start={self.start!r}")
        good = self.limit is None or (is_whole(self.limit) and 1 <= self.limit <= MAX_COUNT)
        require(good, "limit", self.limit, "an integer from 1, or None")
        if self.offset is not None and self.every is not None:
            offset_s = seconds(self.offset, "offset")
            good = offset_s < seconds(self.every, "every")
            require(good, "offset", self.offset, f"less than every={self.every!r}")
        require(
            not (self.immediately and self.start is not None),
            "immediately",
            self.immediately,
            "False beside start",
        )
        seconds(self.jitter, "jitter")
        require(self.missed in POLICIES, "missed", self.missed, "'skip', 'one' or 'all'")

    def timing(self, timezone: str) -> Timing:
        """Return it as stores hold it.

        Parameters:
            timezone: Whose local time an expression means that does not say.
        """
        return Timing(
            every_ms=None if self.every is None else _ms(seconds(self.every, "every")),
            pattern=None if self.cron is None else crons.expanded(self.cron),
            # Always written out: Node would take the zone of its own machine.
            timezone=None if self.cron is None else self.timezone or timezone,
            offset_ms=None if self.offset is None else _ms(seconds(self.offset, "offset")),
            start_ms=None if self.start is None else epoch_ms(self.start),
            end_ms=None if self.end is None else epoch_ms(self.end),
        )

    @property
    def jitter_ms(self) -> int:
        """How long a job is put off at most, in milliseconds."""
        return _ms(seconds(self.jitter, "jitter"))


def check_schedule_id(schedule_id: str) -> str:
    """Return `schedule_id` if a schedule may have it.

    Raises:
        InvalidOptionError: If it is empty, too long, or holds `:` or a control character.
    """
    good = isinstance(schedule_id, str) and 0 < len(schedule_id) <= MAX_ID_CHARS
    good = good and ":" not in schedule_id and schedule_id.isprintable()
    require(good, "id", schedule_id, f"1 to {MAX_ID_CHARS} printable characters without ':'")
    return schedule_id


def _ms(duration_s: float) -> int:
    return round(duration_s * 1000)
