"""Numbers, durations, sizes and moments as a reader's language writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

MARKS: Mapping[str, tuple[str, str]] = {"en": (",", "."), "de": (".", ",")}
"""For each language: between thousands, and before decimals."""
MONTHS: Mapping[str, tuple[str, ...]] = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "de": ("Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.", "Nov.",
           "Dez."),
}  # fmt: skip
MOST_DIGITS = 40
"""A longer whole number is shown by its first digits and how many there are."""


def number(value: float | None, language: str, decimals: int | None = None) -> str:
    """Return a number with marks between its thousands. None: a dash."""
    if value is None:
        return "–"
    if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        digits = str(abs(value))
        return f"{'-' if value < 0 else ''}{digits[:12]}… ({len(digits)})"
    if decimals is None:
        decimals = 0 if isinstance(value, int) or abs(value) >= 100 else 1
    thousands, point = MARKS[language]
    text = f"{value:,.{decimals}f}"
    return text.translate({ord(","): thousands, ord("."): point})


def compact(value: float | None, language: str) -> str:
    """Return a number in at most five characters: `1,284`, `12.9k`, `3.4M`."""
    if value is None:
        return "–"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(value) >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return number(scaled, language, 0 if scaled >= 100 else 1) + unit
    return number(value, language, None if isinstance(value, int) else 0 if value >= 10 else 1)


def span(duration_s: float | None, language: str) -> str:
    """Return a duration in a few characters: `44 ms`, `1.4 s`, `19m 3s`, `2h 4m`, `3d 2h`."""
    if duration_s is None:
        return "–"
    if duration_s < 0:
        return f"-{span(-duration_s, language)}"
    if duration_s < 0.9995:
        return f"{number(duration_s * 1000, language, 0)} ms"
    if duration_s < 59.95:
        return f"{number(duration_s, language, 1 if duration_s < 9.95 else 0)} s"
    whole = round(duration_s)
    if whole < 3600:
        return _two(whole // 60, "m", whole % 60, "s")
    if whole < 86_400:
        return _two(whole // 3600, "h", whole % 3600 // 60, "m")
    return _two(whole // 86_400, "d", whole % 86_400 // 3600, "h")


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}" + (f" {small}{small_unit}" if small else "")


def size(amount: float | None, language: str) -> str:
    """Return a number of bytes: `812 B`, `1.2 kB`, `228 MB`."""
    if amount is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{number(amount, language, 0 if unit == 'B' or amount >= 100 else 1)} {unit}"
        amount /= 1000
    raise AssertionError("the last unit takes all")


def share(part: float, whole: float, language: str) -> str:
    """Return a part as a percentage of a whole."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    return f"{number(percent, language, 0 if percent >= 10 or not percent else 1)} %"


def moment(at: datetime | None, zone: tzinfo, language: str, now: datetime) -> str:
    """Return a moment: its time if it was today, else its date and time."""
    if at is None:
        return "–"
    local, today = at.astimezone(zone), now.astimezone(zone)
    clock = f"{local:%H:%M:%S}"
    if local.date() == today.date():
        return clock
    if local.year == today.year:
        return f"{day(local, language)} {local:%H:%M}"
    return f"{day(local, language)} {local.year}"


def day(at: datetime, language: str) -> str:
    """Return a day without its year: `28 Nov`, `28. Nov.`."""
    mark = "." if language == "de" else ""
    return f"{at.day}{mark} {MONTHS[language][at.month - 1]}"


def full_moment(at: datetime, zone: tzinfo) -> str:
    """Return a moment to the millisecond, with its zone."""
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {local:%Z}"
