"""Reading JSON that anybody may have written: it always returns, whatever the text is.

What lies in a store was written by other versions, by other libraries, or by hand. Whoever lists,
shows or removes jobs must not fail at one of them, and a worker must not fail at a job's options.
What comes from a caller is checked by `codec.py` in place of this.
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
    """A stored text that cannot be shown as a Python value, as it is.

    It is no JSON, nested deeper than 500 levels, or holds a number that Python has none for.
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
    """Return a number, or a text that is one, as an integer; `default` where it is none.

    A fraction is rounded. What no store can hold is cut to the nearest that every one can.
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
