from __future__ import annotations

import pickle
import random
import struct

import pytest
from PIL import Image
from tests.services.engines import image_engine
from tests.services.pictures import decoded, encode, photo, quadrants

from toril.core.errors import InvalidOptionError, TorilError
from toril.library.images.samples import png_bomb
from toril.services.media.port import Fit, ImageFormat, ImageLimits, VariantSpec
from toril.services.unusable import UnusableInputError

pytestmark = pytest.mark.usefixtures("each_engine")
ALL_FORMATS = frozenset(ImageFormat)
SPECS = [VariantSpec(name="whole", width_px=100, height_px=100, fit=Fit.INSIDE)]


def render(content: bytes, limits: ImageLimits | None = None, *, name: str = "a.jpg") -> bytes:
    [made] = image_engine(limits).render(content, SPECS, name=name)
    return made.content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is an empty file"),
        (b"Dear all,\n", "its bytes are not an image, whatever its name"),
        (b"%PDF-1.7\n", "it is a PDF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is an SVG drawing"),
        (b"PK\x03\x04rest", "it is a ZIP archive"),
        (b"BM rest", "it is a BMP image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC image"),
    ],
)
def test_what_is_no_image_is_refused_by_its_kind(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableInputError) as refused:
        render(content, name="holiday.jpg")

    assert str(refused.value) == (
        f"image 'holiday.jpg': {reason}; accepted are GIF, JPEG, PNG, WEBP"
    )


@pytest.mark.parametrize("kind", [ImageFormat.AVIF, ImageFormat.TIFF])
def test_format_that_is_not_switched_on_is_refused(kind: ImageFormat) -> None:
    content = encode(quadrants(), kind.upper())

    with pytest.raises(UnusableInputError, match=f"{kind.upper()} is switched off; accepted are"):
        render(content)

    assert render(content, ImageLimits(formats=ALL_FORMATS))


def test_too_many_bytes_are_refused() -> None:
    content = photo("rocket.jpg")

    with pytest.raises(UnusableInputError, match=r"over 100,000 bytes \(max_bytes\)"):
        render(content, ImageLimits(max_bytes=100_000))

    assert render(content, ImageLimits(max_bytes=len(content)))


@pytest.mark.parametrize("kind", list(ImageFormat))
def test_too_many_pixels_are_refused(kind: ImageFormat) -> None:
    content = encode(quadrants(), kind.upper())

    with pytest.raises(UnusableInputError, match=r"80 x 60 pixels are 4,800, over the 4,799"):
        render(content, ImageLimits(max_pixels=4_799, formats=ALL_FORMATS))

    assert render(content, ImageLimits(max_pixels=4_800, formats=ALL_FORMATS))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_frames_count_as_pixels(kind: str) -> None:
    frames = [Image.new("RGB", (40, 30), (shade, 0, 0)) for shade in range(0, 250, 25)]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])

    with pytest.raises(UnusableInputError, match="40 x 30 pixels x 10 frames are 12,000, over"):
        render(content, ImageLimits(max_pixels=11_999, formats=ALL_FORMATS))

    assert render(content, ImageLimits(max_pixels=12_000, formats=ALL_FORMATS))


def test_png_bomb_is_refused_by_its_header() -> None:
    bomb = png_bomb(30_000)
    assert len(bomb) < 120_000

    with pytest.raises(UnusableInputError, match="30000 x 30000 pixels are 900,000,000"):
        render(bomb)


def gif_header(width_px: int, height_px: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width_px, height_px) + bytes(3)


def webp_header(chunk: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + 8 + len(body)) + b"WEBP" + chunk + b"\x0a\0\0\0" + body


