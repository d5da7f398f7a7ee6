"""The second image engine: libvips, for JPEG, PNG and WebP in the usual colours.

It takes 60 to 70 % of Pillow's time for a JPEG, a PNG or a WebP. All else (GIF,
AVIF, TIFF, animations, CMYK and 16-bit grey), where it gains nothing, is left to Pillow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from PIL import Image

from toril.services.media.admission import Admitted, blamed_on_content
from toril.services.media.geometry import Box, Cut, cut, needed_size_px
from toril.services.media.headers import SIDEWAYS, colour_profile, held_as
from toril.services.media.pillow import PillowEngine
from toril.services.media.port import ImageFacts, ImageFormat, Rendition, VariantSpec
from toril.services.media.renditions import renditions
from toril.services.unusable import named

try:
    import pyvips
except (ImportError, OSError) as error:  # OSError: the library itself is not there
    from toril.core.extras import missing_extra

    raise missing_extra("the image engine vips needs pyvips and libvips", "vips") from error

# Switches of the whole process. A cache of results would hold images that nobody asks for again;
# and a worker has an image for each core, so that each needs one thread only.
pyvips.cache_set_max(0)
pyvips.concurrency_set(1)

_MODES = frozenset({"L", "LA", "RGB", "RGBA", "P", "1"})
_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""Texts of a PNG that may tell its orientation, and stand behind its pixels."""
_BY_BANDS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_SHRINKS = (8, 4, 2)
"""How much smaller a JPEG can be decoded."""


class VipsEngine:
    """Makes renditions with libvips.

    Parameters:
        pillow: What admits images, makes those that are left to it, and says the quality.
    """

    def __init__(self, pillow: PillowEngine) -> None:
        self._pillow = pillow

    def probe(self, content: bytes, *, name: str) -> ImageFacts:
        """Return what the header says."""
        return self._pillow.probe(content, name=name)

    def render(
        self, content: bytes, specs: Sequence[VariantSpec], *, name: str
    ) -> Iterator[Rendition]:
        """Yield the renditions, the biggest first."""
        subject = named("image", name)
        admitted = self._pillow.admission.admit(content, subject)
        if not _is_usual(admitted):
            return self._pillow.render_admitted(admitted, specs, subject)
        with blamed_on_content(subject), _in_plain_words():
            whole, wanted = _decoded(admitted, specs)
        profile = colour_profile(admitted.picture)
        return renditions(whole, wanted, profile=profile, quality=self._pillow.quality)


def _is_usual(admitted: Admitted) -> bool:
    """Whether libvips is asked to decode it."""
    if admitted.facts.frames > 1 or admitted.picture.mode not in _MODES:
        return False
    match admitted.facts.format:
        case ImageFormat.JPEG | ImageFormat.WEBP:
            return True
        case ImageFormat.PNG:
            return not any(text in admitted.content for text in _TEXTS)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _VipsPixels:
    """Fulfils `Pixels`."""

    _image: Any
    """A `pyvips.Image` in memory, of one to four bands of 8 bits."""

    @property
    def mode(self) -> str:
        return _BY_BANDS[self._image.bands]

    @property
    def size(self) -> tuple[int, int]:
        return self._image.width, self._image.height

    def resized(self, width_px: int, height_px: int, box: Box) -> _VipsPixels:
        left, top, right, bottom = box
        across, down = width_px / (right - left), height_px / (bottom - top)
        # The whole pixels around the box; what is too much is cut off the result.
        x, y = floor(left), floor(top)
        image = self._image.crop(x, y, ceil(right) - x, ceil(bottom) - y)
        has_alpha = image.hasalpha()
        if has_alpha:  # or the hidden colours of transparent pixels would show
            image = image.premultiply()
        image = image.resize(across, vscale=down, kernel="lanczos3")
        if has_alpha:
            image = image.unpremultiply().cast("uchar")
        at_x = _within(round((left - x) * across), image.width - width_px)
        at_y = _within(round((top - y) * down), image.height - height_px)
        wide, high = min(width_px, image.width), min(height_px, image.height)
        image = image.crop(at_x, at_y, wide, high)
        if (wide, high) != (width_px, height_px):  # short of a pixel by rounding
            image = image.embed(0, 0, width_px, height_px, extend="copy")
        return _VipsPixels(image.copy_memory())

    def picture(self) -> Image.Image:
        return Image.frombytes(self.mode, self.size, self._image.write_to_memory())


def _decoded(
    admitted: Admitted, specs: Sequence[VariantSpec]
) -> tuple[_VipsPixels, list[tuple[VariantSpec, Cut]]]:
    """Return the image upright and no bigger than needed, and its cuts."""
    turn = held_as(admitted.picture, admitted.structure)
    wide, high = admitted.picture.size
    size = (high, wide) if turn in SIDEWAYS else (wide, high)
    cuts = [cut(spec, *size) for spec in specs]
    needed = needed_size_px(cuts, *size)
    image = _loaded(admitted, min(size[0] / needed[0], size[1] / needed[1]))
    if image.format != "uchar":
        image = image.colourspace("b-w" if image.bands < 3 else "srgb")
    image = _upright(image.copy_memory(), turn)
    return _VipsPixels(image), list(zip(specs, cuts, strict=True))


def _loaded(admitted: Admitted, by: float) -> Any:
    """Return the decoded image, up to `by` times smaller where that is less work."""
    content = admitted.content
    options = {"access": "sequential", "fail_on": "error"}
    match admitted.facts.format:
        case ImageFormat.JPEG:
            shrink = next((each for each in _SHRINKS if each <= by), 1)
            return pyvips.Image.jpegload_buffer(content, shrink=shrink, **options)
        case ImageFormat.PNG:
            return pyvips.Image.pngload_buffer(content, **options)
        case _:
            return pyvips.Image.webpload_buffer(content, scale=1 / floor(by), **options)


def _upright(image: Any, turn: int) -> Any:
    """Undo an orientation. Source: TIFF 6.0, tag 274."""
    match turn:
        case 2:
            return image.fliphor()
        case 3:
            return image.rot180()
        case 4:
            return image.flipver()
        case 5:
            return image.rot90().fliphor()
        case 6:
            return image.rot90()
        case 7:
            return image.rot270().fliphor()
        case 8:
            return image.rot270()
        case _:
            return image


def _within(value: int, most: int) -> int:
    return max(0, min(value, most))


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Raise the errors of libvips by what they say last, which is the cause."""
    try:
        yield
    except pyvips.Error as error:
        lines = [line.strip() for line in str(error.detail).splitlines()]
        said = next((line for line in reversed(lines) if line), "libvips does not say why")
        if "out of memory" in said:
            raise MemoryError(said) from None
        raise ValueError(said) from None
