"""What is libvips's own; what the port promises is asked of every engine (`each_engine`)."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib

import pytest
import pyvips
from PIL import Image, ImageChops, ImageFile, ImageStat
from tests.services.bombs import chunk, png_with
from tests.services.pictures import encode, exif, photo, quadrants

from toril.services.media.engines import open_engine
from toril.services.media.port import (
    EngineKind,
    Fit,
    ImageFormat,
    ImageLimits,
    OutputFormat,
    VariantSpec,
)
from toril.services.unusable import UnusableInputError

LIMITS = ImageLimits(formats=frozenset(ImageFormat))
VIPS = open_engine(EngineKind.VIPS, LIMITS)
PILLOW = open_engine(EngineKind.PILLOW, LIMITS)


def spec(width_px: int, height_px: int, fit: Fit = Fit.INSIDE) -> VariantSpec:
    return VariantSpec(
        name=f"{width_px}x{height_px}-{fit}",
        width_px=width_px,
        height_px=height_px,
        fit=fit,
        format=OutputFormat.PNG,
    )


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("name", ["rocket.jpg", "retina.jpg", "astronaut.png", "chelsea.png"])
def test_its_pictures_are_those_of_pillow(name: str) -> None:
    specs = [
        spec(400, 400),
        spec(150, 150),
        spec(120, 200, Fit.COVER),
        spec(333, 77, Fit.COVER),
        spec(1800, 1800, Fit.COVER),
    ]

    ours = {each.name: opened(each.content) for each in VIPS.render(photo(name), specs, name="a")}

    for each in PILLOW.render(photo(name), specs, name="a"):
        theirs = opened(each.content)
        assert ours[each.name].size == theirs.size
        # What is cut may begin half a pixel beside: looked at from a distance it is the same.
        coarse = [picture.reduce(4) for picture in (ours[each.name], theirs)]
        difference = ImageStat.Stat(ImageChops.difference(*coarse)).mean
        assert max(difference) < 3, each.name


@pytest.mark.parametrize("times", [1, 2, 3, 4, 7, 8, 9, 20])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_image_is_decoded_smaller_where_less_is_needed(kind: str, times: int) -> None:
    content = encode(quadrants(40 * times, 30 * times), kind, quality=95)

    [made] = VIPS.render(content, [spec(40, 40)], name="a")

    [expected] = PILLOW.render(content, [spec(40, 40)], name="a")
    difference = ImageChops.difference(opened(made.content), opened(expected.content))
    assert max(ImageStat.Stat(difference).mean) < 6


def test_part_between_pixels_is_enlarged_from_where_it_is() -> None:
    """The middle square of a 3 x 2 image begins in the middle of a pixel."""
    picture = Image.new("RGB", (3, 2), "black")
    picture.paste("white", (1, 0, 2, 2))

    [made] = VIPS.render(encode(picture, "PNG"), [spec(64, 64, Fit.COVER)], name="a")

    row = opened(made.content).convert("L").crop((0, 32, 64, 33))
    brightness = row.tobytes()
    middle = sum(at * value for at, value in enumerate(brightness)) / sum(brightness)
    assert 30 < middle < 33


def test_error_is_one_line_that_says_the_cause() -> None:
    with pytest.raises(UnusableInputError) as refused:
        list(VIPS.render(photo("rocket.jpg")[:50_000], [spec(50, 50)], name="rocket.jpg"))

    assert (
        refused.value.reason == "it is truncated or damaged (VipsJpeg: premature end of JPEG image)"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_usual_image_is_decoded_by_it_and_not_by_pillow(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(quadrants(), kind, exif=exif(6))
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)

    [made] = VIPS.render(content, [spec(30, 40)], name="a")

    monkeypatch.undo()
    assert opened(made.content).size == (30, 40)


def test_orientation_behind_the_pixels_of_a_png_counts() -> None:
    block = exif(6).tobytes().removeprefix(b"Exif\0\0")
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    for last in (chunk(b"eXIf", block), chunk(b"iTXt", text)):
        content = encode(quadrants(), "PNG")
        content = content[:-12] + last + content[-12:]

        [made] = VIPS.render(content, [spec(40, 40)], name="a")

        assert opened(made.content).size == (30, 40)


def test_ten_thousand_colour_profiles_are_unpacked_once() -> None:
    packed = zlib.compress(bytes(900_000))

    [made] = VIPS.render(
        png_with(*[chunk(b"iCCP", b"k\0\0" + packed)] * 9_000), [spec(40, 40)], name="a"
    )

    assert opened(made.content).size == (40, 30)


def test_sixteen_bit_colours_keep_all_their_brightness() -> None:
    black = pyvips.Image.black(20, 20, bands=3)
    image = black.linear(1, [40_000, 20_000, 65_535]).cast("ushort")
    content = image.copy(interpretation="rgb16").pngsave_buffer()

    [made] = VIPS.render(content, [spec(20, 20)], name="a")

    assert opened(made.content).getpixel((10, 10)) == (156, 78, 255)


def test_missing_library_is_said_with_the_extra_that_brings_it() -> None:
    """Only where it is asked for: the other engine needs none."""
    program = (
        "import sys; sys.modules['pyvips'] = None\n"
        "from toril.services.media.engines import open_engine\n"
        "from toril.services.media.port import EngineKind\n"
        "open_engine(EngineKind.PILLOW)\n"
        "try: open_engine(EngineKind.VIPS)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert said.startswith("MissingExtraError")
    assert "needs pyvips and libvips: pip install" in said
    assert "[vips]" in said
