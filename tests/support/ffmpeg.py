"""The programs `ffmpeg`, `ffprobe` and ImageMagick: they make clips, and read what we made.

None of them shares code with Pillow; `ffprobe` is Debian's, PyAV brings FFmpeg's libraries itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.packages import install


@cache
def program(name: str, package: str) -> str:
    """Return the path of a program, installed if it is not there."""
    found = shutil.which(name)
    if found is None:
        trouble = install(package)
        found = shutil.which(name)
        assert found is not None, f"{name} is not there and cannot be installed: {trouble}"
    return found


def clip(
    path: Path,
    *,
    size: str = "320x180",
    seconds: float = 2,
    rate: int = 25,
    sound: bool = True,
    options: tuple[str, ...] = (),
) -> Path:
    """Make a video of a moving test picture, with a tone.

    Parameters:
        path: Its ending says which container.
        size: Such as `320x180`.
        seconds: How long.
        rate: Frames a second.
        sound: Whether there is a tone.
        options: Of ffmpeg, for the output.
    """
    source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    if sound:
        source += ["-f", "lavfi", "-i", f"sine=440:duration={seconds}"]
    run("-y", *source, *options, str(path))
    return path


def run(*arguments: str) -> str:
    """Run ffmpeg and return what it printed."""
    command = [program("ffmpeg", "ffmpeg"), "-v", "error", "-nostdin", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def probed(path: Path) -> dict[str, Any]:
    """Return what ffprobe says: `format`, `video` and `audio` (None: there is none)."""
    command = [program("ffprobe", "ffmpeg"), "-v", "error", "-show_format", "-show_streams"]
    command += ["-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    by_kind = {stream["codec_type"]: stream for stream in found["streams"]}
    assert len(by_kind) == len(found["streams"]), "more than one stream of a kind"
    return {
        "format": found["format"],
        "video": by_kind.get("video"),
        "audio": by_kind.get("audio"),
    }


def first_frame(path: Path, *, size: tuple[int, int]) -> bytes:
    """Return the first frame as ffmpeg shows it, turned as the file says: RGB, row by row."""
    command = [program("ffmpeg", "ffmpeg"), "-v", "error", "-nostdin", "-i", str(path)]
    command += ["-frames:v", "1", "-vf", f"scale={size[0]}:{size[1]}"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def mean_difference(one: bytes, other: bytes) -> float:
    """Return how far two pictures of the same size are apart: 0 to 255, on average."""
    assert len(one) == len(other)
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def identified(path: Path) -> dict[str, str]:
    """Return what ImageMagick says of a picture."""
    form = '{"format":"%m","width":"%w","height":"%h","quality":"%Q","space":"%[colorspace]",'
    form += '"orientation":"%[orientation]","alpha":"%A","exif":"%[EXIF:*]"}\n'
    command = [program("identify", "imagemagick"), "-format", form, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    frames = done.stdout.strip().splitlines()
    assert len(frames) == 1, "several frames"
    found: dict[str, str] = json.loads(frames[0])
    return found


def pixel(path: Path, x: int, y: int) -> tuple[int, int, int]:
    """Return the colour of one pixel, as ImageMagick decodes it."""
    form = f"%[fx:int(255*p{{{x},{y}}}.r)] %[fx:int(255*p{{{x},{y}}}.g)]"
    form += f" %[fx:int(255*p{{{x},{y}}}.b)]"
    command = [program("convert", "imagemagick"), str(path), "-colorspace", "sRGB"]
    done = subprocess.run(
        [*command, "-format", form, "info:"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    red, green, blue = (int(each) for each in done.stdout.split())
    return red, green, blue
