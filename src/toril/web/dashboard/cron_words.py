"""Says in plain words when a schedule makes jobs; of what cannot be said truly, nothing is said."""

from __future__ import annotations

import re
from typing import Protocol

from toril.web.dashboard.formats import MONTHS
from toril.web.dashboard.page import N_

WEEKDAYS = (
    N_("Sunday"), N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"),
    N_("Saturday"),
)  # fmt: skip
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTH_NAMES = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
MOST_TIMES = 6
"""Times of day in a sentence."""
MOST_DAYS = 6
_STEP = re.compile(r"\*/(\d{1,2})")
_RANGE = re.compile(r"(\w+)-(\w+)")


class Speaks(Protocol):
    """Says texts in a language: a `Visit` does."""

    @property
    def language(self) -> str:
        """Its code."""
        ...

    def t(self, text: str, **values: object) -> str:
        """Return a text."""
        ...

    def n(self, one: str, many: str, number: float) -> str:
        """Return a text that depends on a number."""
        ...


def every_words(every_s: float, to: Speaks) -> str:
    """Return words for a span that is repeated: `every 5 minutes`."""
    if every_s >= 1 and every_s == int(every_s):
        whole = int(every_s)
        if whole % 86_400 == 0:
            return to.n("every day", "every %(num)s days", whole // 86_400)
        if whole % 3600 == 0:
            return to.n("every hour", "every %(num)s hours", whole // 3600)
        if whole % 60 == 0:
            return to.n("every minute", "every %(num)s minutes", whole // 60)
        return to.n("every second", "every %(num)s seconds", whole)
    return to.t("every %(seconds)s seconds", seconds=f"{every_s:g}")


def cron_words(pattern: str, to: Speaks) -> str | None:
    """Return words for a cron expression in fields; None if it is not one of the usual kinds.

    Parameters:
        pattern: Five fields, or six with seconds first.
        to: Who says it.
    """
    fields = pattern.lower().split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        return None
    second, minute, hour, day, month, weekday = fields
    days = _days(day, weekday, to)
    if days is None:
        return None
    times = _clock_times(second, minute, hour)
    if times is not None:
        joined = _listed(times, to)
        said = to.t("%(days)s at %(times)s", days=days or to.t("every day"), times=joined)
    else:
        pace = _pace(second, minute, hour, to)
        if pace is None:
            return None
        said = f"{pace}, {days}" if days else pace
    if month != "*":
        months = _numbers(month, 1, 12, _MONTH_NAMES)
        if months is None:
            return None
        names = _listed([MONTHS[to.language][number - 1] for number in months], to)
        said = to.t("%(when)s, in %(months)s", when=said, months=names)
    return said


def _clock_times(second: str, minute: str, hour: str) -> list[str] | None:
    """Return the times of day, if there are only a few."""
    seconds, minutes = _numbers(second, 0, 59), _numbers(minute, 0, 59)
    hours = _numbers(hour, 0, 23)
    if seconds is None or minutes is None or hours is None or "/" in hour:
        return None
    if not 1 <= len(seconds) * len(minutes) * len(hours) <= MOST_TIMES:
        return None
    return [
        f"{h:02}:{m:02}" + (f":{s:02}" if second != "0" else "")
        for h in hours
        for m in minutes
        for s in seconds
    ]


def _pace(second: str, minute: str, hour: str, to: Speaks) -> str | None:
    """Return words for what goes on within a day at the same pace."""
    said = None
    if minute == "*" and second != "0":
        if (step := _pace_of(second, 60)) is not None:
            said = to.n("every second", "every %(num)s seconds", step)
    elif second == "0":
        if (step := _pace_of(minute, 60)) is not None:
            said = to.n("every minute", "every %(num)s minutes", step)
        elif (at := _numbers(minute, 0, 59)) is not None and len(at) == 1:
            if (step := _pace_of(hour, 24)) is not None:
                words = to.n("every hour", "every %(num)s hours", step)
                return to.t("%(pace)s at minute %(minute)s", pace=words, minute=f"{at[0]:02}")
            return None
    if said is None or hour == "*":
        return said
    span = _RANGE.fullmatch(hour)
    hours = _numbers(hour, 0, 23)
    if hours is None or not (span or len(hours) == 1):
        return None
    return to.t(
        "%(pace)s from %(begin)s to %(end)s", pace=said, begin=f"{hours[0]:02}:00",
        end=f"{hours[-1]:02}:59",
    )  # fmt: skip


def _pace_of(field: str, whole: int) -> int | None:
    """Return how large the steps of a field are, if they are all alike; 1: each."""
    if field == "*":
        return 1
    step = _STEP.fullmatch(field)
    if step is None or int(step[1]) == 0 or whole % int(step[1]):
        return None
    return int(step[1])


def _days(day: str, weekday: str, to: Speaks) -> str | None:
    """Return words for the days; empty: every day. None: they cannot be said."""
    if day == "*" and weekday == "*":
        return ""
    if day != "*" and weekday != "*":
        return None  # either of them, or both: no short sentence says it
    if weekday != "*":
        span = _RANGE.fullmatch(weekday)
        numbers = _numbers(weekday, 0, 7, _DAY_NAMES, base=0)
        if numbers is None:
            return None
        names = [to.t(WEEKDAYS[number % 7]) for number in numbers]
        if span and len(names) > 2:
            return to.t("%(first)s to %(last)s", first=names[0], last=names[-1])
        return _listed(names, to)
    if day == "l":
        return to.t("on the last day of the month")
    numbers = _numbers(day, 1, 31)
    if numbers is None or len(numbers) > MOST_DAYS:
        return None
    listed = _listed([_ordinal(number, to.language) for number in numbers], to)
    return to.t("on the %(days)s of the month", days=listed)


def _numbers(
    field: str, least: int, most: int, names: tuple[str, ...] = (), base: int = 1
) -> list[int] | None:
    """Return the numbers of a list such as `1,15` or `mon-fri`; None: it is another kind."""
    found: list[int] = []
    for part in field.split(","):
        span = _RANGE.fullmatch(part)
        ends = [_number(one, names, base) for one in (span.groups() if span else (part,))]
        if any(end is None or not least <= end <= most for end in ends):
            return None
        begin, end = ends[0] or 0, ends[-1] or 0
        if end < begin:
            return None
        found += range(begin, end + 1)
    return found


def _number(text: str, names: tuple[str, ...], base: int) -> int | None:
    if text in names:
        return names.index(text) + base
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 2 else None


def _listed(words: list[str], to: Speaks) -> str:
    if len(words) == 1:
        return words[0]
    return to.t("%(first)s and %(last)s", first=", ".join(words[:-1]), last=words[-1])


def _ordinal(number: int, language: str) -> str:
    if language == "de":
        return f"{number}."
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 11 <= number % 100 <= 13 else ending}"
