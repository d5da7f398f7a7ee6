"""Figures and texts as sentences for people have them: counts, moments, durations."""

from __future__ import annotations

import shlex

from toril.core.clock import moment

SHOWN_CHARS = 120
"""Of a text from the store in a sentence."""


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return `1 job`, `3,000 jobs`; `nouns` where an s at the end is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def stamp(epoch_ms: int) -> str:
    """Return a moment to the second, in UTC."""
    return f"{moment(epoch_ms):%Y-%m-%d %H:%M:%S} UTC"


def span(duration_ms: int) -> str:
    """Return a duration in words, as exact as people need it."""
    if duration_ms < 100:
        return "less than 0.1 s"
    whole_s = duration_ms / 1000
    if whole_s < 10:
        return f"{whole_s:g} s" if whole_s == round(whole_s) else f"{whole_s:.1f} s"
    for unit, size_s, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if whole_s < size_s * most:
            return f"{whole_s / size_s:.0f} {unit}"
    return f"{whole_s / 86400:,.0f} days"


def cut(text: str) -> str:
    """Return a text from the store in one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}…"


def since(epoch_ms: int, now_ms: int) -> str:
    """Return a moment, and for how long it has been."""
    return f"{stamp(epoch_ms)}, for {span(now_ms - epoch_ms)}"


def ago(epoch_ms: int, now_ms: int) -> str:
    """Return a moment, and how long ago it was."""
    return f"at {stamp(epoch_ms)}, {span(now_ms - epoch_ms)} ago"


def command(*words: str) -> str:
    """Return a command of the command line, to be copied."""
    return f"`toril {shlex.join(words)}`"
