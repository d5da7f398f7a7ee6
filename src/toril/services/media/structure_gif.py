"""The blocks and frames of a GIF. Source: GIF89a, sections 15 to 26."""

from __future__ import annotations

import re

from toril.services.media.port import ImageLimits
from toril.services.media.structure import OverLimitError, Structure, Tally

_EXTENSION, _IMAGE = 0x21, 0x2C
_BLOCK = re.compile(rb"[!,;]")
_BYTES_PER_PIXEL = 9  # one of indices, four as colours, four with transparency
_LEAST_MEAN_BYTES = 16
"""Encoders fill their data's pieces up to 255 bytes; a file of much smaller ones is a flood."""


def walk_gif(content: bytes, limits: ImageLimits) -> Structure:
    """Return what a GIF is made of.

    Raises:
        OverLimitError: It has too many frames, extensions or pieces of data.
    """
    tally = Tally(limits, "blocks")
    width_px, height_px = _sides(content, 6)
    pieces_left = limits.max_parts + len(content) // _LEAST_MEAN_BYTES
    try:
        at = 13 + _palette_bytes(content[10])
        while True:
            kind = content[at]
            if kind == _EXTENSION:
                at, pieces = _after_pieces(content, at + 2, pieces_left)
                tally.part(1 + pieces)
            elif kind == _IMAGE:
                left, top = _sides(content, at + 1)
                wide, high = _sides(content, at + 5)
                if not tally.frames:  # a frame that is larger than the screen makes it larger
                    width_px, height_px = max(width_px, left + wide), max(height_px, top + high)
                tally.frame()
                tally.part()
                begin = at + 10 + _palette_bytes(content[at + 9]) + 1
                at, pieces = _after_pieces(content, begin, pieces_left)
                pieces_left -= pieces
            elif kind == 0x3B:
                break
            else:  # decoders look for the next block
                found = _BLOCK.search(content, at + 1)
                at = len(content) if found is None else found.start()
    except IndexError:  # the end, before its mark
        pass
    return Structure(
        width_px=width_px,
        height_px=height_px,
        frames=max(1, tally.frames),
        memory_bytes=width_px * height_px * _BYTES_PER_PIXEL,
    )


def _after_pieces(content: bytes, at: int, most: int) -> tuple[int, int]:
    """Return where data ends that comes in pieces, each led by its length, and how many there are.

    Raises:
        IndexError: It does not end.
        OverLimitError: There are more than `most`.
    """
    pieces = 0
    while size := content[at]:
        at += size + 1
        pieces += 1
        if pieces > most:
            raise OverLimitError("its data is cut into more pieces than any encoder makes")
    return at + 1, pieces


def _sides(content: bytes, at: int) -> tuple[int, int]:
    wide, high = content[at : at + 2], content[at + 2 : at + 4]
    return int.from_bytes(wide, "little"), int.from_bytes(high, "little")


def _palette_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0
