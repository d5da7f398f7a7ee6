"""The tags, pages and tiles of a TIFF. Source: TIFF 6.0, sections 2 and 15; BigTIFF's design."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from toril.services.media.port import ImageLimits
from toril.services.media.structure import OverLimitError, Structure, Tally

_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277
_STRIP_OFFSETS, _ROWS_PER_STRIP = 273, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 322, 323, 324
_UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_UNIT_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = frozenset({1, 3, 4, 13, 16})
_BYTES_PER_PIXEL = 9


class _Reader:
    """Numbers and tags of one file."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._order: Literal["little", "big"] = "little" if content[:2] == b"II" else "big"
        self.big = self.number(2, 2) == 43
        self._offset_bytes = 8 if self.big else 4

    def number(self, at: int, size: int) -> int:
        """Return the number at a place; IndexError behind the end."""
        raw = self._content[at : at + size]
        if len(raw) < size:
            raise IndexError(at)
        return int.from_bytes(raw, self._order)

    def first_page(self) -> int:
        """Return where the first page's tags are."""
        return self.number(8 if self.big else 4, self._offset_bytes)

    def page(self, at: int) -> tuple[int, int, int]:
        """Return how many tags a page has, where they begin, and the next page's place; 0: none."""
        width = 8 if self.big else 2
        count = self.number(at, width)
        begin = at + width
        after = begin + count * self._entry_bytes
        try:
            return count, begin, self.number(after, self._offset_bytes)
        except IndexError:
            return count, begin, 0

    @property
    def _entry_bytes(self) -> int:
        return 20 if self.big else 12

    def tags(self, begin: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield number, count of values, size in bytes and first value of each tag."""
        for at in range(begin, begin + count * self._entry_bytes, self._entry_bytes):
            kind = self.number(at + 2, 2)
            many = self.number(at + 4, self._offset_bytes)
            unit = _UNIT_BYTES.get(kind, 0)
            place = at + 4 + self._offset_bytes
            if many * unit > self._offset_bytes:
                place = self.number(place, self._offset_bytes)
            try:
                value = self.number(place, unit) if kind in _WHOLE and many else 0
            except IndexError:
                value = 0
            yield self.number(at, 2), many, many * unit, value


def walk_tiff(content: bytes, limits: ImageLimits) -> Structure:
    """Return what a TIFF is made of: its first page's picture, and how many pages there are.

    Raises:
        OverLimitError: It has too many tags, tiles or pages, or says more in tags than it holds.
    """
    tally = Tally(limits, "tags, strips and tiles")
    values: dict[int, int] = {}
    try:
        reader = _Reader(content)
        at = reader.first_page()
        seen: set[int] = set()
        while at and at not in seen:
            seen.add(at)
            tally.frame()
            count, begin, after = reader.page(at)
            tally.part(count)
            if len(seen) == 1:
                values = _first_page(reader, begin, count, len(content), tally)
            at = after
    except IndexError:  # it is cut short
        pass
    width_px, height_px = values.get(_WIDTH, 0), values.get(_HEIGHT, 0)
    return Structure(
        width_px=width_px,
        height_px=height_px,
        frames=max(1, tally.frames),
        memory_bytes=width_px * height_px * _BYTES_PER_PIXEL + 2 * _piece_bytes(values),
    )


def _first_page(
    reader: _Reader, begin: int, count: int, size_bytes: int, tally: Tally
) -> dict[int, int]:
    values: dict[int, int] = {}
    said = 0
    for tag, many, said_bytes, value in reader.tags(begin, count):
        if tag in values:
            continue
        values[tag] = value
        said += said_bytes if said_bytes <= size_bytes else 0  # more cannot be read at all
        if said > size_bytes:  # tags that share the same bytes, which a reader copies for each
            raise OverLimitError("its tags say that they hold more than the whole file")
        if tag in (_STRIP_OFFSETS, _TILE_OFFSETS):
            tally.part(many)
    return values


def _piece_bytes(values: dict[int, int]) -> int:
    """Return the size of one decoded strip or tile: a decoder sets it aside whole."""
    width_px, height_px = values.get(_WIDTH, 0), values.get(_HEIGHT, 0)
    if _TILE_OFFSETS in values or _TILE_WIDTH in values:
        pixels = values.get(_TILE_WIDTH, 0) * values.get(_TILE_HEIGHT, 0)
    else:
        pixels = width_px * min(height_px, values.get(_ROWS_PER_STRIP, height_px))
    bits = max(1, values.get(_BITS, 1)) * max(1, values.get(_SAMPLES, 1))
    return pixels * bits // 8
