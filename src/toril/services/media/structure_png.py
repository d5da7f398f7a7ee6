"""The chunks and frames of a PNG. Source: W3C PNG, third edition, sections 5 and 11."""

from __future__ import annotations

import struct

from toril.services.media.port import ImageLimits
from toril.services.media.structure import Structure, Tally

_HEAD = struct.Struct(">I4s")
_BYTES_PER_PIXEL = 9  # four decoded, four with transparency made plain, one of the decoder's


def walk_png(content: bytes, limits: ImageLimits) -> Structure:
    """Return what a PNG is made of.

    Raises:
        OverLimitError: It has too many chunks, or too many frames.
    """
    tally = Tally(limits, "chunks")
    width_px = height_px = declared = 0
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
        elif kind == b"IEND":
            break
        at += 12 + size
    frames = max(1, tally.frames, declared)
    tally.frame(frames - tally.frames)
    return Structure(
        width_px=width_px,
        height_px=height_px,
        frames=frames,
        memory_bytes=width_px * height_px * _BYTES_PER_PIXEL,
    )
