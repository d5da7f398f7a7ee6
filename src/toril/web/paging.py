"""Pages of lists that are short enough to be read whole: each begins behind a name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from toril.web.problems import Problem

T = TypeVar("T")


def part_after(
    items: Sequence[T], names: Sequence[str], after: str | None, limit: int
) -> tuple[list[T], str | None]:
    """Return a page and the cursor of the one behind it, if there is one.

    Parameters:
        items: All of them, in their order.
        names: What tells each from the others.
        after: The cursor. If its item is gone, the page begins where the list does.
        limit: How many.

    Raises:
        Problem: The cursor is none of ours.
    """
    start = 0
    if after is not None:
        name = _read(after)
        start = names.index(name) + 1 if name in names else 0
    page = list(items[start : start + limit])
    more = start + limit < len(items)
    return page, _cursor(names[start + limit - 1]) if more else None


def after_number(after: str | None) -> int:
    """Return the place where a page of numbered lines begins.

    Raises:
        Problem: The cursor is none of ours.
    """
    if after is None:
        return 0
    text = _read(after)
    if not text.isdecimal() or len(text) > 15:
        raise _no_cursor(after)
    return int(text)


def number_cursor(place: int) -> str:
    """Return the cursor of a page of numbered lines."""
    return _cursor(str(place))


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _read(after: str) -> str:
    try:
        padded = after + "=" * (-len(after) % 4)
        text = base64.urlsafe_b64decode(padded.encode("ascii")).decode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError):
        raise _no_cursor(after) from None
    return text


def _no_cursor(after: str) -> Problem:
    return Problem(
        422, "no_cursor", f"after={after[:100]!r}: expected the next of a page before",
        field="after",
    )  # fmt: skip
