"""The encoder's half of a transcoding: frames go in, a finished file comes out.

Reads no file: `pyav.py` decodes. Frames may change their size on the way, have no time, or repeat
one; what comes out has one size and times that grow.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from toril.services.media.video_port import VideoFormat, VideoLimits, VideoPlan
from toril.services.media.video_sizes import output_size_px
from toril.services.unusable import UnusableInputError

try:
    import av
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("videos need PyAV 18 or newer, and Pillow", "video") from error

_TICKS_PER_S = 90_000  # MPEG's own clock; all usual rates are whole numbers of its ticks
_SOUND_HZ = 48_000
_UNSAID = 2  # FFmpeg's number for colours of which the file says nothing
_TURNS = {1: "cclock", 3: "clock"}

_CODECS: dict[VideoFormat, tuple[str, dict[str, str], int, str]] = {
    VideoFormat.MP4: ("libx264", {"preset": "veryfast", "profile": "high"}, 23, "aac"),
    VideoFormat.WEBM: (
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "b": "0"},
        33,
        "libopus",
    ),
}
"""The encoder of pictures, how it is told to work, its usual `crf`, and the encoder of sound."""
_CONTAINER = {VideoFormat.MP4: {"movflags": "+faststart"}, VideoFormat.WEBM: {}}


class Encoding:
    """Encodes the frames of one video. Use it in a `with` statement; then the file is closed.

    Parameters:
        target: The file to write.
        plan: What to make.
        limits: Frames, their size, and seconds are counted.
        video: Where the pictures come from.
        audio: Where the sound comes from. None: there is none.
        subject: What to call it in an error.
    """

    def __init__(
        self,
        target: Path,
        plan: VideoPlan,
        limits: VideoLimits,
        video: VideoStream,
        audio: AudioStream | None,
        subject: str,
    ) -> None:
        self._plan, self._limits, self._subject = plan, limits, subject
        self.video_in, self.audio_in = video, audio
        begins = [
            stream.start_time * stream.time_base
            for stream in (video, audio)
            if stream is not None and stream.start_time is not None and stream.time_base
        ]
        begin = min(begins, default=Fraction(0))
        self.begin_s = float(begin)
        """When the first stream begins, in seconds of the file. Comes out as 0."""
        self.seen_s = 0.0
        """How far the pictures are, in seconds from there."""
        self.frames = 0
        """Frames that were encoded."""
        self.width_px = self.height_px = 0
        """Of what is made; 0 before the first frame."""
        self._begin = begin
        self._decoded = 0
        self._last_ticks: int | None = None
        self._next_s = 0.0
        self._poster: VideoFrame | None = None
        self._poster_is_due = True
        self._graph: Graph | None = None
        self._shape: tuple[object, ...] = ()
        self._video_out: VideoStream | None = None
        self._audio_out: AudioStream | None = None
        self._samples_end = Fraction(0)
        self._early: list[AudioFrame] = []
        """Sound from before the first picture: the size has to be known when the header is written,
        and the first packet writes it."""
        codec, options, quality, self._sound_codec = _CODECS[plan.format]
        self._codec = codec
        self._options = {**options, "crf": str(quality if plan.quality is None else plan.quality)}
        self._container = av.open(
            str(target), "w", format=plan.format.value, options=dict(_CONTAINER[plan.format])
        )
        # Both before the first packet: a container takes no stream after its header.
        self._resampler: av.AudioResampler | None = None
        self._add_video()
        if audio is not None:
            self._add_audio(audio)

    @property
    def has_sound(self) -> bool:
        """Whether what is made has sound."""
        return self._audio_out is not None

    def take(self, frame: VideoFrame | AudioFrame) -> None:
        """Encode a decoded frame.

        Raises:
            UnusableInputError: There are too many frames, or one is too large.
        """
        if isinstance(frame, VideoFrame):
            self._see(frame)
            for sound in self._early:
                self._hear(sound)
            self._early.clear()
        elif not self.width_px:
            self._early.append(frame)
        else:
            self._hear(frame)

    def finish(self, poster: Path | None) -> None:
        """Write what the encoders still hold, and the poster.

        Raises:
            UnusableInputError: Not one frame was decoded.
        """
        if self._graph is not None:
            self._graph.push(None)
            self._drain()
        if self.frames == 0 or self._video_out is None:
            raise UnusableInputError(self._subject, "not one frame of it can be decoded")
        self._container.mux(self._video_out.encode(None))
        if self._audio_out is not None:
            self._container.mux(self._audio_out.encode(None))
        if poster is not None and self._poster is not None:
            quality = self._plan.poster_quality
            picture = self._poster.to_image()  # type: ignore[no-untyped-call]  # as PyAV has it
            picture.save(poster, "JPEG", quality=quality, optimize=True)

    def _add_video(self) -> None:
        stream = self._container.add_stream(self._codec, options=dict(self._options))
        assert isinstance(stream, VideoStream)  # noqa: S101 - of an encoder of pictures
        self._video_out = stream

    def _add_audio(self, audio: AudioStream) -> None:
        layout = "mono" if audio.codec_context.channels == 1 else "stereo"
        stream = self._container.add_stream(self._sound_codec, rate=_SOUND_HZ, layout=layout)
        assert isinstance(stream, AudioStream)  # noqa: S101 - of an encoder of sound
        bits = self._plan.audio_bits_per_s
        stream.bit_rate = bits // 2 if layout == "mono" else bits
        stream.codec_context.time_base = Fraction(1, _SOUND_HZ)
        self._audio_out = stream
        kind = "flt" if self._sound_codec == "libopus" else "fltp"
        self._resampler = av.AudioResampler(format=kind, layout=layout, rate=_SOUND_HZ)

    def _hear(self, frame: AudioFrame) -> None:
        if self._resampler is None or self._audio_out is None:
            return
        for piece in self._resampler.resample(frame):
            if piece.pts is not None and piece.time_base is not None:
                # Sound from before the pictures' first frame has nothing to go with.
                moved = Fraction(piece.pts) * piece.time_base - self._begin
                begin = max(moved, self._samples_end)
            else:
                begin = self._samples_end
            piece.time_base = Fraction(1, _SOUND_HZ)
            piece.pts = round(begin * _SOUND_HZ)
            self._samples_end = begin + Fraction(piece.samples, _SOUND_HZ)
            self._container.mux(self._audio_out.encode(piece))

    def _see(self, frame: VideoFrame) -> None:
        self._decoded += 1
        if self._decoded > self._limits.max_frames:
            reason = f"it has over {self._limits.max_frames:,} frames (max_frames)"
            raise UnusableInputError(self._subject, reason)
        at = self._moment(frame)
        if at > self._limits.max_duration_s:
            reason = f"it lasts over {self._limits.max_duration_s:,.0f} s (max_duration_s)"
            raise UnusableInputError(self._subject, reason)
        self.seen_s = max(self.seen_s, at)
        if at + 1e-6 < self._next_s:
            return
        self._next_s = max(self._next_s, at - 1e-6) + 1 / self._plan.max_frames_per_s
        shape = (frame.width, frame.height, frame.format.name, frame.rotation)
        if shape != self._shape:
            if self._graph is not None:  # another size in the middle
                self._graph.push(None)
                self._drain()
            self._graph, self._shape = self._filters(frame), shape
        assert self._graph is not None  # noqa: S101 - made above, before the first frame
        frame.pts, frame.time_base = round(at * _TICKS_PER_S), Fraction(1, _TICKS_PER_S)
        self._graph.push(frame)
        self._drain()

    def _moment(self, frame: VideoFrame) -> float:
        """Return when a frame is shown, in seconds; one without a time follows the one before."""
        if frame.pts is not None and frame.time_base is not None:
            return max(0.0, float(frame.pts * frame.time_base - self._begin))
        rate = self.video_in.average_rate or Fraction(25)
        return self.seen_s + float(1 / rate) if self.frames else 0.0

    def _filters(self, frame: VideoFrame) -> Graph:
        """Return what turns, shrinks and converts frames like this one."""
        limit = self._limits.max_frame_pixels
        if frame.width * frame.height > limit:
            reason = f"a frame of {frame.width} x {frame.height} is over the {limit:,} pixels"
            raise UnusableInputError(self._subject, f"{reason} that are allowed (max_frame_pixels)")
        turns = round(frame.rotation / 90) % 4
        if not self.width_px:
            self._begin_pictures(frame, turns)
        graph = Graph()
        steps = [
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=Fraction(1, _TICKS_PER_S),
            )
        ]
        if turns == 2:
            steps += [graph.add("hflip"), graph.add("vflip")]
        elif turns:
            steps.append(graph.add("transpose", _TURNS[turns]))
        size = f"{self.width_px}:{self.height_px}:flags=bicubic:out_range=tv"
        steps += [
            graph.add("scale", size),
            graph.add("setsar", "1"),
            graph.add("format", "yuv420p"),
            graph.add("buffersink"),
        ]
        for one, next_one in itertools.pairwise(steps):
            one.link_to(next_one)
        graph.configure()
        return graph

    def _begin_pictures(self, frame: VideoFrame, turns: int) -> None:
        """Set the encoder up for the size of the first frame."""
        assert self._video_out is not None  # noqa: S101 - added when this was made
        self.width_px, self.height_px = output_size_px(
            frame.width,
            frame.height,
            aspect=self.video_in.codec_context.sample_aspect_ratio or Fraction(1),
            quarter_turns=turns,
            plan=self._plan,
        )
        context = self._video_out.codec_context
        context.width, context.height = self.width_px, self.height_px
        context.pix_fmt = "yuv420p"
        context.sample_aspect_ratio = Fraction(1)
        context.time_base = Fraction(1, _TICKS_PER_S)
        most = Fraction(self._plan.max_frames_per_s).limit_denominator(1001)
        context.framerate = min(self.video_in.average_rate or Fraction(25), most)
        context.thread_count = self._plan.threads
        context.color_range = 1  # as the filter makes it
        for name in ("color_primaries", "color_trc", "colorspace"):
            value = getattr(frame, name, _UNSAID)
            if value != _UNSAID:
                setattr(context, name, value)

    def _drain(self) -> None:
        """Encode what the filters have ready."""
        assert self._graph is not None  # noqa: S101 - see `_see`
        assert self._video_out is not None  # noqa: S101 - added when this was made
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, VideoFrame)  # noqa: S101 - of a graph of pictures
            ticks = frame.pts if frame.pts is not None else 0
            if self._last_ticks is not None and ticks <= self._last_ticks:
                continue  # the same moment again
            self._last_ticks = ticks
            frame.pict_type = 0  # the encoder decides which are key frames, not the file
            self.frames += 1
            if self._poster_is_due:
                self._poster = frame
                self._poster_is_due = ticks < self._plan.poster_at_s * _TICKS_PER_S
            self._container.mux(self._video_out.encode(frame))

    def __enter__(self) -> Encoding:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._container.close()
            return
        try:
            self._container.close()
        except av.FFmpegError:
            return  # the first error is the one to tell
