"""What a video engine promises: look at a video, then make a smaller one and a poster of it.

An engine takes a path and writes paths that its caller chose; it knows no storage and no record.
`pyav.py` is the one that is built in. An encoder cannot be stopped from outside and takes what
memory it likes, so it belongs into a child process: `children.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from toril.core.checks import require

Report = Callable[[int], None]
"""Told how far the work is, 0 to 100, never less than before."""

MIB = 1024 * 1024


class VideoFormat(StrEnum):
    """The formats that an engine writes."""

    MP4 = "mp4"
    """H.264 and AAC, with the index in front so that players begin at once. Plays everywhere; both
    are under patents, and the encoder that PyAV brings is under the GPL."""
    WEBM = "webm"
    """VP9 and Opus: nobody asks for fees."""

    @property
    def content_type(self) -> str:
        """Its name on the web."""
        return f"video/{self.value}"

    @property
    def suffix(self) -> str:
        """How its files' names end."""
        return f".{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLimits:
    """What an engine refuses, before it decodes anything or on the way."""

    max_bytes: int = 1024 * MIB
    """Largest file, in bytes. Default: 1 GiB."""
    max_duration_s: float = 1800.0
    """Longest video, in seconds. Default: half an hour."""
    max_frames: int = 200_000
    """Most frames. Default: 200,000, an hour and some at 50 a second."""
    max_streams: int = 16
    """Most streams: pictures, sound, subtitles. Default: 16."""
    max_frame_pixels: int = 36_000_000
    """Most pixels of one frame, width by height. Default: 36 million, an 8K frame."""
    max_memory_bytes: int = 1024 * MIB
    """Most memory that the child process may hold, in bytes. Default: 1 GiB."""

    def __post_init__(self) -> None:
        for name, unit in (
            ("max_bytes", "bytes"),
            ("max_duration_s", "seconds"),
            ("max_frames", "frames"),
            ("max_streams", "streams"),
            ("max_frame_pixels", "pixels"),
            ("max_memory_bytes", "bytes"),
        ):
            value = getattr(self, name)
            require(value >= 1, name, value, f"{unit}, 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPlan:
    """What is made of a video."""

    format: VideoFormat = VideoFormat.MP4
    """Default: MP4 with H.264 and AAC."""
    max_width_px: int = 1280
    """Widest, in pixels. Never enlarged."""
    max_height_px: int = 720
    """Highest, in pixels. Never enlarged."""
    turn_box: bool = False
    """Whether upright videos may be `max_height_px` wide and `max_width_px` high instead."""
    max_frames_per_s: float = 60.0
    """Most frames a second; of more, some are left out."""
    quality: int | None = None
    """The encoder's scale, where less is better (`crf`). Default: 23 for MP4, 33 for WebM."""
    audio_bits_per_s: int = 128_000
    """Of stereo sound; mono gets half of it."""
    poster_at_s: float = 1.0
    """Which moment the poster shows; the last frame if the video is shorter."""
    poster_quality: int = 85
    """JPEG quality of the poster, 1 to 100."""
    threads: int = 2
    """How many cores the encoder may use. More cost memory, too."""

    def __post_init__(self) -> None:
        for name in ("max_width_px", "max_height_px"):
            value = getattr(self, name)
            require(2 <= value <= 16_384, name, value, "2 to 16384 pixels")
        require(self.max_frames_per_s >= 1, "max_frames_per_s", self.max_frames_per_s, "1 or more")
        if self.quality is not None:
            require(0 <= self.quality <= 63, "quality", self.quality, "0 (best) to 63 (crf)")
        bits = self.audio_bits_per_s
        require(16_000 <= bits <= 512_000, "audio_bits_per_s", bits, "16000 to 512000 bits")
        require(self.poster_at_s >= 0, "poster_at_s", self.poster_at_s, "seconds, 0 or more")
        require(1 <= self.poster_quality <= 100, "poster_quality", self.poster_quality, "1 to 100")
        require(1 <= self.threads <= 64, "threads", self.threads, "1 to 64")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What a video's header says."""

    container: str
    """FFmpeg's name for it, such as `mov,mp4,m4a,3gp,3g2,mj2`."""
    video_codec: str
    """FFmpeg's name for it, such as `h264`."""
    audio_codec: str | None
    """None: it has no sound, or none that can be read."""
    width_px: int
    """As stored, before pixels are made square and the picture is turned."""
    height_px: int
    duration_s: float | None
    """None: the file does not say."""
    streams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVideo:
    """A finished video."""

    width_px: int
    height_px: int
    duration_s: float
    size_bytes: int
    frames: int
    audio: bool
    """Whether it has sound."""


class VideoEngine(Protocol):
    """Looks at videos and makes others. One at a time, in a process that may be killed."""

    def probe(self, source: Path, *, name: str) -> VideoFacts:
        """Return what the header says, decoding nothing.

        Parameters:
            source: The file.
            name: What to call it in an error. Never trusted for anything else.

        Raises:
            UnusableInputError: It is no video, or over a limit.
        """
        ...

    def transcode(
        self,
        source: Path,
        target: Path,
        poster: Path | None,
        plan: VideoPlan,
        *,
        name: str,
        report: Report,
    ) -> MadeVideo:
        """Write the smaller video, and its poster as a JPEG.

        The picture is upright, its pixels are square and its sides even. No metadata is kept: no
        place, no camera, no chapters, no subtitles.

        Parameters:
            source: The file.
            target: Where the video goes; replaced if there is one.
            poster: Where the poster goes. None: none is made.
            plan: What to make.
            name: What to call it in an error.
            report: Told how far the encoder is.

        Raises:
            UnusableInputError: It is no video, is damaged or cut short, or is over a limit. What is
                at `target` and `poster` then is worth nothing.
            OSError: The disk.
        """
        ...
