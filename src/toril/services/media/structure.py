"""Counts the parts of an image file, before any decoder reads it.

A small file can ask for hours of work or for gigabytes: by thousands of scans, chunks, frames or
tiles, or by one huge tile. The walkers (`structure_jpeg.py` and its neighbours, one per format)
read lengths and counts only, in one pass over the file, and know no image library. They forgive
damage: where a file ends early, they end, and the decoder says what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from toril.services.media.port import ImageLimits


class OverLimitError(ValueError):
    """The file has more of something than is allowed. The message is for users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What a walker found."""

    width_px: int
    """Of the canvas, as declared. 0: the file does not get so far."""
    height_px: int
    frames: int = 1
    memory_bytes: int
    """About how much memory decoding takes, measured with Pillow 13."""
    decodable: bytes | None = None
    """What the decoder gets in place of the file. None: the file itself."""
    exif: bytes | None = None
    """The EXIF block, where the decoder does not get to see it, or only behind the pixels."""
    xmp: bytes | None = None
    """The XMP packet, where the decoder does not get to see it."""


class Tally:
    """Counts what a file is made of, and stops at the limits.

    Parameters:
        limits: What is allowed.
        parts: What this format's parts are called, such as `chunks`.
    """

    def __init__(self, limits: ImageLimits, parts: str) -> None:
        self._limits = limits
        self._named = parts
        self.parts = 0
        self.frames = 0
        self.scans = 0

    def part(self, count: int = 1) -> None:
        """Count parts: markers, chunks, blocks, boxes, tags, tiles.

        Raises:
            OverLimitError: There are more than `max_parts`.
        """
        self.parts += count
        if self.parts > self._limits.max_parts:
            raise _over(self._named, self._limits.max_parts, "max_parts")

    def frame(self, count: int = 1) -> None:
        """Count frames or pages.

        Raises:
            OverLimitError: There are more than `max_frames`.
        """
        self.frames += count
        if self.frames > self._limits.max_frames:
            raise _over("frames", self._limits.max_frames, "max_frames")

    def scan(self) -> None:
        """Count a scan: one pass of a JPEG over the picture.

        Raises:
            OverLimitError: There are more than `max_scans`.
        """
        self.scans += 1
        if self.scans > self._limits.max_scans:
            raise _over("scans", self._limits.max_scans, "max_scans")


def _over(what: str, most: int, option: str) -> OverLimitError:
    return OverLimitError(f"it has more than {most:,} {what}, which is the most allowed ({option})")
