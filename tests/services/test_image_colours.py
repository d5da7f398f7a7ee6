from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image, ImageCms
from tests.services.engines import image_engine
from tests.services.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    decoded,
    encode,
    matrix_profile,
    near,
    quadrants,
)

from toril.services.media.port import Fit, ImageFormat, ImageLimits, VariantSpec
from toril.services.unusable import UnusableInputError

pytestmark = pytest.mark.usefixtures("each_engine")
LIMITS = ImageLimits(formats=frozenset(ImageFormat))
WHOLE = [VariantSpec(name="whole", width_px=1000, height_px=1000, fit=Fit.INSIDE)]

# Columns relative to D50, as the profiles of these spaces have them (Bradford-adapted).
ADOBE_RGB = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
SWAPPED = [(0.38515, 0.71687, 0.09708), (0.43607, 0.22249, 0.01392), (0.14307, 0.06061, 0.71410)]
# XYZ relative to D50 to linear sRGB (IEC 61966-2-1 through Bradford).
TO_SRGB = [
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
]


def rendered(content: bytes) -> Image.Image:
    [made] = image_engine(LIMITS, quality=95).render(content, WHOLE, name="test")
    return decoded(made.content)


def in_srgb(
    colour: tuple[int, ...], columns: list[tuple[float, float, float]], gamma: float
) -> tuple[int, ...]:
    """Compute by hand what a colour of another space is in sRGB."""
    light = [(value / 255) ** gamma for value in colour]
    xyz = [
        sum(columns[channel][axis] * light[channel] for channel in range(3)) for axis in range(3)
    ]
    found = []
    for row in TO_SRGB:
        linear = min(1.0, max(0.0, sum(row[axis] * xyz[axis] for axis in range(3))))
        curved = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
        found.append(round(curved * 255))
    return tuple(found)


@pytest.mark.parametrize(("columns", "gamma"), [(ADOBE_RGB, 2.2), (SWAPPED, 1.8)])
@pytest.mark.parametrize("colour", [(120, 180, 90), (200, 120, 60), (128, 128, 128), (80, 90, 160)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_profile_is_converted_to_srgb(
    kind: str, colour: tuple[int, int, int], columns: list[tuple[float, float, float]], gamma: float
) -> None:
    options = {"quality": 95} if kind in {"JPEG", "WEBP", "AVIF"} else {}
    content = encode(
        Image.new("RGB", (64, 64), colour),
        kind,
        icc_profile=matrix_profile(columns, gamma),
        **options,
    )

    found = rendered(content)

    assert near(found.getpixel((32, 32)), in_srgb(colour, columns, gamma), within=5)
    assert "icc_profile" not in found.info


def test_conversion_is_more_than_a_rounding() -> None:
    """Guards the test above: without conversion it would have to fail."""
    assert not near((200, 120, 60), in_srgb((200, 120, 60), ADOBE_RGB, 2.2), within=12)


def test_profile_keeps_transparency() -> None:
    picture = Image.new("RGBA", (64, 64), (200, 120, 60, 90))

    found = rendered(encode(picture, "PNG", icc_profile=matrix_profile(ADOBE_RGB, 2.2)))

    expected = (*in_srgb((200, 120, 60), ADOBE_RGB, 2.2), 90)
    assert near(found.getpixel((32, 32)), expected, within=5)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_image_with_rgb_profile_is_converted_as_rgb(mode: str) -> None:
    grey = Image.new("L", (64, 64), 100).convert(mode)

    found = rendered(encode(grey, "PNG", icc_profile=matrix_profile(ADOBE_RGB, 1.8)))

    [expected, _, _] = in_srgb((100, 100, 100), ADOBE_RGB, 1.8)
    pixel = found.convert("RGB").getpixel((32, 32))
    assert near(pixel, (expected,) * 3, within=4)


@pytest.mark.parametrize("profile", [b"no profile at all", matrix_profile(ADOBE_RGB, 2.2)[:200]])
def test_unreadable_profile_is_taken_as_absent(profile: bytes) -> None:
    found = rendered(encode(Image.new("RGB", (64, 64), RED), "PNG", icc_profile=profile))

    assert near(found.getpixel((32, 32)), RED)


def test_profile_of_another_kind_of_picture_is_taken_as_absent() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    found = rendered(encode(Image.new("RGB", (64, 64), GREEN), "PNG", icc_profile=profile))

    assert near(found.getpixel((32, 32)), GREEN)


@pytest.mark.parametrize(
    ("inks", "colour"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 0, 255, 0), (0, 255, 0)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 102, 204, 51), (204, 122, 41)),
    ],
)
def test_cmyk_jpeg_has_colours_of_its_inks(
    inks: tuple[int, int, int, int], colour: tuple[int, int, int]
) -> None:
    content = encode(Image.new("CMYK", (64, 64), inks), "JPEG", quality=95)

    assert near(rendered(content).getpixel((32, 32)), colour)


