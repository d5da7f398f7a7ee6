"""The built-in image engine: Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toril.core.checks import require
from toril.services.media.admission import Admission, Admitted, blamed_on_content
from toril.services.media.geometry import Box, Cut, cut, needed_size_px
from toril.services.media.headers import SIDEWAYS, colour_profile, held_as
from toril.services.media.port import ImageFacts, ImageLimits, Rendition, VariantSpec
from toril.services.media.renditions import renditions
from toril.services.unusable import named

try:
    from PIL import Image, ImageFile
    from PIL.JpegImagePlugin import JpegImageFile

    from toril.services.media.colours import plain
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("images need Pillow 11.3 or newer", "media") from error

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # TIFF 6.0, tag 274: what undoes each orientation
_KEPT_BLOCKS = 4  # of up to 16 MiB each: what one image has in use at a time
_REDUCING_GAP = 1.5  # averages before Lanczos: half the time, SSIM less by 0.002


def keep_memory() -> None:
    """Let Pillow keep up to 64 MiB of what it frees: 8 % of the time on each further image.

    It is a switch of the whole process, so call it in child processes that make image after image.
    """
    Image.core.set_blocks_max(_KEPT_BLOCKS)  # type: ignore[attr-defined]


class PillowEngine:
    """Makes renditions with Pillow.

    Parameters:
        limits: What is refused before decoding.
        quality: Of WebP and JPEG where a variant says none, 1 to 100. Default: 85.

    Raises:
        InvalidOptionError: If `quality` is out of range.
    """

    def __init__(self, limits: ImageLimits | None = None, *, quality: int = 85) -> None:
        require(1 <= quality <= 100, "quality", quality, "1 to 100")
        self.admission = Admission(limits if limits is not None else ImageLimits())
        """What refuses images."""
        self.quality = quality

    def probe(self, content: bytes, *, name: str) -> ImageFacts:
        """Return what the header says."""
        return self.admission.admit(content, named("image", name)).facts

    def render(
        self, content: bytes, specs: Sequence[VariantSpec], *, name: str
    ) -> Iterator[Rendition]:
        """Yield the renditions, the biggest first."""
        subject = named("image", name)
        return self.render_admitted(self.admission.admit(content, subject), specs, subject)

    def render_admitted(
        self, admitted: Admitted, specs: Sequence[VariantSpec], subject: str
    ) -> Iterator[Rendition]:
        """Do what `render` does with an image that was admitted.

        Raises:
            UnusableInputError: Its pixels are damaged or cut short.
        """
        with blamed_on_content(subject):
            whole, wanted = _decoded(admitted, specs)
        profile = colour_profile(admitted.picture)
        del admitted  # as large as `whole`
        yield from renditions(whole, wanted, profile=profile, quality=self.quality)


@dataclass(frozen=True, slots=True)
class _PillowPixels:
    """Fulfils `Pixels`."""

    _picture: Image.Image

    @property
    def mode(self) -> str:
        return self._picture.mode

    @property
    def size(self) -> tuple[int, int]:
        return self._picture.size

    def resized(self, width_px: int, height_px: int, box: Box) -> _PillowPixels:
        resized = self._picture.resize(
            (width_px, height_px),
            Image.Resampling.LANCZOS,
            box=box,
            reducing_gap=_REDUCING_GAP,
        )
        return _PillowPixels(resized)

    def picture(self) -> Image.Image:
        return self._picture


def _decoded(
    admitted: Admitted, specs: Sequence[VariantSpec]
) -> tuple[_PillowPixels, list[tuple[VariantSpec, Cut]]]:
    """Return the image upright and no bigger than needed, and its cuts."""
    # This switch makes half pictures out of truncated files without saying so. It belongs to the
    # whole process, so all that can be done is to refuse to work beside it.
    require(
        not ImageFile.LOAD_TRUNCATED_IMAGES, "PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True, "False"
    )
    picture = admitted.picture
    size = picture.size
    cuts = None
    if isinstance(picture, JpegImageFile):
        sideways = held_as(picture, admitted.structure) in SIDEWAYS
        cuts = [cut(spec, *_turned(size, sideways)) for spec in specs]
        needed = needed_size_px(cuts, *_turned(size, sideways))
        picture.draft(None, _turned(needed, sideways))  # decodes at 1/2, 1/4 or 1/8
    picture.load()
    # After `load`: PNG may keep its EXIF behind the pixels.
    turn = _TURNS.get(held_as(picture, admitted.structure))
    upright = picture if turn is None else picture.transpose(turn)
    if cuts is None:
        cuts = [cut(spec, *upright.size) for spec in specs]
    return _PillowPixels(plain(upright)), list(zip(specs, cuts, strict=True))


def _turned(size: tuple[int, int], sideways: bool) -> tuple[int, int]:
    return (size[1], size[0]) if sideways else size
