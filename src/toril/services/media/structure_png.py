"""The chunks and frames of a PNG. Source: W3C PNG, third edition, sections 5 and 11."""

from __future__ import annotations

import struct

from toril.services.media.port import ImageLimits
from toril.services.media.structure import Structure, Tally

_HEAD = struct.Struct(">I4s")
_BYTES_PER_PIXEL = 9  # four decoded, four with transparency made plain, one of the decoder's
_NEEDED = (b"tRNS", b"iCCP", b"eXIf")
"""Chunks that say something of the pixels, beside the critical ones."""
_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""Texts that may tell the orientation."""


def walk_png(content: bytes, limits: ImageLimits) -> Structure:
    """Return what a PNG is made of.

    `decodable` is the file with the first of each chunk that says something of the first frame:
    others are unpacked by some libraries, each to a megabyte, and looked at by nobody.

    Raises:
        OverLimitError: It has too many chunks, or too many frames.
    """
    tally = Tally(limits, "chunks")
    width_px = height_px = declared = 0
    needed = [content[:8]]
    kept: set[bytes] = set()
    exif: bytes | None = None
    at = 8
    while at + 8 <= len(content):
        size, kind = _HEAD.unpack_from(content, at)
        tally.part()
        body = content[at + 8 : at + 16]
        if kind == b"IHDR" and len(body) == 8:
            sides = struct.unpack(">II", body)
            width_px, height_px = max(width_px, sides[0]), max(height_px, sides[1])
        elif kind == b"acTL":
            declared = max(declared, int.from_bytes(body[:4], "big"))
        elif kind == b"fcTL":
            tally.frame()
        label = _label(kind, content, at + 8)
        if label is None or (label and label not in kept):
            needed.append(content[at : at + 12 + size])
            kept.add(label or b"")
            if kind == b"eXIf":
                exif = content[at + 8 : at + 8 + size]
        if kind == b"IEND":
            break
        at += 12 + size
    frames = max(1, tally.frames, declared)
    tally.frame(frames - tally.frames)
    return Structure(
        width_px=width_px,
        height_px=height_px,
        frames=frames,
        decodable=b"".join(needed),
        memory_bytes=width_px * height_px * _BYTES_PER_PIXEL,
        exif=exif,
    )


def _label(kind: bytes, content: bytes, at: int) -> bytes | None:
    """Return what a chunk may be there once as; None: as often as it likes; empty: not at all."""
    if kind[:1].isupper():  # critical: a decoder has to see it
        return None
    if kind in _NEEDED:
        return kind
    if kind in (b"tEXt", b"zTXt", b"iTXt"):
        return next((text for text in _TEXTS if content.startswith(text, at)), b"")
    return b""
