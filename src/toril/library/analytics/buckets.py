"""Cuts a stretch of time into hours, days, weeks or months of a zone. No database, no clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from toril.library.analytics.payloads import BucketType, DateRange
from toril.services.unusable import UnusableInputError, named

MAX_BUCKETS = 10_000
"""A year of hours is 8,784."""
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
Bucket = tuple[datetime, datetime]
"""Its first moment, and the first after it, in UTC."""


def zone_of(name: str) -> ZoneInfo:
    """Return a zone by its IANA name.

    Raises:
        UnusableInputError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reason = "expected an IANA name such as Europe/Berlin"
        raise UnusableInputError(named("timezone", name), reason) from None


def read_range(
    asked: DateRange, zone: ZoneInfo, names: tuple[str, str] = ("dateRange.start", "dateRange.end")
) -> Bucket:
    """Return a payload's stretch of time.

    Parameters:
        asked: The stretch.
        zone: Of what names none.
        names: The fields, for the error.

    Raises:
        UnusableInputError: It cannot be read, or ends before it begins.
    """
    start, _ = _moments(names[0], asked.start, zone)
    _, end = _moments(names[1], asked.end, zone)
    if end <= start:
        reason = f"expected an end after the start {asked.start}"
        raise UnusableInputError(named(names[1], asked.end), reason)
    return start, end


def last_whole(type_: BucketType, now: datetime, zone: ZoneInfo) -> Bucket:
    """Return the last bucket that is over at a moment."""
    end = _floor(type_, now, zone)
    return _floor(type_, end - timedelta(microseconds=1), zone), end


def buckets(type_: BucketType, start: datetime, end: datetime, zone: ZoneInfo) -> list[Bucket]:
    """Return the buckets of a stretch of time; the first and the last are cut to it.

    Raises:
        UnusableInputError: There are more than 10,000.
    """
    found: list[Bucket] = []
    at = start
    while at < end:
        after = min(_next(type_, at, zone), end)
        found.append((at, after))
        at = after
        if len(found) > MAX_BUCKETS:
            reason = f"more than {MAX_BUCKETS:,} {type_} buckets: ask for less at a time"
            raise UnusableInputError("dateRange", reason)
    return found


def _moments(field: str, text: str, zone: ZoneInfo) -> Bucket:
    """Return what a text stands for: a day, a second that ends a day, or a moment."""
    try:
        if len(text) == len("2026-11-29"):
            day = date.fromisoformat(text)
            return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=zone)
        found = found.astimezone(UTC)
    except (ValueError, OverflowError):
        reason = "expected a date such as 2026-11-29, or a moment such as 2026-11-29T12:00:00Z"
        raise UnusableInputError(named(field, text), reason) from None
    local = found.astimezone(zone)
    last = (local.hour, local.minute, local.second) == (23, 59, 59)
    return found, found.replace(microsecond=0) + _SECOND if last else found


def _floor(type_: BucketType, at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    if type_ == "hourly":
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return at.astimezone(UTC) - past
    day = local.date()
    if type_ == "weekly":
        day -= timedelta(days=day.weekday())
    elif type_ == "monthly":
        day = day.replace(day=1)
    return _midnight(day, zone)


def _next(type_: BucketType, at: datetime, zone: ZoneInfo) -> datetime:
    begun = _floor(type_, at, zone)
    if type_ == "hourly":
        return begun + _HOUR
    day = begun.astimezone(zone).date()
    if type_ == "daily":
        day += timedelta(days=1)
    elif type_ == "weekly":
        day += timedelta(days=7)
    else:
        day = (day + timedelta(days=31)).replace(day=1)
    return _midnight(day, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return a day's first moment. Where midnight is skipped, it is the first moment after it."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
