"""What becomes of videos: sizes, format, limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from toril.core.checks import require
from toril.services.media.video_port import VideoLimits, VideoPlan

LONGEST_S = 3600.0
"""How long a task may take in all, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """Everything that work on videos is told once.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    plan: VideoPlan = field(default_factory=VideoPlan)
    """What is made. Default: MP4 within 1280 x 720, and a poster of the first second."""
    limits: VideoLimits = field(default_factory=VideoLimits)
    """What is refused. Default: 1 GiB, half an hour, 1 GiB of memory."""
    folder: str = ""
    """Where the files of jobs with an id go, from the storage's root. Default: the root."""
    timeout_s: float = 1800.0
    """How long the encoder may take, in seconds; then its process is killed. Under an hour."""

    def __post_init__(self) -> None:
        good = 0 < self.timeout_s < LONGEST_S
        require(good, "timeout_s", self.timeout_s, f"seconds, more than 0, under {LONGEST_S:.0f}")

    def key_of(self, name: str) -> str:
        """Return where a file of this name goes."""
        folder = self.folder.strip("/")
        return f"{folder}/{name}" if folder else name