def test_palette_png_keeps_its_transparent_colour() -> None:
    picture = quadrants().quantize(8)
    clear = picture.getpixel((60, 45))
    assert isinstance(clear, int)

    found = rendered(encode(picture, "PNG", transparency=clear))

    assert found.mode == "RGBA"
    assert near(found.getpixel((20, 15)), (*RED, 255))
    assert found.getpixel((70, 50))[3] == 0


def test_palette_png_keeps_half_transparent_colours() -> None:
    picture = Image.new("P", (64, 64), 1)
    picture.putpalette([0, 0, 0, *BLUE])

    found = rendered(encode(picture, "PNG", transparency=bytes([255, 120])))

    assert near(found.getpixel((32, 32)), (*BLUE, 120))


def test_transparent_gif_keeps_transparency() -> None:
    picture = Image.new("P", (64, 64), 0)
    picture.putpalette([*RED, *GREEN])
    picture.paste(1, (0, 0, 32, 64))

    found = rendered(encode(picture, "GIF", transparency=0))

    assert near(found.getpixel((10, 32)), (*GREEN, 255))
    assert found.getpixel((54, 32))[3] == 0  # type: ignore[index]


def test_transparent_pixels_do_not_bleed_into_their_neighbours() -> None:
    """The hidden colour of transparent pixels must not show when the image is reduced."""
    picture = Image.new("RGBA", (200, 200), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 101, 200))
    specs = [VariantSpec(name="v", width_px=50, height_px=50, fit=Fit.INSIDE)]

    [made] = image_engine(LIMITS, quality=95).render(encode(picture, "PNG"), specs, name="test")

    edge = decoded(made.content).getpixel((24, 25))
    assert near(edge, (0, 0, 255, 255), within=12)


def test_rgb_png_with_transparent_colour_keeps_transparency() -> None:
    found = rendered(encode(quadrants(), "PNG", transparency=RED))

    assert found.getpixel((10, 10))[3] == 0  # type: ignore[index]
    assert near(found.getpixel((70, 10)), (*GREEN, 255))


@pytest.mark.parametrize("level", [0, 64, 128, 200, 255])
def test_sixteen_bit_png_keeps_its_brightness(level: int) -> None:
    content = encode(Image.new("I;16", (64, 64), level * 257), "PNG")

    assert near(rendered(content).getpixel((32, 32)), (level,) * 3, within=2)


def test_sixteen_bit_png_keeps_its_transparent_level() -> None:
    row = struct.pack("<64H", *[1_000] * 32, *[40_000] * 32)
    picture = Image.frombytes("I;16", (64, 64), row * 64)
    content = encode(picture, "PNG")
    clear = struct.pack(">I4sH", 2, b"tRNS", 1_000)
    clear += struct.pack(">I", zlib.crc32(clear[4:]))
    content = content[:33] + clear + content[33:]

    found = rendered(content)

    assert found.getpixel((10, 32))[3] == 0  # type: ignore[index]
    assert near(found.getpixel((54, 32)), (156, 156, 156, 255), within=3)


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("L", "JPEG"), ("LA", "PNG")])
def test_grey_image_stays_grey(mode: str, kind: str) -> None:
    picture = Image.new("L", (64, 64), 255).convert(mode)

    pixel = rendered(encode(picture, kind)).convert("RGB").getpixel((32, 32))

    assert near(pixel, (255, 255, 255), within=2)


def test_black_and_white_png_keeps_its_transparent_colour() -> None:
    picture = Image.new("1", (64, 64), 1)
    picture.paste(0, (0, 0, 32, 64))

    found = rendered(encode(picture, "PNG", transparency=0))

    assert found.getpixel((10, 32))[3] == 0  # type: ignore[index]
    assert near(found.getpixel((54, 32)), (255, 255, 255, 255), within=2)


def test_lab_tiff_has_its_colours() -> None:
    content = encode(Image.new("LAB", (64, 64), (137, 128, 128)), "TIFF")  # L* 53.7: middle grey

    assert near(rendered(content).getpixel((32, 32)), (128, 128, 128), within=4)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_known_white_are_refused(mode: str) -> None:
    content = encode(Image.new(mode, (8, 8)), "TIFF")

    with pytest.raises(UnusableInputError, match="without a known white"):
        rendered(content)


def test_white_stays_white() -> None:
    assert near(rendered(encode(quadrants(), "PNG")).getpixel((60, 45)), WHITE, within=3)
