"""Cuts texts to what a store takes: not too long, and only characters that it can hold.

An error may carry a whole response, and its traceback repeats that. Each copy costs memory in the
worker, in the store, and in every program that lists jobs.
"""

from __future__ import annotations

MAX_TEXT_BYTES = 16 * 1024
"""Longest error text, or traceback, that is stored, in bytes of UTF-8."""
MAX_CARRIED_BYTES = MAX_TEXT_BYTES - 1024
"""Longest error text from a child. With the error's class before it, it still fits."""
MAX_LINE_BYTES = 256 * 1024
"""Longest log line that is stored."""

_NOTE_BYTES = 80
"""Room for the note of what was cut."""


def storable(text: str) -> str:
    """Return text without what JSON or a database cannot hold: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\\0")


def beginning(text: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return a text as a store takes it: cut to its beginning, with a note of how much was cut."""
    # Characters first, so that a text of any size is not copied whole.
    kept = storable(text[: max_bytes + 1])
    if len(text) <= max_bytes and _fits(kept, max_bytes):
        return kept
    kept = kept.encode()[: max_bytes - _NOTE_BYTES].decode("utf-8", "ignore")
    return f"{kept} … [cut: the first {len(kept):,} of {len(text):,} characters]"


def end(text: str, max_bytes: int = MAX_TEXT_BYTES, *, chars: int | None = None) -> str:
    """Return a text as a store takes it: cut to its end, behind a note of how much was cut.

    Parameters:
        text: All of it, or as much of its end as is known.
        max_bytes: As in `MAX_TEXT_BYTES`.
        chars: How long it was. Default: as long as `text`.
    """
    chars = len(text) if chars is None else chars
    kept = storable(text[-max_bytes:])
    if chars <= len(text) <= max_bytes and _fits(kept, max_bytes):
        return kept
    kept = kept.encode()[-(max_bytes - _NOTE_BYTES) :].decode("utf-8", "ignore")
    return f"[cut: the last {len(kept):,} of {chars:,} characters] …\n{kept}"


def text_of(error: BaseException, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return an error's own text, cut to `max_bytes`. Never raises, whatever its `__str__` does."""
    try:
        return beginning(f"{error!s}", max_bytes)
    except BaseException as broken:
        return f"(its text could not be made: {type(broken).__qualname__})"


def _fits(text: str, max_bytes: int) -> bool:
    return 4 * len(text) <= max_bytes or len(text.encode()) <= max_bytes
