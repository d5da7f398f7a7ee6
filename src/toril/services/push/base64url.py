"""Base64 as browsers write keys: URL-safe, without padding. Other forms are read as well."""

from __future__ import annotations

import base64
import binascii
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*={0,2}")


def encoded(content: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(text: str) -> bytes | None:
    """Return the bytes of base64url or base64, padded or not; None if it is neither."""
    plain = text.strip().replace("+", "-").replace("/", "_")
    if not _ALPHABET.fullmatch(plain):
        return None
    plain = plain.rstrip("=")
    try:
        return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return None
