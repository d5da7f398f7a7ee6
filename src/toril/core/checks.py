"""Validates options. An error names the option, its value, and what would be accepted."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from toril.core.errors import InvalidOptionError

_SHOWN_CHARS = 120
"""Longer values are shortened in messages, which become failure reasons and lines of logs."""


def require(holds: bool, name: str, value: object, expected: str) -> None:
    """Raise `InvalidOptionError` for option `name` unless `holds`.

    Parameters:
        holds: The condition.
        name: The option as the caller spells it.
        value: What was given.
        expected: What would have done, as a noun phrase.

    Raises:
        InvalidOptionError: With `name=value: expected …`.
    """
    if not holds:
        raise InvalidOptionError(f"{name}={_shown(value)}: expected {expected}")


def check_text(value: object, name: str) -> None:
    """Raise `InvalidOptionError` for option `name` unless it is text that a store can look up.

    A half of a character beyond U+FFFF, as a cut or an escape leaves it, is not.
    """
    good = isinstance(value, str)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            good = False
    if is_whole(value):
        require(False, name, value, f"text: '{value}'")
    require(good, name, value, "text that can be written as UTF-8")


def is_whole(value: object) -> bool:
    """Whether this is an integer; `True` and `False` are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def nearest(word: str, known: Iterable[str], *, least: float = 0.6) -> str | None:
    """Return the known word that `word` was probably meant to be, or None.

    Parameters:
        word: What was given.
        known: What may be meant.
        least: How alike both have to be: 0 is not at all, 1 is equal.
    """
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=least)
    return found[0] if found else None


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """Return a message for an unknown word: the nearest known one, or all of them."""
    known = sorted(str(one) for one in known)  # an enumeration's words without its name
    close = nearest(word, known)
    if close is not None:
        return f"unknown {kind} {word!r}: did you mean {close!r}?"
    listing = ", ".join(known) if known else "none"
    return f"unknown {kind} {word!r}: known are {listing}"


def _shown(value: object) -> str:
    text = repr(value)
    if len(text) <= _SHOWN_CHARS:
        return text
    return f"{text[: _SHOWN_CHARS // 2]}…{text[-_SHOWN_CHARS // 4 :]} ({len(text)} characters)"
