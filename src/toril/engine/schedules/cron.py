"""Cron expressions: five fields, six with seconds first, `@daily` and its kin.

`cronsim` reads the fields and finds the next local time; what a change of the clocks does with that
time is decided here, since `cronsim` counts by hours of 60 minutes and not every zone changes by
one. Pure: no clock, no store.

Source: crontab(5) of Debian, for the fields and for what happens at a change of the clocks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from toril.core.clock import epoch_ms
from toril.core.errors import InvalidOptionError

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Words for expressions."""
LONGEST = 500
"""Characters of an expression."""

_FIELDS = {
    "second": "seconds are 0 to 59",
    "minute": "minutes are 0 to 59",
    "hour": "hours are 0 to 23",
    "day-of-month": "days of the month are 1 to 31, L (the last) or LW (the last from Monday to"
    " Friday), and the months given must have such a day",
    "month": "months are 1 to 12, or JAN to DEC",
    "day-of-week": "days of the week are 0 to 7 (Sunday is both), or SUN to SAT; 5#3 is the third"
    " Friday, 5L the last",
}
_KINDS = (
    "expected 5 fields (minute, hour, day of month, month, day of week), 6 with seconds first, or"
    f" one of {', '.join(ALIASES)}"
)
_SECOND = timedelta(seconds=1)
_STEP = timedelta(hours=12)
_FAR_YEAR = 9000
"""Beyond it there is nothing to come: local times must not pass the last that `datetime` holds."""


def expanded(expression: object, *, name: str = "cron") -> str:
    """Return an expression in fields, in the form in which it is stored: BullMQ reads it too.

    Raises:
        InvalidOptionError: It is none: the message names the field and what would do.
    """
    if not isinstance(expression, str) or len(expression) > LONGEST:
        shown = repr(expression)[:LONGEST]
        raise InvalidOptionError(f"{name}={shown}: {_KINDS}, in at most {LONGEST} characters")
    text = " ".join(expression.split())
    if text.startswith("@"):
        fields = ALIASES.get(text.lower())
        if fields is None:
            raise InvalidOptionError(f"{name}={expression!r}: {_KINDS}")
        return fields
    fields = " ".join("*" if field == "?" else field for field in text.split(" "))
    from cronsim import CronSim, CronSimError  # here: most programs have no cron expression

    try:
        CronSim(fields, datetime(2000, 1, 1))  # noqa: DTZ001 - a local time
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise InvalidOptionError(f"{name}={expression!r}: {_FIELDS.get(field, _KINDS)}") from None
    except (AssertionError, ValueError, TypeError, OverflowError):
        # What its parser does not foresee, such as L/2, or a number of 5,000 digits.
        raise InvalidOptionError(f"{name}={expression!r}: {_KINDS}") from None
    return fields


def zone(name: object, *, option: str = "timezone") -> ZoneInfo:
    """Return the time zone of that name.

    Raises:
        InvalidOptionError: There is none.
    """
    found = _zone(name) if isinstance(name, str) else None
    if found is None:
        raise InvalidOptionError(
            f"{option}={name!r}: expected the name of a time zone, such as 'Europe/Berlin' or 'UTC'"
        )
    return found


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such name, a folder, or no name at all
        return None


def next_ms(fields: str, timezone: ZoneInfo, after_ms: int) -> int | None:
    """Return the first slot of an expression after a moment, epoch ms. None: there is none.

    A time of day that a change of the clocks skips comes right after it, and one that it repeats
    comes once, the first time. An expression whose seconds, minutes or hours begin with `*` keeps
    its pace: it has no slot in what was skipped, and one for each passing of what is repeated.

    Parameters:
        fields: As `expanded` returns them.
        timezone: Whose local time the fields mean.
        after_ms: The slot is later than this.
    """
    after = datetime.fromtimestamp(after_ms // 1000, UTC)
    if after.year >= _FAR_YEAR:
        return None
    try:
        found = _next(fields, timezone, after)
    except (StopIteration, OverflowError):
        return None
    return epoch_ms(found)


def _next(fields: str, timezone: ZoneInfo, after: datetime) -> datetime:
    if timezone.key == "UTC":
        return _local(fields, after.replace(tzinfo=None)).replace(tzinfo=UTC)
    clock_fields = fields.split(" ")[:-3]
    if any(field.startswith("*") for field in clock_fields):
        return _at_its_pace(fields, timezone, after)
    return _time_of_day(fields, timezone, after)


def _local(fields: str, after: datetime) -> datetime:
    """Return the next local time that the fields mean, as if clocks never changed."""
    from cronsim import CronSim

    return next(CronSim(fields, after))


def _time_of_day(fields: str, timezone: ZoneInfo, after: datetime) -> datetime:
    local = after.astimezone(timezone).replace(tzinfo=None, fold=0)
    while True:
        local = _local(fields, local)
        aware = local.replace(tzinfo=timezone)  # fold 0: the first of two
        at = aware.astimezone(UTC)
        if at.astimezone(timezone).replace(tzinfo=None) != local:
            # Skipped. Read with the offset of before it lies after the change, and with the one of
            # after it before.
            begin = aware.replace(fold=1).astimezone(UTC)
            at = _change(timezone, begin, at) or at
        if at > after:
            return at


def _at_its_pace(fields: str, timezone: ZoneInfo, after: datetime) -> datetime:
    """Go from change to change: in between, local time and UTC run alike."""
    begin = after
    local = after.astimezone(timezone).replace(tzinfo=None, fold=0)
    while True:
        offset = begin.astimezone(timezone).utcoffset() or timedelta()
        at = (_local(fields, local) - offset).replace(tzinfo=UTC)
        change = _change(timezone, begin, at)
        if change is None:
            return at
        begin = change
        # Less a second: the moment of the change itself may be a slot.
        local = change.astimezone(timezone).replace(tzinfo=None, fold=0) - _SECOND


def _change(timezone: ZoneInfo, begin: datetime, end: datetime) -> datetime | None:
    """Return the first moment in (begin, end] with another offset than the one before it."""
    offset = begin.astimezone(timezone).utcoffset()
    before = begin
    while before < end:
        after = min(before + _STEP, end)
        if after.astimezone(timezone).utcoffset() != offset:
            break
        before = after
    else:
        return None
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if middle.astimezone(timezone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
