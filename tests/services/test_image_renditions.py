from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageChops, ImageStat
from tests.services.engines import image_engine
from tests.services.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunks,
    decoded,
    encode,
    exif,
    near,
    photo,
    quadrants,
    stored_as,
)

from toril.core.errors import InvalidOptionError
from toril.services.media.port import (
    Fit,
    ImageEngine,
    ImageFacts,
    ImageFormat,
    ImageLimits,
    Rendition,
    VariantSpec,
)

pytestmark = pytest.mark.usefixtures("each_engine")
LIMITS = ImageLimits(formats=frozenset(ImageFormat))
WHOLE = [VariantSpec(name="whole", width_px=1000, height_px=1000, fit=Fit.INSIDE)]
PICTURE_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH"}


def render(
    content: bytes, *specs: tuple[int, int, Fit], engine: ImageEngine | None = None
) -> list[Rendition]:
    listed = [
        VariantSpec(name=f"v{at}", width_px=width_px, height_px=height_px, fit=fit)
        for at, (width_px, height_px, fit) in enumerate(specs)
    ]
    made = list((engine or image_engine(LIMITS)).render(content, listed or WHOLE, name="test"))
    return sorted(made, key=lambda each: each.name)


@pytest.mark.parametrize("kind", list(ImageFormat))
def test_each_format_is_told_by_its_content(kind: ImageFormat) -> None:
    content = encode(quadrants(), kind.upper())

    facts = image_engine(LIMITS).probe(content, name="holiday.exe")

    assert facts == ImageFacts(format=kind, width_px=80, height_px=60, frames=1)


