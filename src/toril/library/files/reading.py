"""Reads a file once from end to end: its checksum, and words that should not be in it."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from typing import BinaryIO

PART_BYTES = 1024 * 1024

PHP = b"<?php"
RAR = b"Rar!\x1a\x07"
SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c"
MACROS = "_VBA_PROJECT".encode("utf-16-le")
INSTALLER = bytes.fromhex("84100c0000000000c000000000000046")
"""The class of Windows' installer packages, as it stands in their container."""
_WORDS = (PHP, RAR, SEVEN_ZIP, MACROS, INSTALLER)
_LONGEST = max(map(len, _WORDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeFile:
    """What is known of a file once all of it was read."""

    size_bytes: int
    sha256: str
    words: frozenset[bytes]
    """Which of the words above are in it."""
    is_utf8: bool
    """Whether all of it is UTF-8 without NUL."""


def read_whole(file: BinaryIO) -> WholeFile:
    """Read a file to its end."""
    file.seek(0)
    digest = hashlib.sha256()
    size_bytes = 0
    found: set[bytes] = set()
    before = b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    while part := file.read(PART_BYTES):
        digest.update(part)
        size_bytes += len(part)
        seen = before + part
        # Servers take `<?PHP` as well.
        found |= {word for word in _WORDS if word in seen}
        if PHP not in found and PHP in seen.lower():
            found.add(PHP)
        before = seen[-(_LONGEST - 1) :]
        if is_utf8:
            is_utf8 = _goes_on(decoder, part)
    if is_utf8:
        is_utf8 = _goes_on(decoder, b"", final=True)
    return WholeFile(
        size_bytes=size_bytes, sha256=digest.hexdigest(), words=frozenset(found), is_utf8=is_utf8
    )


def _goes_on(decoder: codecs.IncrementalDecoder, part: bytes, *, final: bool = False) -> bool:
    try:
        return "\0" not in decoder.decode(part, final)
    except UnicodeDecodeError:
        return False
