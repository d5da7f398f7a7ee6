"""What becomes of stored images: sizes, formats, qualities, limits. Figures, not tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from toril.core.checks import require
from toril.services.media.port import (
    MAX_SIDE_PX,
    EngineKind,
    Fit,
    ImageLimits,
    OutputFormat,
    VariantSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSize:
    """One size of an image, and how it is written."""

    width_px: int
    height_px: int
    fit: Fit = Fit.INSIDE
    """`inside` keeps the whole image and never enlarges it; `cover` fills the size exactly."""
    format: OutputFormat = OutputFormat.JPEG
    quality: int = 85
    """1 to 100. PNG has none."""

    def __post_init__(self) -> None:
        self.spec("checked")  # refuses nonsense

    def spec(self, name: str) -> VariantSpec:
        """Return it as an engine's variant."""
        return VariantSpec(
            name=name,
            width_px=self.width_px,
            height_px=self.height_px,
            fit=self.fit,
            format=self.format,
            quality=self.quality,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImageSettings:
    """Everything that work on stored images is told once.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    compressed: ImageSize = ImageSize(width_px=1920, height_px=1080)
    """The smaller version of `images.compress`. Default: within 1920 x 1080, JPEG 85."""
    thumbnail: ImageSize = ImageSize(width_px=320, height_px=240, fit=Fit.COVER, quality=75)
    """Its thumbnail. Default: 320 x 240, filled, JPEG 75."""
    thumbnail_format: OutputFormat = OutputFormat.JPEG
    """How `images.thumbnail` writes its sizes."""
    thumbnail_quality: int = 75
    """Of its sizes, 1 to 100."""
    avatar_sizes_px: tuple[int, ...] = (32, 64, 128, 256, 512)
    """The squares of `images.avatar`."""
    avatar_formats: tuple[OutputFormat, ...] = (OutputFormat.WEBP, OutputFormat.JPEG)
    """What each square is written as."""
    avatar_quality: int = 85
    """1 to 100."""
    single_avatar: ImageSize = ImageSize(
        width_px=400, height_px=400, fit=Fit.COVER, format=OutputFormat.WEBP, quality=90
    )
    """What an avatar without a `fileId` becomes, beside its original as `<name>_optimized`."""
    converted: ImageSize = ImageSize(
        width_px=1920, height_px=1920, format=OutputFormat.WEBP, quality=85
    )
    """What a job with an `outputPath` gets where its `options` say nothing."""
    folder: str = ""
    """Where the files of jobs with a `fileId` go, from the storage's root. Default: the root."""
    limits: ImageLimits = field(default_factory=ImageLimits)
    """What is refused. Default: 20 MiB, 50 million pixels, 512 MiB of memory."""
    engine: EngineKind = EngineKind.PILLOW
    """What decodes and resizes: Pillow, or libvips with the extra `vips`."""
    timeout_s: float = 60.0
    """How long one image may take, in seconds; then its process is killed."""

    def __post_init__(self) -> None:
        require(bool(self.avatar_sizes_px), "avatar_sizes_px", (), "at least one size")
        for side_px in self.avatar_sizes_px:
            good = 1 <= side_px <= MAX_SIDE_PX
            require(good, "avatar_sizes_px", side_px, f"1 to {MAX_SIDE_PX} pixels")
        require(bool(self.avatar_formats), "avatar_formats", (), "at least one format")
        quality = self.thumbnail_quality
        require(1 <= quality <= 100, "thumbnail_quality", quality, "1 to 100")
        require(1 <= self.avatar_quality <= 100, "avatar_quality", self.avatar_quality, "1 to 100")
        require(self.timeout_s > 0, "timeout_s", self.timeout_s, "seconds, more than 0")

    def key_of(self, name: str) -> str:
        """Return where a file of this name goes."""
        folder = self.folder.strip("/")
        return f"{folder}/{name}" if folder else name
