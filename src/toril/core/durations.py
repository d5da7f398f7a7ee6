"""Durations: seconds everywhere, `timedelta` accepted for comfort, words for people."""

from __future__ import annotations

import re
from datetime import timedelta

from toril.core.checks import require

LONGEST_S = 100 * 365.25 * 86_400.0
"""100 years: a longer one is a mistake, and the moment that it leads to has no date."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*")


def seconds(value: float | timedelta, name: str) -> float:
    """Return a duration in seconds.

    Parameters:
        value: Seconds, or a timedelta.
        name: The option's name, for the error.

    Raises:
        InvalidOptionError: If it is negative, over 100 years or not a number.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    require_seconds(number, name, shown=value)
    return float(number)


def require_seconds(number: object, name: str, *, shown: object = None) -> None:
    """Refuse what is not a number of seconds from 0 to 100 years.

    Parameters:
        number: What was given.
        name: The option's name, for the error.
        shown: What the error shows in place of `number`.

    Raises:
        InvalidOptionError: It is none.
    """
    good = isinstance(number, int | float) and not isinstance(number, bool)
    good = good and 0 <= number <= LONGEST_S  # type: ignore[operator]  # NaN is not
    shown = number if shown is None else shown
    require(good, name, shown, "seconds, from 0 to 100 years")


def parse(text: str, name: str) -> float:
    """Return the seconds that a text such as `90`, `250ms`, `5m`, `12h` or `7d` means.

    Raises:
        InvalidOptionError: If it means nothing.
    """
    number = meaning(text)
    require(number is not None, name, text, "a duration such as 90, 250ms, 5m, 12h or 7d")
    require_seconds(number, name, shown=text)
    return float(number or 0)


def meaning(text: str) -> float | None:
    """Return the seconds that a text means, however many. None: it means no duration."""
    match = _TEXT.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS_S[match[2] or "s"]


def in_words(duration_s: float) -> str:
    """Return a duration for people: `340 ms`, `4.2 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`."""
    if duration_s < 1:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 60:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
