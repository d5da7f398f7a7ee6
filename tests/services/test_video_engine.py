"""The engine of videos, beside FFmpeg's own programs."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from tests.support.ffmpeg import clip, first_frame, identified, mean_difference, probed, run

from toril.core.errors import InvalidOptionError
from toril.services.media.pyav import PyavEngine
from toril.services.media.video_port import MadeVideo, VideoFormat, VideoLimits, VideoPlan
from toril.services.media.video_sizes import output_size_px
from toril.services.unusable import UnusableInputError


def made(source: Path, plan: VideoPlan | None = None, **limits: float) -> tuple[MadeVideo, Path]:
    """Transcode into the same folder."""
    plan = plan or VideoPlan()
    target = source.parent / f"made{plan.format.suffix}"
    engine = PyavEngine(VideoLimits(**limits))  # type: ignore[arg-type]  # floats where they are whole
    poster = source.parent / "poster.jpg"
    said: list[int] = []
    video = engine.transcode(source, target, poster, plan, name=source.name, report=said.append)
    assert said == sorted(said)
    assert (said[0], said[-1]) == (0, 100)
    return video, target


def test_video_becomes_h264_and_aac_with_its_index_in_front(tmp_path: Path) -> None:
    source = clip(tmp_path / "source.mkv", size="1920x1080", seconds=2)

    video, target = made(source)

    found = probed(target)
    assert found["format"]["format_name"] == "mov,mp4,m4a,3gp,3g2,mj2"
    assert (found["video"]["codec_name"], found["audio"]["codec_name"]) == ("h264", "aac")
    assert (found["video"]["width"], found["video"]["height"]) == (1280, 720)
    assert found["video"]["pix_fmt"] == "yuv420p"
    assert found["video"]["sample_aspect_ratio"] == "1:1"
    assert int(found["video"]["nb_frames"]) == video.frames == 50
    assert float(found["format"]["duration"]) == pytest.approx(2.0, abs=0.1)
    assert video.duration_s == pytest.approx(float(found["format"]["duration"]), abs=0.01)
    assert video.size_bytes == target.stat().st_size == int(found["format"]["size"])
    assert (video.width_px, video.height_px, video.audio) == (1280, 720, True)
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    poster = identified(tmp_path / "poster.jpg")
    assert (poster["format"], poster["width"], poster["height"]) == ("JPEG", "1280", "720")
    assert poster["quality"] == "85"


def test_webm_is_vp9_and_opus(tmp_path: Path) -> None:
    _, target = made(clip(tmp_path / "s.mp4"), VideoPlan(format=VideoFormat.WEBM))

    found = probed(target)
    assert (found["video"]["codec_name"], found["audio"]["codec_name"]) == ("vp9", "opus")
    assert found["format"]["format_name"] == "matroska,webm"


def test_small_video_is_not_enlarged_and_gets_even_sides(tmp_path: Path) -> None:
    source = clip(tmp_path / "s.mkv", size="101x75", sound=False, options=("-pix_fmt", "yuv444p"))

    video, target = made(source)

    found = probed(target)
    assert (found["video"]["width"], found["video"]["height"]) == (100, 74)
    assert found["audio"] is None
    assert not video.audio


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_video_is_made_upright(tmp_path: Path, degrees: int) -> None:
    plain = clip(tmp_path / "plain.mp4", sound=False)
    source = tmp_path / "turned.mp4"
    turn = ("-metadata:s:v:0", f"rotate={degrees}", "-c", "copy", str(source))
    run("-y", "-i", str(plain), *turn)

    _, target = made(source)

    found = probed(target)
    shown = (180, 320) if degrees in (90, 270) else (320, 180)
    assert (found["video"]["width"], found["video"]["height"]) == shown
    assert "side_data_list" not in found["video"], "it is turned, and says to turn it again"
    theirs, ours = first_frame(source, size=shown), first_frame(target, size=shown)
    assert mean_difference(theirs, ours) < 12


def test_upright_video_may_use_the_box_turned() -> None:
    sides = {"aspect": Fraction(1), "quarter_turns": 0}

    as_it_is = output_size_px(1080, 1920, plan=VideoPlan(), **sides)  # type: ignore[arg-type]
    turned = output_size_px(1080, 1920, plan=VideoPlan(turn_box=True), **sides)  # type: ignore[arg-type]

    assert as_it_is == (404, 720)
    assert turned == (720, 1280)


def test_long_pixels_become_square(tmp_path: Path) -> None:
    source = clip(tmp_path / "s.mkv", size="180x144", sound=False, options=("-vf", "setsar=16/11"))

    _, target = made(source)

    video = probed(target)["video"]
    assert (video["width"], video["height"], video["sample_aspect_ratio"]) == (262, 144, "1:1")


def test_metadata_is_not_kept(tmp_path: Path) -> None:
    place = ("-metadata", "location=+52.5+013.4/", "-metadata", "title=secret")
    source = clip(tmp_path / "s.mp4", options=place)
    assert b"secret" in source.read_bytes()

    _, target = made(source)

    content = target.read_bytes()
    assert b"secret" not in content
    assert b"+52.5" not in content


def test_frames_over_the_rate_are_left_out(tmp_path: Path) -> None:
    source = clip(tmp_path / "s.mp4", rate=120, seconds=1, sound=False)

    video, target = made(source, VideoPlan(max_frames_per_s=30))

    assert 29 <= video.frames <= 31
    assert float(probed(target)["format"]["duration"]) == pytest.approx(1.0, abs=0.05)


def test_poster_shows_the_moment_that_was_asked_for(tmp_path: Path) -> None:
    """Black for a second, then white."""
    source = tmp_path / "s.mp4"
    black = ("-f", "lavfi", "-i", "color=black:size=64x48:rate=10:duration=1")
    white = ("-f", "lavfi", "-i", "color=white:size=64x48:rate=10:duration=1")
    run("-y", *black, *white, "-filter_complex", "concat=n=2", str(source))
    poster = tmp_path / "poster.jpg"

    made(source, VideoPlan(poster_at_s=0.5))
    early = sum(first_frame(poster, size=(8, 8))) / 192
    made(source, VideoPlan(poster_at_s=1.5))
    late = sum(first_frame(poster, size=(8, 8))) / 192
    made(source, VideoPlan(poster_at_s=60))
    last = sum(first_frame(poster, size=(8, 8))) / 192

    assert early < 20
    assert late > 235
    assert last > 235


def test_sound_stays_with_the_picture(tmp_path: Path) -> None:
    """The tone begins after a second; so it does in what was made."""
    source = tmp_path / "s.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=3")
    tone = ("-itsoffset", "1", "-f", "lavfi", "-i", "sine=440:duration=2")
    run("-y", *picture, *tone, str(source))

    _, target = made(source)

    found = probed(target)
    ends = float(found["audio"]["start_time"]) + float(found["audio"]["duration"])
    assert ends == pytest.approx(3.0, abs=0.15)


BAD = {
    "empty": ("it is an empty file", b""),
    "text": ("Invalid data found when processing input", b"hello, world\n" * 1000),
    "playlist": ("Invalid data", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"),
    "concat": ("this kind of file is not accepted", b"ffconcat version 1.0\nfile /etc/hostname\n"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_video_is_refused(tmp_path: Path, kind: str) -> None:
    reason, content = BAD[kind]
    source = tmp_path / "bad.mp4"
    source.write_bytes(content)

    with pytest.raises(UnusableInputError) as refused:
        made(source)

    assert refused.value.subject == "video 'bad.mp4'"
    assert reason in refused.value.reason


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    source = tmp_path / "tone.m4a"
    run("-y", "-f", "lavfi", "-i", "sine=440:duration=1", str(source))

    with pytest.raises(UnusableInputError, match="it has no pictures, only audio"):
        made(source)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_half_a_video_is_refused(tmp_path: Path, container: str) -> None:
    front = ("-movflags", "+faststart") if container == "mp4" else ()
    source = clip(tmp_path / f"s.{container}", seconds=8, options=front)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])

    with pytest.raises(UnusableInputError, match=r"cut short|damaged"):
        made(source)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_bytes": 1000}, r"over the 1,000 that are allowed \(max_bytes\)"),
        (
            {"max_duration_s": 1.0},
            r"it lasts 2 s, over the 1 s that are allowed \(max_duration_s\)",
        ),
        ({"max_frames": 49}, r"max_frames"),
        ({"max_streams": 1}, r"it has 2 streams, over the 1 that are allowed \(max_streams\)"),
        ({"max_frame_pixels": 57_599}, r"frames of 320 x 180 have 57,600 pixels.*max_frame_pixels"),
    ],
)
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_video_over_a_limit_is_refused(
    tmp_path: Path, limits: dict[str, float], reason: str, container: str
) -> None:
    source = clip(tmp_path / f"s.{container}")

    with pytest.raises(UnusableInputError, match=reason):
        made(source, None, **limits)


def test_video_at_its_limits_is_taken(tmp_path: Path) -> None:
    source = clip(tmp_path / "s.mp4")

    video, _ = made(
        source,
        max_bytes=source.stat().st_size,
        max_duration_s=2.1,
        max_frames=50,
        max_streams=2,
        max_frame_pixels=57_600,
    )

    assert video.frames == 50


def test_length_that_the_header_hides_is_counted(tmp_path: Path) -> None:
    """A stream that was recorded live says no duration."""
    source = tmp_path / "live.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=4")
    run("-y", *picture, "-f", "matroska", "-live", "1", str(source))
    assert PyavEngine().probe(source, name="live").duration_s is None

    with pytest.raises(UnusableInputError, match=r"it lasts over 2 s \(max_duration_s\)"):
        made(source, max_duration_s=2.0)
    with pytest.raises(UnusableInputError, match=r"it has over 10 frames \(max_frames\)"):
        made(source, max_frames=10)


def test_probe_says_what_the_header_says(tmp_path: Path) -> None:
    facts = PyavEngine().probe(clip(tmp_path / "s.mp4"), name="s.mp4")

    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")
    assert (facts.width_px, facts.height_px, facts.streams) == (320, 180, 2)
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)


def test_other_files_that_a_video_names_are_not_opened(tmp_path: Path) -> None:
    """QuickTime can say that its frames lie in another file."""
    source = clip(tmp_path / "s.mov", sound=False)
    content = source.read_bytes()
    own = content.index(b"url \x00\x00\x00\x01")
    at = own - 4
    assert struct.unpack(">I", content[at:own])[0] == 12
    source.write_bytes(content[: own + 4] + b"\x00\x00\x00\x00" + content[own + 8 :])

    # It lies elsewhere now, by its own word: our file has to be read, or nothing at all.
    try:
        made(source)
    except UnusableInputError as refused:
        assert "damaged" in refused.reason  # noqa: PT017 - either is right


def test_plan_refuses_nonsense() -> None:
    for name, value in (
        ("max_width_px", 1),
        ("max_height_px", 20_000),
        ("max_frames_per_s", 0.5),
        ("quality", 64),
        ("audio_bits_per_s", 1),
        ("poster_at_s", -1),
        ("poster_quality", 0),
        ("threads", 0),
    ):
        with pytest.raises(InvalidOptionError, match=name):
            replace(VideoPlan(), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="max_frames"):
        VideoLimits(max_frames=0)
