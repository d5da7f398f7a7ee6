"""Makes renditions of decoded pixels, each of the smallest picture that it can be made of.

Whoever decodes and resizes does so behind `Pixels`; colours and files are made by Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Protocol, assert_never

from PIL import Image

from toril.services.media.colours import to_srgb
from toril.services.media.geometry import Box, Cut, best_base, box_in_px
from toril.services.media.port import OutputFormat, Rendition, VariantSpec

# Of 0 to 6, in libwebp's words. Above 2 it weighs each block by its size and its loss: twice the
# time of all work on an image, for files as large and an SSIM (structural similarity) 0.003 better.
WEBP_METHOD = 2


class Pixels(Protocol):
    """An upright picture in memory, of a library's own."""

    @property
    def mode(self) -> str:
        """As Pillow calls it; one of those that `colours.plain` returns."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def resized(self, width_px: int, height_px: int, box: Box) -> Pixels:
        """Return the part in `box`, in pixels of this picture, in that size."""
        ...

    def picture(self) -> Image.Image:
        """Return it as Pillow's."""
        ...


def renditions(
    whole: Pixels,
    wanted: Sequence[tuple[VariantSpec, Cut]],
    *,
    profile: bytes | None,
    quality: int,
) -> Iterator[Rendition]:
    """Yield one rendition per variant, the biggest first.

    Parameters:
        whole: The whole image, not smaller than the finest cut needs.
        wanted: The variants, and the cut that each is of the image.
        profile: The ICC profile that its colours are in. None: sRGB, or nobody knows.
        quality: Where a variant says none, 1 to 100.
    """
    colours = to_srgb(whole.mode, profile)
    made = [Cut(*whole.size)]
    pictures = [whole]
    # A small image is often the same in several variants.
    encoded: dict[tuple[Cut, OutputFormat, int], bytes] = {}
    for spec, each in sorted(wanted, key=lambda pair: pair[1].density, reverse=True):
        way = (each, spec.format, quality if spec.quality is None else spec.quality)
        if way not in encoded:
            at = made.index(each, 1) if each in made[1:] else best_base(each, made)
            pixels = pictures[at]
            if at == 0 or made[at] != each:
                box = box_in_px(each.region, made[at])
                pixels = pixels.resized(each.width_px, each.height_px, box)
                made.append(each)
                pictures.append(pixels)
            encoded[way] = _encoded(colours.apply(pixels.picture()), spec.format, way[2])
        yield Rendition(
            name=spec.name,
            width_px=each.width_px,
            height_px=each.height_px,
            content=encoded[way],
        )


def _encoded(picture: Image.Image, kind: OutputFormat, quality: int) -> bytes:
    picture.info = {}
    out = io.BytesIO()
    match kind:
        case OutputFormat.WEBP:
            picture.save(out, "WEBP", quality=quality, method=WEBP_METHOD, exif=b"", xmp=b"")
        case OutputFormat.JPEG:
            _on_white(picture).save(out, "JPEG", quality=quality, optimize=True)
        case OutputFormat.PNG:
            picture.save(out, "PNG")
        case _:
            assert_never(kind)
    return out.getvalue()


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white
