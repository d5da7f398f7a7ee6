"""Which bytes of an object are meant, and what of a listing."""

from __future__ import annotations

from toril.core.checks import is_whole, require
from toril.services.objects.keys import check_key
from toril.services.objects.port import MAX_PAGE


def check_range(start: int, length: int | None) -> None:
    """Refuse a range that makes no sense.

    Raises:
        InvalidOptionError: A number is no number of bytes.
    """
    require(is_whole(start) and start >= 0, "start", start, "a number of bytes from 0")
    good = length is None or (is_whole(length) and length >= 0)
    require(good, "length", length, "a number of bytes from 0, or None: to the end")


def within(start: int, length: int | None, size_bytes: int) -> tuple[int, int]:
    """Return the first byte and the one after the last, cut to what there is."""
    first = min(start, size_bytes)
    return first, size_bytes if length is None else min(first + length, size_bytes)


def check_page(after: str | None, limit: int) -> None:
    """Refuse a page that makes no sense.

    Raises:
        InvalidOptionError: `limit` is not from 1 to 1000.
        UnusableInputError: `after` is no key.
    """
    good = is_whole(limit) and 1 <= limit <= MAX_PAGE
    require(good, "limit", limit, f"a number of entries, 1 to {MAX_PAGE}")
    if after is not None:
        check_key(after)
