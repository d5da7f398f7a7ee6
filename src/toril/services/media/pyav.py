"""The built-in video engine: FFmpeg's libraries by PyAV.

Only containers of one file are opened. FFmpeg also knows playlists, whose entries are other files
and addresses: opening one that a stranger wrote would read what he may not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toril.core.errors import TorilError
from toril.services.media.video_encoding import Encoding
from toril.services.media.video_port import MadeVideo, Report, VideoFacts, VideoLimits, VideoPlan
from toril.services.unusable import UnusableInputError, named

try:
    import av
    import av.logging
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Disposition
    from av.video.stream import VideoStream
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("videos need PyAV 18 or newer, and Pillow", "video") from error

CONTAINERS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"
"""What is opened, by FFmpeg's names: MP4 and QuickTime, Matroska and WebM, and older ones."""

_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", "enable_drefs": "0"}
_WITH_A_DURATION = ("mov,", "matroska,")
"""Containers that write down how long they are; of the others FFmpeg's number is a guess."""
_CUT_SHORT_RATIO = 0.9
_CUT_SHORT_S = 1.0


class PyavEngine:
    """Makes videos with PyAV.

    Parameters:
        limits: What is refused.
        said: Returns the last line that FFmpeg has written to stderr: its errors say what went
            wrong, its lines say why. Default: nobody has looked.
    """

    def __init__(
        self, limits: VideoLimits | None = None, *, said: Callable[[], str] | None = None
    ) -> None:
        self._limits = limits if limits is not None else VideoLimits()
        self._said = said
        # To stderr. PyAV can also hand the lines to Python, but with that a child once stood still
        # for ever: perhaps since each line needs the GIL, which a thread that waits may have held.
        av.logging.restore_default_callback()
        av.logging.set_libav_level(av.logging.ERROR)

    def probe(self, source: Path, *, name: str) -> VideoFacts:
        """Return what the header says."""
        subject = named("video", name)
        with self._opened(source, subject) as container:
            return self._facts(container, subject)

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
        """Write the smaller video, and its poster."""
        subject = named("video", name)
        report(0)
        with self._opened(source, subject) as container:
            facts = self._facts(container, subject)
            video = _pictures(container, subject)
            video.codec_context.thread_type = "AUTO"
            video.codec_context.thread_count = plan.threads
            sound = _sound(container) if facts.audio_codec is not None else None
            with Encoding(target, plan, self._limits, video, sound, subject) as encoding:
                self._run(container, encoding, facts, subject, report)
                encoding.finish(poster)
        with av.open(target) as made:
            duration_s = (made.duration or 0) / av.time_base
        report(100)
        return MadeVideo(
            width_px=encoding.width_px,
            height_px=encoding.height_px,
            duration_s=round(duration_s, 3),
            size_bytes=target.stat().st_size,
            frames=encoding.frames,
            audio=encoding.has_sound,
        )

    def _run(
        self,
        container: InputContainer,
        encoding: Encoding,
        facts: VideoFacts,
        subject: str,
        report: Report,
    ) -> None:
        """Decode everything, and give it to the encoder."""
        percent = 0
        wanted = [each for each in (encoding.video_in, encoding.audio_in) if each is not None]
        ended_s = 0.0
        for packet in self._packets(container, wanted, subject):
            if packet.pts is not None and packet.time_base is not None:
                end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                ended_s = max(ended_s, end_s - encoding.begin_s)
            with self._blamed_on_content(subject):
                frames = packet.decode()
            for frame in frames:
                encoding.take(frame)
            if facts.duration_s and encoding.seen_s:
                done = min(99, int(encoding.seen_s / facts.duration_s * 100))
                if done > percent:
                    percent = done
                    report(percent)
        self._refuse_cut_short(ended_s, facts, subject)

    def _refuse_cut_short(self, ended_s: float, facts: VideoFacts, subject: str) -> None:
        """Refuse half a video, which would play without anybody knowing what is missing."""
        if not facts.container.startswith(_WITH_A_DURATION):
            return
        whole_s = facts.duration_s or 0.0
        if ended_s < whole_s * _CUT_SHORT_RATIO and whole_s - ended_s > _CUT_SHORT_S:
            reason = f"it ends after {ended_s:.1f} s of the {whole_s:.1f} s of its header"
            raise UnusableInputError(subject, f"it is cut short: {reason}")

    @contextmanager
    def _opened(self, source: Path, subject: str) -> Iterator[InputContainer]:
        size = source.stat().st_size
        limit = self._limits.max_bytes
        if size > limit:
            reason = f"it has {size:,} bytes, over the {limit:,} that are allowed (max_bytes)"
            raise UnusableInputError(subject, reason)
        if size == 0:
            raise UnusableInputError(subject, "it is an empty file")
        with self._blamed_on_content(subject):
            try:
                container = av.open(str(source), options=dict(_OPTIONS))
            except av.error.ArgumentError as error:  # not on the list
                reason = f"this kind of file is not accepted ({self._words(error)}); accepted are"
                raise UnusableInputError(subject, f"{reason} {CONTAINERS}") from error
        with container:
            yield container

    def _facts(self, container: InputContainer, subject: str) -> VideoFacts:
        """Compare the header with the limits, and return it."""
        limits = self._limits
        streams = len(container.streams)
        if streams > limits.max_streams:
            reason = f"it has {streams:,} streams, over the {limits.max_streams:,} that are allowed"
            raise UnusableInputError(subject, f"{reason} (max_streams)")
        video = _pictures(container, subject)
        width_px, height_px = video.codec_context.width, video.codec_context.height
        pixels = width_px * height_px
        if pixels < 1:
            raise UnusableInputError(subject, "its header declares no pixels")
        if pixels > limits.max_frame_pixels:
            reason = f"its frames of {width_px} x {height_px} have {pixels:,} pixels, over the"
            reason += f" {limits.max_frame_pixels:,} that are allowed (max_frame_pixels)"
            raise UnusableInputError(subject, reason)
        duration_s = None if not container.duration else container.duration / av.time_base
        if duration_s is not None and duration_s > limits.max_duration_s:
            reason = f"it lasts {duration_s:,.0f} s, over the {limits.max_duration_s:,.0f} s"
            raise UnusableInputError(subject, f"{reason} that are allowed (max_duration_s)")
        if video.frames > limits.max_frames:
            reason = f"it has {video.frames:,} frames, over the {limits.max_frames:,} that are"
            raise UnusableInputError(subject, f"{reason} allowed (max_frames)")
        sound = _sound(container)
        return VideoFacts(
            container=container.format.name,
            video_codec=video.codec_context.name,
            audio_codec=None if sound is None else sound.codec_context.name,
            width_px=width_px,
            height_px=height_px,
            duration_s=duration_s,
            streams=streams,
        )

    def _packets(
        self,
        container: InputContainer,
        streams: list[AudioStream | VideoStream],
        subject: str,
    ) -> Iterator[Packet[Any]]:
        packets = container.demux(*streams)
        while True:
            with self._blamed_on_content(subject):
                packet = next(packets, None)
            if packet is None:
                return
            yield packet

    @contextmanager
    def _blamed_on_content(self, subject: str) -> Iterator[None]:
        """Turn what a demuxer or decoder says into `UnusableInputError`, in its own words.

        The file is ours and on a disk of ours, so that only its content can be at fault; but for a
        lack of memory, and a disk that cannot be read.
        """
        try:
            yield
        except (TorilError, MemoryError):
            raise
        except (av.FFmpegError, ValueError, LookupError, ArithmeticError) as error:
            if isinstance(error, OSError):
                raise
            reason = f"it is no video, or damaged ({self._words(error)})"
            raise UnusableInputError(subject, reason) from error

    def _words(self, error: Exception) -> str:
        """Return what FFmpeg said: its error, and the line of its log that goes with it."""
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        line = self._said() if self._said is not None else ""
        return f"{words}: {line}" if line else words


def _pictures(container: InputContainer, subject: str) -> VideoStream:
    """Return the first stream of pictures that is not the cover of a record."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise UnusableInputError(subject, "its pictures are in a codec without a decoder")
            return stream
    raise UnusableInputError(subject, f"it has no pictures, only {_kinds(container)}")


def _kinds(container: InputContainer) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "an empty container"


def _sound(container: InputContainer) -> AudioStream | None:
    """Return the first stream of sound that can be decoded."""
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            return stream
    return None
