"""Puts watermarks on images with Pillow. The same image and mark give the same bytes, always."""

from __future__ import annotations

import io
from collections.abc import Iterator

from toril.core.checks import require
from toril.services.media.pillow import PillowEngine
from toril.services.media.port import (
    MAX_SIDE_PX,
    Fit,
    ImageLimits,
    MarkPosition,
    OutputFormat,
    Stamp,
    VariantSpec,
)
from toril.services.media.renditions import WEBP_METHOD
from toril.services.unusable import UnusableInputError, named

try:
    from PIL import Image
    from PIL.WebPImagePlugin import WebPImageFile
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("images need Pillow 11.3 or newer", "media") from error

MARGIN = 0.02
"""What stays free between a mark and the image's edge, as a share of the shorter side."""
_AS_IT_IS = VariantSpec(
    name="mark",
    width_px=MAX_SIDE_PX,
    height_px=MAX_SIDE_PX,
    fit=Fit.INSIDE,
    format=OutputFormat.PNG,
)


class PillowMarker:
    """Fulfils `ImageMarker`.

    Parameters:
        limits: What is refused of a mark's file before decoding.
        quality: Of the WebP that is made, 1 to 100.

    Raises:
        InvalidOptionError: If `quality` is out of range.
    """

    def __init__(self, limits: ImageLimits | None = None, *, quality: int = 85) -> None:
        require(1 <= quality <= 100, "quality", quality, "1 to 100")
        self._engine = PillowEngine(limits)
        self._quality = quality

    def mark(self, content: bytes, stamp: Stamp, *, name: str) -> bytes:
        """Return a WebP file with the mark on it: see `ImageMarker.mark`."""
        image = _read(content, name)
        mark = self._mark(stamp, image.size)
        layer = Image.new("RGBA", image.size)
        for at in _places(image.size, mark.size, stamp.position):
            layer.paste(mark, at)
        marked = Image.alpha_composite(image.convert("RGBA"), layer)
        picture = marked if image.mode == "RGBA" else marked.convert("RGB")
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=self._quality, method=WEBP_METHOD, exif=b"", xmp=b"")
        return out.getvalue()

    def _mark(self, stamp: Stamp, size: tuple[int, int]) -> Image.Image:
        """Return the mark as large and as transparent as it is to be."""
        (whole,) = self._engine.render(stamp.content, [_AS_IT_IS], name="watermark")
        with Image.open(io.BytesIO(whole.content), formats=["PNG"]) as opened:
            mark = opened.convert("RGBA")
        wide = max(1, round(size[0] * stamp.scale))
        high = max(1, round(mark.height * wide / mark.width))
        if high > size[1]:  # a tall mark on a flat image
            wide, high = max(1, round(mark.width * size[1] / mark.height)), size[1]
        mark = mark.resize((wide, high), Image.Resampling.LANCZOS)
        mark.putalpha(mark.getchannel("A").point(lambda value: round(value * stamp.opacity)))
        return mark


def _read(content: bytes, name: str) -> Image.Image:
    try:
        image = WebPImageFile(io.BytesIO(content))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        reason = f"it is no WebP file, or damaged ({error})"
        raise UnusableInputError(named("image", name), reason) from error
    return image


def _places(
    size: tuple[int, int], mark: tuple[int, int], position: MarkPosition
) -> Iterator[tuple[int, int]]:
    """Yield where the mark's upper left corner goes."""
    margin = round(min(size) * MARGIN)
    if position is MarkPosition.TILE:
        step_x, step_y = mark[0] + mark[0] // 2 + 1, mark[1] + mark[1] // 2 + 1
        for top in range(margin, size[1], step_y):
            for left in range(margin, size[0], step_x):
                yield left, top
        return
    words = position.value.split("-")
    yield (
        _along(size[0], mark[0], margin, at_start="left" in words, at_end="right" in words),
        _along(size[1], mark[1], margin, at_start="top" in words, at_end="bottom" in words),
    )


def _along(whole: int, part: int, margin: int, *, at_start: bool, at_end: bool) -> int:
    """Return where a part of a side begins: near its start, near its end, or in its middle."""
    space = max(0, whole - part)
    near = min(margin, space)
    if at_start:
        return near
    return space - near if at_end else space // 2
