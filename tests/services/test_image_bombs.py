"""Files that ask for hours or gigabytes are refused by their structure, at once."""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib
from dataclasses import replace

import pytest
from PIL import Image
from tests.services.bombs import (
    BOMBS,
    canvas,
    chunk,
    crowded_exif,
    gif,
    gif_frame,
    jpeg_with,
    many_scans,
    png_with,
    segment,
    webp,
)
from tests.services.pictures import RED, decoded, encode, exif, near, quadrants

from toril.core.process_memory import growth_limited
from toril.services.media.admission import WALKERS
from toril.services.media.orientation import orientation
from toril.services.media.pillow import PillowEngine
from toril.services.media.port import Fit, ImageFormat, ImageLimits, VariantSpec
from toril.services.unusable import UnusableInputError

LIMITS = ImageLimits(formats=frozenset(ImageFormat))
SPECS = [VariantSpec(name="v", width_px=40, height_px=40, fit=Fit.INSIDE)]
MIB = 1024 * 1024


def render(content: bytes, limits: ImageLimits = LIMITS) -> Image.Image:
    [made] = PillowEngine(limits).render(content, SPECS, name="a")
    return decoded(made.content)


@pytest.mark.parametrize("name", list(BOMBS))
def test_bomb_is_refused_at_once_without_memory(name: str) -> None:
    """A 396 kB JPEG of many scans took 214 s; a 2 kB TIFF 1.6 GB, a 131 kB WebP 860 MB."""
    make, reason = BOMBS[name]
    content = make()
    began_s = time.process_time()

    with (
        growth_limited(64 * MIB + 4 * len(content)),
        pytest.raises(UnusableInputError, match=reason),
    ):
        render(content)

    assert time.process_time() - began_s < 5


@pytest.mark.parametrize(
    ("kind", "options", "bytes_per_pixel"),
    [
        ("JPEG", {}, 4),
        ("JPEG", {"progressive": True}, 4 + 2 * 1.5),
        ("JPEG", {"progressive": True, "subsampling": 0}, 4 + 2 * 3),
        ("PNG", {}, 9),
        ("GIF", {}, 9),
        ("WEBP", {}, 17),
        ("WEBP", {"lossless": True}, 17),
        ("WEBP", {"exif": exif(6)}, 17),
        ("AVIF", {}, 15),
        ("TIFF", {}, 9 + 2 * 3),
        ("TIFF", {"big_tiff": True}, 9 + 2 * 3),
        ("TIFF", {"compression": "tiff_lzw", "strip_size": 80 * 3 * 10}, 9 + 2 * 3 / 6),
    ],
)
def test_size_and_memory_are_told_by_the_structure(
    kind: str, options: dict[str, object], bytes_per_pixel: float
) -> None:
    content = encode(quadrants(80, 60), kind, **options)

    found = WALKERS[ImageFormat(kind.lower())](content, LIMITS)

    assert (found.width_px, found.height_px, found.frames) == (80, 60, 1)
    assert found.memory_bytes == 80 * 60 * bytes_per_pixel


def test_scans_up_to_the_limit_are_taken() -> None:
    render(many_scans(64, width_px=8, height_px=8))

    with pytest.raises(UnusableInputError, match="more than 9 scans"):
        render(many_scans(10, width_px=8, height_px=8), replace(LIMITS, max_scans=9))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_limits_are_exact(kind: str) -> None:
    """The most that is allowed is allowed."""
    content = encode(quadrants(), kind)

    def accepts(**limits: int) -> bool:
        try:
            render(content, replace(LIMITS, **limits))  # type: ignore[arg-type]
        except UnusableInputError as error:
            return next(iter(limits)) not in error.reason
        return True

    least = next(most for most in range(1, 100) if accepts(max_parts=most))
    assert least > 1 or kind in ("WEBP", "GIF")  # of two chunks, of one block
    assert accepts(max_parts=least + 1)
    assert accepts(max_frames=1)
    assert accepts(max_scans=1)
    assert not accepts(max_memory_bytes=80 * 60)


def test_cameras_progressive_photographs_are_far_from_the_limit() -> None:
    content = encode(quadrants(), "JPEG", progressive=True)

    assert render(content, replace(LIMITS, max_scans=10))


@pytest.mark.parametrize("fill", [b"\xff" * 1_000_000, b"\0" * 1_000_000])
def test_padding_between_markers_costs_nothing(fill: bytes) -> None:
    began_s = time.process_time()

    assert near(render(jpeg_with(segment(0xFE, b"a") + fill)).getpixel((5, 5)), RED)

    assert time.process_time() - began_s < 2