@pytest.mark.parametrize(
    "bomb",
    [
        gif_header(65_535, 65_535) + b"\x3b",
        webp_header(b"VP8X", bytes(4) + b"\xfe\xff\x00\xfe\xff\x00"),
        webp_header(b"VP8L", b"\x2f" + struct.pack("<I", 0x0FFFFFFF) + bytes(5)),
        webp_header(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383)),
        encode(Image.new("RGB", (8, 8)), "JPEG").replace(
            struct.pack(">HH", 8, 8), struct.pack(">HH", 65_500, 65_500), 1
        ),
    ],
    ids=["gif", "webp-extended", "webp-lossless", "webp-lossy", "jpeg"],
)
def test_huge_declared_size_is_refused_before_decoding(bomb: bytes) -> None:
    with pytest.raises(UnusableInputError, match="that are allowed"):
        render(bomb)


def test_limit_of_pillow_itself_does_not_apply() -> None:
    """A limit above Pillow's own is obeyed, without its warning or error."""
    engine = image_engine(ImageLimits(max_pixels=400_000_000, max_memory_bytes=1 << 40))

    facts = engine.probe(png_bomb(14_000), name="map.png")

    assert facts.width_px * facts.height_px > 2 * (Image.MAX_IMAGE_PIXELS or 0)


def truncations(content: bytes, *, most: int = 400) -> list[int]:
    """Return where to cut: everywhere if it is short, else at random and near both ends."""
    ends = [*range(40), *range(len(content) - 40, len(content))]
    inside = range(len(content))
    return sorted({*ends, *random.Random(7).sample(inside, min(most, len(content)))})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_truncated_file_never_gives_half_a_picture(kind: str, options: dict[str, object]) -> None:
    picture = Image.effect_noise((64, 48), 60).convert("RGB")
    content = encode(picture, kind, **options)
    engine = image_engine(ImageLimits(formats=ALL_FORMATS))
    specs = [VariantSpec(name="v", width_px=16, height_px=16, fit=Fit.INSIDE)]
    [whole] = engine.render(content, specs, name="a")

    for length in truncations(content):
        try:
            [made] = engine.render(content[:length], specs, name="a")
        except UnusableInputError:
            continue
        # Only what follows the pixels was cut off, such as the mark of the end.
        assert made == whole, f"half a picture of {length} of {len(content)} bytes"


def test_truncated_photograph_is_refused_saying_so() -> None:
    content = photo("rocket.jpg")

    with pytest.raises(
        UnusableInputError, match=r"image 'rocket\.jpg': it is truncated or damaged"
    ):
        render(content[: len(content) // 2], name="rocket.jpg")


@pytest.mark.parametrize("kind", list(ImageFormat))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_file_is_refused_or_rendered_but_never_fails_otherwise(kind: ImageFormat) -> None:
    content = encode(quadrants(), kind.upper())
    engine = image_engine(ImageLimits(formats=ALL_FORMATS))
    chance = random.Random(3)

    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(4):
            damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
        try:
            [made] = engine.render(bytes(damaged), SPECS, name="a")
        except UnusableInputError:
            continue
        assert max(decoded(made.content).size) <= 100


def test_error_survives_the_way_between_processes() -> None:
    with pytest.raises(UnusableInputError) as refused:
        render(b"text")

    carried = pickle.loads(pickle.dumps(refused.value))
    assert isinstance(carried, UnusableInputError)
    assert isinstance(carried, TorilError)
    assert str(carried) == str(refused.value)
    assert (carried.subject, carried.reason) == (refused.value.subject, refused.value.reason)


def test_very_long_name_is_shortened_in_error() -> None:
    with pytest.raises(UnusableInputError) as refused:
        render(b"text", name="x" * 5_000)

    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_bytes", 0, "max_bytes=0: expected bytes, 1 or more"),
        ("max_pixels", 0, "max_pixels=0: expected pixels, 1 or more"),
        ("formats", frozenset(), r"formats=\[\]: expected at least one format"),
    ],
)
def test_senseless_limit_is_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        ImageLimits(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("side_px", [0, -1, 16_384])
def test_variant_that_webp_cannot_hold_is_refused(side_px: int) -> None:
    with pytest.raises(InvalidOptionError, match=f"height_px={side_px}: expected 1 to 16383"):
        VariantSpec(name="v", width_px=1, height_px=side_px, fit=Fit.INSIDE)