@pytest.mark.parametrize("kind", list(ImageFormat))
def test_each_format_becomes_webp_with_same_colours(kind: ImageFormat) -> None:
    [made] = render(encode(quadrants(), kind.upper()))

    picture = decoded(made.content)
    assert picture.size == (made.width_px, made.height_px) == (80, 60)
    assert near(picture.getpixel((20, 15)), RED)
    assert near(picture.getpixel((60, 15)), GREEN)
    assert near(picture.getpixel((20, 45)), BLUE)
    assert near(picture.getpixel((60, 45)), WHITE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_image_is_upright_whatever_its_orientation(kind: str, orientation: int) -> None:
    options = {"quality": 95} if kind in {"JPEG", "WEBP", "AVIF"} else {}
    stored = stored_as(quadrants(), orientation)
    content = encode(stored, kind, exif=exif(orientation), **options)

    for size in ((80, 80), (20, 20)):
        [made] = render(content, (*size, Fit.INSIDE))

        picture = decoded(made.content)
        assert picture.size == (size[0], size[0] * 3 // 4)
        at = [(picture.width * x // 4, picture.height * y // 4) for y in (1, 3) for x in (1, 3)]
        for place, colour in zip(at, (RED, GREEN, BLUE, WHITE), strict=True):
            assert near(picture.getpixel(place), colour, within=16)


def test_orientation_decides_what_is_cut_off() -> None:
    """A tall photograph stored lying down is cut at its real top and bottom."""
    tall = Image.new("RGB", (200, 400), WHITE)
    tall.paste(RED, (0, 0, 200, 100))
    content = encode(stored_as(tall, 6), "JPEG", exif=exif(6), quality=95)

    [made] = render(content, (50, 50, Fit.COVER))

    assert near(decoded(made.content).getpixel((25, 4)), WHITE)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_leaves_image_usable() -> None:
    content = encode(quadrants(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")

    [made] = render(content)

    assert decoded(made.content).size == (80, 60)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_no_metadata_is_left(kind: str) -> None:
    options: dict[str, object] = {"exif": exif(6, gps=True)}
    if kind in {"JPEG", "WEBP", "AVIF"}:
        options["xmp"] = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SecretPlace</x:xmpmeta>"
    if kind == "JPEG":
        options["comment"] = b"SecretComment"
    content = encode(quadrants(), kind, **options)
    assert b"Secret" in content

    for made in render(content, (80, 80, Fit.INSIDE), (30, 30, Fit.COVER)):
        assert set(chunks(made.content)) <= PICTURE_CHUNKS
        assert b"Secret" not in made.content
        assert not decoded(made.content).getexif()


def test_photograph_with_profile_exif_and_xmp_loses_all_three() -> None:
    for made in render(photo("hubble_deep_field.jpg"), (800, 800, Fit.INSIDE)):
        assert set(chunks(made.content)) <= PICTURE_CHUNKS


def test_variants_come_biggest_first() -> None:
    specs = [
        VariantSpec(name=name, width_px=side_px, height_px=side_px, fit=Fit.INSIDE)
        for name, side_px in (("small", 50), ("large", 200), ("medium", 100))
    ]

    made = image_engine(LIMITS).render(photo("rocket.jpg"), specs, name="rocket.jpg")

    assert [each.name for each in made] == ["large", "medium", "small"]


@pytest.mark.parametrize("name", ["retina.jpg", "astronaut.png", "coffee.png"])
def test_small_variant_looks_like_plain_reduction_of_original(name: str) -> None:
    """Decoding at an eighth and reusing bigger variants must not be visible."""
    with_steps = render(photo(name), (600, 600, Fit.INSIDE), (96, 96, Fit.INSIDE))[1]
    picture = decoded(with_steps.content)

    with Image.open(io.BytesIO(photo(name))) as original:
        reduced = original.convert("RGB").resize(picture.size, Image.Resampling.LANCZOS)
    plain = decoded(encode(reduced, "WEBP", quality=85, method=2))  # as the engine encodes

    difference = ImageStat.Stat(ImageChops.difference(picture, plain)).mean
    assert max(difference) < 3


def test_one_pixel_covers_square() -> None:
    [inside, cover] = render(
        encode(Image.new("RGB", (1, 1), RED), "PNG"), (320, 320, Fit.INSIDE), (64, 64, Fit.COVER)
    )

    assert decoded(inside.content).size == (1, 1)
    assert decoded(cover.content).size == (64, 64)
    assert near(decoded(cover.content).getpixel((32, 32)), RED)


@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000), (9_000, 3)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_very_thin_image_is_rendered(kind: str, size: tuple[int, int]) -> None:
    content = encode(Image.new("RGB", size, GREEN), kind)

    [cover, inside] = render(content, (256, 256, Fit.COVER), (1600, 1600, Fit.INSIDE))

    assert decoded(cover.content).size == (256, 256)
    assert near(decoded(cover.content).getpixel((128, 128)), GREEN)
    assert max(decoded(inside.content).size) == 1600
    assert min(decoded(inside.content).size) == 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in (RED, GREEN, BLUE)]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)

    facts = image_engine(LIMITS).probe(content, name="a")
    [made] = render(content)

    assert facts.frames == 3
    assert near(decoded(made.content).getpixel((20, 15)), RED)
    assert b"ANIM" not in chunks(made.content)


def test_quality_is_as_asked() -> None:
    content = photo("coffee.png")

    [rough] = render(content, engine=image_engine(quality=20))
    [fine] = render(content, engine=image_engine(quality=95))

    assert len(rough.content) * 3 < len(fine.content)


def test_same_input_gives_same_bytes() -> None:
    assert render(photo("chelsea.png")) == render(photo("chelsea.png"))


@pytest.mark.parametrize("quality", [1, 100])
def test_quality_up_to_its_ends_is_taken(quality: int) -> None:
    assert render(photo("coffee.png"), engine=image_engine(quality=quality))


def test_quality_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="quality=0: expected 1 to 100"):
        image_engine(quality=0)


def test_engine_works_in_threads_and_leaves_pillow_alone() -> None:
    guard = Image.MAX_IMAGE_PIXELS
    names = ["rocket.jpg", "chelsea.png", "coffee.png", "retina.jpg"] * 3
    alone = {name: render(photo(name), (128, 128, Fit.COVER)) for name in set(names)}
    together = threading.Barrier(4)

    def work(name: str) -> list[Rendition]:
        together.wait()
        return render(photo(name), (128, 128, Fit.COVER))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, names))

    assert made == [alone[name] for name in names]
    assert guard == Image.MAX_IMAGE_PIXELS
