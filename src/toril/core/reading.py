"""Decodes JSON from the store. Never raises, whatever is stored.

Other versions, other libraries or people may have written it. One bad job must not break the calls
that list, show or remove jobs, nor the worker that reads the job's options. Values from callers are
checked by `codec.py` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toril.core.codec import decode
from toril.core.nesting import MAX_NESTING, is_too_deep

LARGEST = 2**53 - 1
"""The largest integer that every JSON reader holds exactly."""


@dataclass(frozen=True, slots=True)
class RawText:
    """A stored text that has no Python value, unchanged.

    It is not JSON, is nested deeper than 500 levels, or holds a number that Python cannot hold.
    """

    raw: str

    def __str__(self) -> str:
        return self.raw


def read(text: str) -> Any:
    """Return the value of a JSON text, or the text as a `RawText`."""
    # Only a long text can be nested too deep, and only these are worth a copy.
    if len(text) > MAX_NESTING and is_too_deep(text.encode("utf-8", "surrogatepass")):
        return RawText(text)
    try:
        return decode(text)
    except (ValueError, RecursionError):  # a lone surrogate in the text is a ValueError too
        return RawText(text)


def read_object(text: str) -> dict[str, Any]:
    """Return the value of a JSON text that is an object; an empty one for any other text."""
    value = read(text)
    return value if isinstance(value, dict) else {}


def read_list(text: str) -> list[Any]:
    """Return the value of a JSON text that is an array; an empty one for any other text."""
    value = read(text)
    return value if isinstance(value, list) else []


def whole(value: object, default: int = 0) -> int:
    """Return a number, or the number in a text, as an integer; `default` for anything else.

    Rounds fractions, and limits the number to what every store can hold (`LARGEST`).
    """
    if not isinstance(value, int | float | str):
        return default
    try:
        number = int(value) if isinstance(value, int | str) else round(value)
    except (ValueError, OverflowError):
        try:
            number = round(float(value))  # Node writes fractions and exponents
        except (ValueError, OverflowError):  # NaN, an infinity, or no number at all
            return default
    return max(-LARGEST, min(number, LARGEST))
