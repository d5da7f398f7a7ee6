"""What a media child is told, and what it says: one JSON text a line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from toril.services.media.port import EngineKind, ImageLimits, OutputFormat, VariantSpec
from toril.services.media.video_port import MadeVideo, VideoLimits, VideoPlan

_LIBRARIES_BYTES = 96 * 1024 * 1024


class RenderImage(msgspec.Struct, tag="image", frozen=True, kw_only=True):
    """Make renditions of an image."""

    source: Path
    folder: Path
    """Where the renditions go, each under its variant's name and its format's ending."""
    specs: list[VariantSpec]
    limits: ImageLimits
    quality: int
    engine: EngineKind = EngineKind.PILLOW
    name: str
    """What to call the image in an error."""

    @property
    def max_resident_bytes(self) -> int:
        """The most memory that the child may hold: with the libraries, and the file itself."""
        return self.limits.max_memory_bytes + self.limits.max_bytes + _LIBRARIES_BYTES


class ProcessVideo(msgspec.Struct, tag="video", frozen=True, kw_only=True):
    """Make a smaller video, and its poster."""

    source: Path
    target: Path
    poster: Path | None
    plan: VideoPlan
    limits: VideoLimits
    name: str
    """What to call the video in an error."""

    @property
    def max_resident_bytes(self) -> int:
        """The most memory that the child may hold."""
        return self.limits.max_memory_bytes


Order = RenderImage | ProcessVideo


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One finished rendition."""

    name: str
    format: OutputFormat
    path: Path
    width_px: int
    height_px: int
    size_bytes: int


class Progressed(msgspec.Struct, tag="progress", frozen=True):
    """So far is the work, 0 to 100."""

    percent: int


class ImageDone(msgspec.Struct, tag="image", frozen=True):
    """The renditions, in the order of the specs."""

    made: list[Made]


class VideoDone(msgspec.Struct, tag="video", frozen=True):
    """The video."""

    made: MadeVideo


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """The parts of an `UnusableInputError`."""

    subject: str
    reason: str


class Missing(msgspec.Struct, tag="missing", frozen=True):
    """A library is not installed."""

    message: str


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """Any other error: it may pass."""

    message: str


class TooMuchMemory(msgspec.Struct, tag="memory", frozen=True):
    """The child holds more than it may, and ends."""

    held_bytes: int


Ending = ImageDone | VideoDone | Refused | Missing | Failed | TooMuchMemory
Said = Progressed | Ending


def line_of(words: Order | Said) -> bytes:
    """Return what is said as a line."""
    return msgspec.json.encode(words, enc_hook=str) + b"\n"


def order_of(line: bytes) -> Order:
    """Return the order that a line is."""
    order: Order = msgspec.json.decode(line, type=Order, dec_hook=_path)
    return order


def said_of(line: bytes) -> Said:
    """Return what a child said in a line."""
    said: Said = msgspec.json.decode(line, type=Said, dec_hook=_path)
    return said


def _path(_kind: type, text: object) -> Path:
    return Path(str(text))  # the only type here that JSON does not have
