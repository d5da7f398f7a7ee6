"""Payloads and results as text to read: indented, cut, never more than a page can bear."""

from __future__ import annotations

from pprint import pformat

import msgspec

from toril.core.codec import encode_as_is
from toril.rest.answers import Value

SHOWN_BYTES = 64 * 1024
"""Of a payload or result on a page. The whole can be saved as a file."""


class Shown(msgspec.Struct, frozen=True):
    """A value as a page shows it."""

    text: str
    bytes: int
    """How large the whole is."""
    cut: bool
    is_text: bool
    """It is no JSON: shown as it is stored."""


def shown(value: Value) -> Shown:
    """Return a value as text of at most `SHOWN_BYTES`."""
    if value.text is not None:
        text, is_text = value.text, True
    else:
        text, is_text = indented(value.value), False
    data = text.encode(errors="replace")
    if len(data) <= SHOWN_BYTES:
        return Shown(text, value.bytes, cut=False, is_text=is_text)
    return Shown(data[:SHOWN_BYTES].decode(errors="ignore"), value.bytes, cut=True, is_text=is_text)


def indented(value: object) -> str:
    """Return JSON text with a member a line; numbers keep all their digits."""
    return msgspec.json.format(encode_as_is(value), indent=2).decode()


def literal(value: object) -> str:
    """Return a value as Python writes it, a line each for what is long."""
    return pformat(value, width=80, sort_dicts=False, compact=True).replace("\n", "\n" + " " * 12)
