"""What is taken of uploads, where they are kept, and what is made of pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

from toril.core.checks import require
from toril.library.files.settings import FileSettings
from toril.services.media.port import MAX_SIDE_PX, ImageLimits

PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
"""Types of which pictures are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """Settings of `files.upload`.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    files: FileSettings = field(default_factory=FileSettings)
    """Which files are taken."""
    images: ImageLimits = field(default_factory=ImageLimits)
    """What is refused of pictures before they are decoded."""
    side_px: int = 2000
    """Longest side of an optimised picture."""
    quality: int = 82
    thumbnail_sides_px: tuple[int, ...] = (150, 400)
    """Longest sides of thumbnails."""
    timeout_s: float = 120.0
    """How long the pictures of one step may take, in seconds."""
    incoming: str = "incoming"
    """With what the keys of files begin that were not scanned yet."""
    published: str = "files"
    """Of those that may be served."""
    quarantine: str = "quarantine"
    """Of those in which something was found."""
    outcome_task: str | None = None
    """The name of a task of the app that is added when an upload has ended, in the step that
    completes the job. It gets `{fileId, fileName, userId, productId, status, reason, signature,
    outputs}`. None: nobody is told."""

    def __post_init__(self) -> None:
        sides = (self.side_px, *self.thumbnail_sides_px)
        good = bool(self.thumbnail_sides_px) and all(1 <= one <= MAX_SIDE_PX for one in sides)
        require(good, "side_px, thumbnail_sides_px", sides, f"pixels, 1 to {MAX_SIDE_PX}")
        require(1 <= self.quality <= 100, "quality", self.quality, "1 to 100")
        require(self.timeout_s > 0, "timeout_s", self.timeout_s, "seconds, above 0")
        places = (self.incoming, self.published, self.quarantine)
        good = all(one and one.strip("/") == one for one in places) and len({*places}) == 3
        require(good, "incoming, published, quarantine", places, "three different prefixes")
        told = self.outcome_task is None or bool(self.outcome_task)
        require(told, "outcome_task", self.outcome_task, "a task's name, or None")
