"""What an image engine promises: look at an image, then make smaller ones of it.

An engine takes bytes and gives bytes; it knows no folder, no record and no preset's name.
`pillow.py` is the one that is built in, `vips.py` another; `engines.py` opens them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from toril.core.checks import require

MAX_SIDE_PX = 16_383
"""The longest side that WebP can hold (RFC 9649, section 2.7)."""

DEFAULT_MAX_BYTES = 20 * 1024 * 1024
DEFAULT_MAX_PIXELS = 50_000_000
DEFAULT_MAX_PARTS = 20_000
DEFAULT_MAX_FRAMES = 2_000
DEFAULT_MAX_SCANS = 64
DEFAULT_MAX_MEMORY_BYTES = 512 * 1024 * 1024


class ImageFormat(StrEnum):
    """The formats that can be accepted."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    AVIF = "avif"
    TIFF = "tiff"


DEFAULT_FORMATS = frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.GIF})


class EngineKind(StrEnum):
    """What decodes and resizes images."""

    PILLOW = "pillow"
    """The built-in one, for every format."""
    VIPS = "vips"
    """libvips, with the extra `vips`: two thirds of the time for JPEG, PNG and WebP."""


class OutputFormat(StrEnum):
    """The formats that an engine writes."""

    WEBP = "webp"
    JPEG = "jpeg"
    PNG = "png"

    @property
    def content_type(self) -> str:
        """Its name on the web."""
        return f"image/{self.value}"

    @property
    def suffix(self) -> str:
        """How its files' names end, such as `.jpg`."""
        return ".jpg" if self is OutputFormat.JPEG else f".{self.value}"


class Fit(StrEnum):
    """How an image meets the size of a variant."""

    COVER = "cover"
    """Fill the size exactly; what is too much is cut off evenly. A small image is enlarged."""
    INSIDE = "inside"
    """Keep the whole image within the size. Never enlarged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What an engine refuses before it decodes anything."""

    max_bytes: int = DEFAULT_MAX_BYTES
    """Largest file, in bytes. Default: 20 MiB."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Most pixels, width by height by frames. Default: 50 million."""
    formats: frozenset[ImageFormat] = DEFAULT_FORMATS
    """Accepted formats. Default: JPEG, PNG, WebP, GIF."""
    max_parts: int = DEFAULT_MAX_PARTS
    """Most markers, chunks, blocks, boxes, or tags and tiles of a file. Default: 20,000."""
    max_frames: int = DEFAULT_MAX_FRAMES
    """Most frames of an animation, or pages. Default: 2,000."""
    max_scans: int = DEFAULT_MAX_SCANS
    """Most scans of a JPEG. Default: 64; cameras and encoders make up to about 20."""
    max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES
    """Most memory that decoding may take, by the file's structure, in bytes. Default: 512 MiB."""

    def __post_init__(self) -> None:
        for name, unit in (
            ("max_bytes", "bytes"),
            ("max_pixels", "pixels"),
            ("max_parts", "parts"),
            ("max_frames", "frames"),
            ("max_scans", "scans"),
            ("max_memory_bytes", "bytes"),
        ):
            value = getattr(self, name)
            require(value >= 1, name, value, f"{unit}, 1 or more")
        require(bool(self.formats), "formats", sorted(self.formats), "at least one format")


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """One size to make of an image."""

    name: str
    width_px: int
    height_px: int
    fit: Fit
    format: OutputFormat = OutputFormat.WEBP
    """JPEG has no transparency: it is laid on white. PNG is lossless, so `quality` is not used."""
    quality: int | None = None
    """1 to 100. Default: the engine's."""

    def __post_init__(self) -> None:
        if self.quality is not None:
            require(1 <= self.quality <= 100, "quality", self.quality, "1 to 100")
        for option, side_px in (("width_px", self.width_px), ("height_px", self.height_px)):
            require(1 <= side_px <= MAX_SIDE_PX, option, side_px, f"1 to {MAX_SIDE_PX} pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What an image's header says."""

    format: ImageFormat
    width_px: int
    """As stored, before the orientation is applied."""
    height_px: int
    frames: int
    """1 unless animated or of several pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One finished variant: upright, sRGB, without any metadata."""

    name: str
    width_px: int
    height_px: int
    content: bytes


class MarkPosition(StrEnum):
    """Where a watermark goes."""

    TOP_LEFT = "top-left"
    TOP_CENTER = "top-center"
    TOP_RIGHT = "top-right"
    CENTER_LEFT = "center-left"
    CENTER = "center"
    CENTER_RIGHT = "center-right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM_CENTER = "bottom-center"
    BOTTOM_RIGHT = "bottom-right"
    TILE = "tile"
    """All over the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A watermark and how it is put on."""

    content: bytes
    """The file of the mark: an image, best a PNG or WebP with transparency."""
    position: MarkPosition
    opacity: float
    """0.1 to 1.0; times the mark's own transparency."""
    scale: float
    """0.1 to 1.0: the mark's width as a share of the image's."""

    def __post_init__(self) -> None:
        for name, value in (("opacity", self.opacity), ("scale", self.scale)):
            require(0.1 <= value <= 1.0, name, value, "0.1 to 1.0")


class ImageMarker(Protocol):
    """Puts watermarks on images. Safe to share between threads."""

    def mark(self, content: bytes, stamp: Stamp, *, name: str) -> bytes:
        """Return a WebP file with the mark on it. The same input gives the same bytes.

        Parameters:
            content: A WebP file, as an engine makes it.
            stamp: The mark.
            name: What to call the image in an error.

        Raises:
            UnusableInputError: The image or the mark cannot be read.
        """
        ...


class ImageEngine(Protocol):
    """Looks at images and makes renditions. Safe to share between threads."""

    def probe(self, content: bytes, *, name: str) -> ImageFacts:
        """Return what the header says, decoding no pixels.

        Parameters:
            content: The whole file.
            name: What to call it in an error. Never trusted for anything else.

        Raises:
            UnusableInputError: It is not an accepted image, is damaged, or is over a limit.
        """
        ...

    def render(
        self, content: bytes, specs: Sequence[VariantSpec], *, name: str
    ) -> Iterator[Rendition]:
        """Yield one rendition per spec, the biggest first. Of an animation: its first frame.

        Raises:
            UnusableInputError: As `probe`, or the pixels are damaged or cut short. Then nothing
                has been yielded: there are no half pictures.
        """
        ...
