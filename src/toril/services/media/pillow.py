"""The built-in image engine: Pillow, with every limit checked before it decodes.

Pillow's own guard against bombs is a global number and a warning, which threads and other users of
Pillow in the process share. So nothing here reads or sets it: formats are opened by their own
classes, and sizes are compared by this module.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from toril.core.checks import require
from toril.core.errors import MissingExtraError, TorilError
from toril.services.media.colours import plain, to_srgb
from toril.services.media.geometry import Cut, best_base, box_in_px, cut, needed_size_px
from toril.services.media.port import (
    ImageFacts,
    ImageFormat,
    ImageLimits,
    Rendition,
    UnusableInputError,
    VariantSpec,
    named,
)
from toril.services.media.signatures import declared_canvas_px, foreign, recognise

try:
    from PIL import Image, ImageFile
    from PIL.AvifImagePlugin import AvifImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile
except ImportError as error:
    raise MissingExtraError(
        "images need Pillow 11.3 or newer: pip install 'toril[media]'"
    ) from error

_OPENERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.PNG: PngImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.GIF: GifImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.TIFF: TiffImageFile,
}
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # TIFF 6.0, tag 274: what undoes each orientation
_SIDEWAYS = frozenset({5, 6, 7, 8})
_WEBP_METHOD = 4  # libwebp's own balance of time and size, 0 to 6


class PillowEngine:
    """Makes WebP renditions with Pillow.

    Parameters:
        limits: What is refused before decoding.
        quality: WebP quality, 1 to 100. Default: 85.

    Raises:
        InvalidOptionError: If `quality` is out of range.
    """

    def __init__(self, limits: ImageLimits | None = None, *, quality: int = 85) -> None:
        require(1 <= quality <= 100, "quality", quality, "1 to 100")
        self._limits = limits if limits is not None else ImageLimits()
        self._quality = quality

    def probe(self, content: bytes, *, name: str) -> ImageFacts:
        """Return what the header says."""
        subject = named("image", name)
        kind = self._accepted(content, subject)
        canvas = declared_canvas_px(content)
        if canvas is not None:
            self._check_pixels(*canvas, 1, subject)
        with _blamed_on_content(subject):
            picture = _OPENERS[kind](io.BytesIO(content))
            self._check_pixels(*picture.size, 1, subject)
            frames = int(getattr(picture, "n_frames", 1))
            self._check_pixels(*picture.size, frames, subject)
            width_px, height_px = picture.size
        return ImageFacts(format=kind, width_px=width_px, height_px=height_px, frames=frames)

    def render(
        self, content: bytes, specs: Sequence[VariantSpec], *, name: str
    ) -> Iterator[Rendition]:
        """Yield the renditions, the biggest first."""
        facts = self.probe(content, name=name)
        with _blamed_on_content(named("image", name)):
            whole, wanted, profile = _decoded(content, facts, specs)
            whole = plain(whole)
        colours = to_srgb(whole.mode, profile)

        made = [Cut(*whole.size)]
        pictures = [whole]
        encoded: dict[Cut, bytes] = {}  # a small image is often the same in several variants
        for spec, each in sorted(wanted, key=lambda pair: pair[1].density, reverse=True):
            if each not in encoded:
                at = best_base(each, made)
                picture = pictures[at].resize(
                    (each.width_px, each.height_px),
                    Image.Resampling.LANCZOS,
                    box=box_in_px(each.region, made[at]),
                    reducing_gap=3.0,
                )
                made.append(each)
                pictures.append(picture)
                encoded[each] = self._encoded(colours.apply(picture))
            yield Rendition(
                name=spec.name,
                width_px=each.width_px,
                height_px=each.height_px,
                content=encoded[each],
            )

    def _accepted(self, content: bytes, subject: str) -> ImageFormat:
        limit = self._limits.max_bytes
        if len(content) > limit:
            raise UnusableInputError(subject, f"over {limit:,} bytes (max_bytes)")
        kind = recognise(content)
        accepted = ", ".join(sorted(each.upper() for each in self._limits.formats))
        if kind is None:
            other = foreign(content)
            reason = f"it is {other}" if other else "its bytes are not an image, whatever its name"
            raise UnusableInputError(subject, f"{reason}; accepted are {accepted}")
        if kind not in self._limits.formats:
            reason = f"{kind.upper()} is switched off; accepted are {accepted} (formats)"
            raise UnusableInputError(subject, reason)
        return kind

    def _check_pixels(self, width_px: int, height_px: int, frames: int, subject: str) -> None:
        pixels = width_px * height_px * frames
        limit = self._limits.max_pixels
        if pixels > limit:
            size = f"{width_px} x {height_px} pixels"
            size += f" x {frames} frames" if frames > 1 else ""
            reason = f"{size} are {pixels:,}, over the {limit:,} that are allowed (max_pixels)"
            raise UnusableInputError(subject, reason)
        if pixels < 1:
            raise UnusableInputError(subject, "its header declares no pixels")

    def _encoded(self, picture: Image.Image) -> bytes:
        picture.info = {}
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=self._quality, method=_WEBP_METHOD, exif=b"", xmp=b"")
        return out.getvalue()


def _decoded(
    content: bytes, facts: ImageFacts, specs: Sequence[VariantSpec]
) -> tuple[Image.Image, list[tuple[VariantSpec, Cut]], bytes | None]:
    """Return the image upright and no bigger than needed, its cuts, and its colour profile."""
    # This switch makes half pictures out of truncated files without saying so. It belongs to the
    # whole process, so all that can be done is to refuse to work beside it.
    require(
        not ImageFile.LOAD_TRUNCATED_IMAGES, "PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True, "False"
    )
    picture = _OPENERS[facts.format](io.BytesIO(content))
    size = picture.size
    cuts = None
    if isinstance(picture, JpegImageFile):
        sideways = _orientation(picture) in _SIDEWAYS
        cuts = [cut(spec, *_turned(size, sideways)) for spec in specs]
        needed = needed_size_px(cuts, *_turned(size, sideways))
        picture.draft(None, _turned(needed, sideways))  # decodes at 1/2, 1/4 or 1/8
    picture.load()
    # After `load`: PNG may keep its EXIF behind the pixels, TIFF turns itself and forgets.
    turn = _UPRIGHT.get(_orientation(picture))
    upright = picture if turn is None else picture.transpose(turn)
    if cuts is None:
        cuts = [cut(spec, *upright.size) for spec in specs]
    return upright, list(zip(specs, cuts, strict=True)), _profile(picture)


def _turned(size: tuple[int, int], sideways: bool) -> tuple[int, int]:
    return (size[1], size[0]) if sideways else size


def _orientation(picture: ImageFile.ImageFile) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF says nothing; the pixels beside it are still good
        return 1
    return value if isinstance(value, int) else 1


def _profile(picture: ImageFile.ImageFile) -> bytes | None:
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None


@contextmanager
def _blamed_on_content(subject: str) -> Iterator[None]:
    """Turn whatever a decoder raises into `UnusableInputError`.

    The content is in memory, so no disk or network can be at fault, and decoders raise almost
    anything over damaged bytes (OSError, SyntaxError, struct.error, zlib.error, IndexError, ...).
    Only a lack of memory may pass by itself.
    """
    try:
        yield
    except (TorilError, MemoryError):
        raise
    except Exception as error:
        detail = str(error) or type(error).__name__
        raise UnusableInputError(subject, f"it is truncated or damaged ({detail})") from error
