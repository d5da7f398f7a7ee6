"""Measures how deep a JSON text is nested. Does not decode it, as decoding might fail."""

from __future__ import annotations

import re

MAX_NESTING = 500
"""Deepest nesting of stored JSON. Redis' Lua reads 1,000 levels; Python reads about as many, less
the frames of the caller."""

_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_BRACES = bytes.maketrans(b"{}", b"[]")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_TEXT = re.compile(rb'"[^"]*"')


def is_too_deep(text: bytes, most: int = MAX_NESTING) -> bool:
    """Return whether a JSON text is nested deeper than `most` levels. Cheap for short texts."""
    if len(text) <= 2 * most:  # each level has a bracket on either side
        return False
    if text.count(b"[") + text.count(b"{") <= most:
        return False
    text = _ESCAPED.sub(b"", text) if b"\\" in text else text  # a quote that ends no string
    brackets = _TEXT.sub(b"", text.translate(None, _OTHERS)).translate(_BRACES)
    for _ in range(most):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")  # one level, from the inside
    return bool(brackets)
