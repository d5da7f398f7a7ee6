"""The boxes and frames of an AVIF. Source: ISO/IEC 14496-12, section 4.2; 23008-12, section 6.5."""

from __future__ import annotations

from toril.services.media.port import ImageLimits
from toril.services.media.structure import Structure, Tally

# Boxes that hold boxes, with how many bytes stand before the first of them.
_HOLDERS = {
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
    b"iinf": 6,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
    b"stsd": 8,
}
_BYTES_PER_PIXEL = 15


class _Walk:
    def __init__(self, content: bytes, limits: ImageLimits) -> None:
        self._content = content
        self.tally = Tally(limits, "boxes")
        self.width_px = self.height_px = 0

    def within(self, at: int, end: int, depth: int = 0) -> None:
        """Look at the boxes between two places. No valid file is deeper than a track's table."""
        while at + 8 <= end:
            self.tally.part()
            size, kind = self._number(at), self._content[at + 4 : at + 8]
            begin = at + 8
            if size == 1:
                size, begin = int.from_bytes(self._content[begin : begin + 8], "big"), begin + 8
            stop = end if size == 0 else min(end, at + max(size, begin - at))
            if kind in _HOLDERS and depth < 8:
                self.within(begin + _HOLDERS[kind], stop, depth + 1)
            elif kind == b"ispe":
                self._canvas(self._number(begin + 4), self._number(begin + 8))
            elif kind == b"av01":  # a track's sample entry: ISO/IEC 14496-12, section 12.1.3
                sides = self._number(begin + 24)
                self._canvas(sides >> 16, sides & 0xFFFF)
            elif kind == b"stsz":  # a track of pictures, and one of their transparency
                count = self._number(begin + 8)
                self.tally.frame(max(0, count - self.tally.frames))
            at = stop

    def _canvas(self, width_px: int, height_px: int) -> None:
        self.width_px = max(self.width_px, width_px)
        self.height_px = max(self.height_px, height_px)

    def _number(self, at: int) -> int:
        return int.from_bytes(self._content[at : at + 4], "big")


def walk_avif(content: bytes, limits: ImageLimits) -> Structure:
    """Return what an AVIF is made of.

    Raises:
        OverLimitError: It has too many boxes or frames.
    """
    walk = _Walk(content, limits)
    walk.within(0, len(content))
    return Structure(
        width_px=walk.width_px,
        height_px=walk.height_px,
        frames=max(1, walk.tally.frames),
        memory_bytes=walk.width_px * walk.height_px * _BYTES_PER_PIXEL,
    )
