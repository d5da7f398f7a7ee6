"""The chunks and frames of a WebP. Source: RFC 9649, section 2."""

from __future__ import annotations

import struct

from toril.services.media.port import ImageLimits
from toril.services.media.structure import Structure, Tally

_HEAD = struct.Struct("<4sI")
_BYTES_PER_PIXEL = 17
"""The decoder holds two canvases, the frame and a copy; Pillow one more."""


def walk_webp(content: bytes, limits: ImageLimits) -> Structure:
    """Return what a WebP is made of.

    Raises:
        OverLimitError: It has too many chunks or frames.
    """
    tally = Tally(limits, "chunks")
    width_px = height_px = 0
    at = 12
    while at + 8 <= len(content):
        kind, size = _HEAD.unpack_from(content, at)
        tally.part()
        if kind == b"ANMF":
            tally.frame()
        wide, high = _sides(kind, content[at + 8 : at + 18])
        width_px, height_px = max(width_px, wide), max(height_px, high)
        at += 8 + size + size % 2
    return Structure(
        width_px=width_px,
        height_px=height_px,
        frames=max(1, tally.frames),
        memory_bytes=width_px * height_px * _BYTES_PER_PIXEL,
    )


def _sides(kind: bytes, body: bytes) -> tuple[int, int]:
    """Return the size that a chunk declares; 0 by 0 if it declares none."""
    if kind == b"VP8X":
        return _little(body[4:7]) + 1, _little(body[7:10]) + 1
    if kind == b"VP8L":
        bits = _little(body[1:5])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _little(body[6:8]) & 0x3FFF, _little(body[8:10]) & 0x3FFF
    return 0, 0


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
