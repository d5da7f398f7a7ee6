"""Of which days a report is. No clock, no store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from toril.services.unusable import UnusableInputError, named


@dataclass(frozen=True, slots=True)
class Period:
    """Some days of a zone."""

    first: date
    days: int
    zone: ZoneInfo

    @property
    def last(self) -> date:
        """Its last day."""
        return self.first + timedelta(days=self.days - 1)

    @property
    def start(self) -> datetime:
        """Its first moment, in UTC."""
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The first moment after it, in UTC."""
        return _midnight(self.first + timedelta(days=self.days), self.zone)

    def earlier(self, days: int) -> Period:
        """Return as many days, so many days before."""
        return Period(self.first - timedelta(days=days), self.days, self.zone)


def daily_period(day: str | None, due: datetime, timezone: str) -> Period:
    """Return the day of a report; by default the one before it was due.

    Raises:
        UnusableInputError: The day or the zone is none.
    """
    zone = _zone(timezone)
    before = due.astimezone(zone).date() - timedelta(days=1)
    return Period(before if day is None else _day("date", day, zone), 1, zone)


def weekly_period(start: str | None, due: datetime, timezone: str) -> Period:
    """Return the week of a report, from Monday; by default the last that was over.

    Raises:
        UnusableInputError: The day or the zone is none, or the day is no Monday.
    """
    zone = _zone(timezone)
    today = due.astimezone(zone).date()
    if start is None:
        return Period(today - timedelta(days=today.weekday() + 7), 7, zone)
    first = _day("weekStart", start, zone)
    if first.weekday() != 0:
        monday = first - timedelta(days=first.weekday())
        reason = f"weeks begin on Monday: expected {monday} or another Monday"
        raise UnusableInputError(named("weekStart", start), reason)
    return Period(first, 7, zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        reason = "expected an IANA name such as Europe/Berlin"
        raise UnusableInputError(named("timezone", name), reason) from None


def _day(field: str, text: str, zone: ZoneInfo) -> date:
    try:
        if len(text) == len("2026-11-29"):
            return date.fromisoformat(text)
        found = datetime.fromisoformat(text)
    except ValueError:
        reason = "expected a day such as 2026-11-29"
        raise UnusableInputError(named(field, text), reason) from None
    return (found if found.tzinfo is None else found.astimezone(zone)).date()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