def test_decoder_never_sees_what_says_nothing_of_the_pixels() -> None:
    """Pillow before 12 read each of the tags: 5 MB of EXIF became gigabytes."""
    crowd = b"".join(
        segment(0xE1, b"Exif\0\0" + crowded_exif(5_000, 64_000)[:65_000]) for _ in "ab"
    )
    baggage = crowd + segment(0xFE, b"c" * 60_000) * 50 + segment(0xED, b"Photoshop 3.0\0") * 50

    with growth_limited(64 * MIB):
        assert near(render(jpeg_with(baggage)).getpixel((5, 5)), RED)


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"], ids=["profiles", "texts"])
def test_packed_chunks_are_unpacked_once(kind: bytes) -> None:
    """Thousands of packed colour profiles took 64 s, of which one was used."""
    packed = zlib.compress(bytes(900_000))
    content = png_with(*[chunk(kind, b"k\0\0" + packed)] * 9_000)
    assert len(content) < 20 * MIB
    began_s = time.process_time()

    assert near(render(content).getpixel((5, 5)), RED)

    assert time.process_time() - began_s < 3


def test_orientation_in_a_text_of_a_png_is_read() -> None:
    """ImageMagick writes EXIF as hexadecimals."""
    block = exif(6).tobytes()
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    packed = b"Raw profile type exif\0\0" + zlib.compress(text)
    broken = b"Raw profile type exif\0\nexif\n 4\nzz"

    assert render(png_with(chunk(b"zTXt", packed))).size == (30, 40)
    assert render(png_with(chunk(b"tEXt", broken))).size == (40, 30)


def test_colours_survive_when_baggage_is_dropped() -> None:
    """Adobe's segment says how colours are stored, the profile what they are."""
    green = Image.new("CMYK", (40, 40), (255, 0, 255, 0))
    profile = b"ICC" * 50_000

    content = encode(green, "JPEG", icc_profile=profile, comment=b"c" * 1_000, exif=exif(6))

    assert render(content).getpixel((5, 5)) == render(encode(green, "JPEG")).getpixel((5, 5))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", ["II", "MM"])
def test_orientation_is_read_in_either_order(turn: int, order: str) -> None:
    mark = "<" if order == "II" else ">"
    block = order.encode() + struct.pack(mark + "HIH", 42, 8, 2)
    block += struct.pack(mark + "HHII", 256, 4, 1, 9) + struct.pack(
        mark + "HHIHH", 274, 3, 1, turn, 0
    )

    assert orientation(block) == orientation(b"Exif\0\0" + block) == turn


@pytest.mark.parametrize(
    "block",
    [
        None,
        b"",
        b"II*\0",
        b"XX*\0" + bytes(20),
        b"II*\0" + struct.pack("<I", 2**32 - 1),
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 274, 4, 1, 6),
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 274, 3, 1, 9),
        b"II*\0" + struct.pack("<IHHHII", 8, 1, 274, 3, 1, 0),
        b"II*\0" + struct.pack("<IHHHI", 8, 1, 274, 3, 1),
    ],
)
def test_orientation_that_cannot_be_read_is_upright(block: bytes | None) -> None:
    assert orientation(block) == 1


def test_orientation_may_come_from_xmp() -> None:
    assert orientation(None, b'<x tiff:Orientation="6"/>') == 6
    assert orientation(b"", b"<tiff:Orientation>8</tiff:Orientation>") == 8
    assert orientation(b"", b'<x tiff:Orientation="66"/>') == 1
    assert orientation(b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 274, 3, 1, 3, 0), b"=6") == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_picture_is_turned_by_its_xmp(kind: str) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    if kind == "PNG":
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
        content = png_with(chunk(b"iTXt", text))
    else:
        content = encode(quadrants(), kind, xmp=packet)

    assert render(content).size == (30, 40)


def test_frames_behind_the_first_do_not_matter_but_for_their_number() -> None:
    whole = encode(quadrants(8, 8), "GIF")
    begin, end = whole.index(b","), whole.rindex(b";")
    content = whole[:end] + whole[begin:end] * 1_999 + b";"

    assert render(content).size == (8, 8)
    with pytest.raises(UnusableInputError, match="more than 1,999 frames"):
        render(content, replace(LIMITS, max_frames=1_999))


def test_webp_is_asked_for_its_canvas_before_the_decoder_sets_it_aside() -> None:
    out = io.BytesIO()
    Image.new("L", (5_000, 6_500)).convert("RGB").save(
        out, "WEBP", lossless=True, method=0, quality=0
    )
    content = out.getvalue()
    assert len(content) < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(UnusableInputError, match="decoding it takes about 526 MiB of memory"):
        render(content)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert render(content, replace(LIMITS, max_memory_bytes=600 * MIB)).size == (31, 40)


def test_small_animations_are_taken_whole() -> None:
    assert len(webp(canvas(8, 8))) == 30  # the makers of this file are themselves right
    assert gif(gif_frame()).startswith(b"GIF89a\x08\0\x08\0")
    frames = [Image.new("RGB", (40, 30), (shade, 0, 0)) for shade in range(0, 250, 25)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        assert PillowEngine(LIMITS).probe(content, name="a").frames == 10
