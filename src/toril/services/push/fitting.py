"""Makes the text of a message fit what push services take, by cutting one field."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from toril.core.codec import encode_as_is
from toril.services.push.port import MAX_BYTES
from toril.services.unusable import UnusableInputError

_JOINER = "\u200d"
"""Joins emoji to one: a family of three is three people and two of these."""
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
"""Two of them are one flag."""
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
"""What makes Scotland's flag of a black one."""


def fitted(message: Mapping[str, Any], *, field: str = "body", max_bytes: int = MAX_BYTES) -> bytes:
    """Return a message as JSON in UTF-8; one field is cut if it is too large.

    The field is cut at the end of a character as a reader sees it: an emoji of several code points
    stays whole or goes.

    Parameters:
        message: What is sent.
        field: What may be cut: a text.
        max_bytes: Of the JSON.

    Raises:
        UnusableInputError: It does not fit even without that field, or is no JSON.
    """
    try:
        whole = encode_as_is(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableInputError("push message", f"cannot be written as JSON: {error}") from None
    if len(whole) <= max_bytes:
        return whole
    text = message.get(field)
    text = text if isinstance(text, str) else ""
    rest = len(encode_as_is({**message, field: ""})) if field in message else len(whole)
    if rest > max_bytes:
        raise UnusableInputError(
            "push message",
            f"{rest} bytes without its {field}; push services take {max_bytes}. Shorten the other"
            " fields, such as title, url and data",
        )
    return encode_as_is({**message, field: text[: _fitting_chars(text, max_bytes - rest)]})


def _fitting_chars(text: str, room_bytes: int) -> int:
    """Return how many characters fit, as JSON, without breaking one that is seen as one."""
    count = 0
    for char in text:
        room_bytes -= len(msgspec.json.encode(char)) - 2  # without its quotes
        if room_bytes < 0:
            break
        count += 1
    while 0 < count < len(text) and _belong_together(text, count):
        count -= 1
    return count


def _belong_together(text: str, at: int) -> bool:
    """Whether a reader sees what stands before and after this place as one character."""
    before, after = text[at - 1], text[at]
    if before == _JOINER or after == _JOINER or (before, after) == ("\r", "\n"):
        return True
    if unicodedata.category(after) in ("Mn", "Me", "Mc") or ord(after) in _SKIN_TONES:
        return True
    if ord(after) in _TAGS:
        return True
    if ord(after) not in _FLAG_LETTERS:
        return False
    flags = 0
    while flags < at and ord(text[at - 1 - flags]) in _FLAG_LETTERS:
        flags += 1
    return flags % 2 == 1
