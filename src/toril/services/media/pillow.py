"""The built-in image engine: Pillow, with every limit checked before it sees the file.

Pillow's own guard against bombs is a global number and a warning, which threads and other users of
Pillow in the process share. So nothing here reads or sets it: formats are opened by their own
classes, and sizes are compared by this module.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import assert_never

from toril.core.checks import require
from toril.core.errors import TorilError
from toril.services.media.colours import plain, to_srgb
from toril.services.media.geometry import Cut, best_base, box_in_px, cut, needed_size_px
from toril.services.media.orientation import UPRIGHT, orientation
from toril.services.media.port import (
    ImageFacts,
    ImageFormat,
    ImageLimits,
    OutputFormat,
    Rendition,
    VariantSpec,
)
from toril.services.media.signatures import foreign, recognise
from toril.services.media.structure import OverLimitError, Structure
from toril.services.media.structure_avif import walk_avif
from toril.services.media.structure_gif import walk_gif
from toril.services.media.structure_jpeg import walk_jpeg
from toril.services.media.structure_png import walk_png
from toril.services.media.structure_tiff import walk_tiff
from toril.services.media.structure_webp import walk_webp
from toril.services.unusable import UnusableInputError, named

try:
    from PIL import Image, ImageFile
    from PIL.AvifImagePlugin import AvifImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("images need Pillow 11.3 or newer", "media") from error

_OPENERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.PNG: PngImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.GIF: GifImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.TIFF: TiffImageFile,
}
_WALKERS: dict[ImageFormat, Callable[[bytes, ImageLimits], Structure]] = {
    ImageFormat.JPEG: walk_jpeg,
    ImageFormat.PNG: walk_png,
    ImageFormat.WEBP: walk_webp,
    ImageFormat.GIF: walk_gif,
    ImageFormat.AVIF: walk_avif,
    ImageFormat.TIFF: walk_tiff,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # TIFF 6.0, tag 274: what undoes each orientation
_SIDEWAYS = frozenset({5, 6, 7, 8})
_MIB = 1024 * 1024
# Of 0 to 6, in libwebp's words. Above 2 it weighs each block by its size and its loss: twice the
# time of all work on an image, for files as large and an SSIM (structural similarity) 0.003 better.
WEBP_METHOD = 2
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
        self._limits = limits if limits is not None else ImageLimits()
        self._quality = quality

    def probe(self, content: bytes, *, name: str) -> ImageFacts:
        """Return what the header says."""
        return self._opened(content, named("image", name))[1]

    def render(
        self, content: bytes, specs: Sequence[VariantSpec], *, name: str
    ) -> Iterator[Rendition]:
        """Yield the renditions, the biggest first."""
        subject = named("image", name)
        opened, _, structure = self._opened(content, subject)
        with _blamed_on_content(subject):
            whole, wanted = _decoded(opened, structure, specs)
            whole = plain(whole)
        colours = to_srgb(whole.mode, _profile(opened))
        del opened  # as large as `whole`

        made = [Cut(*whole.size)]
        pictures = [whole]
        # A small image is often the same in several variants.
        encoded: dict[tuple[Cut, OutputFormat, int], bytes] = {}
        for spec, each in sorted(wanted, key=lambda pair: pair[1].density, reverse=True):
            way = (each, spec.format, self._quality if spec.quality is None else spec.quality)
            if way not in encoded:
                at = made.index(each, 1) if each in made[1:] else best_base(each, made)
                picture = pictures[at]
                if at == 0 or made[at] != each:
                    picture = picture.resize(
                        (each.width_px, each.height_px),
                        Image.Resampling.LANCZOS,
                        box=box_in_px(each.region, made[at]),
                        reducing_gap=_REDUCING_GAP,
                    )
                    made.append(each)
                    pictures.append(picture)
                encoded[way] = _encoded(colours.apply(picture), spec.format, way[2])
            yield Rendition(
                name=spec.name,
                width_px=each.width_px,
                height_px=each.height_px,
                content=encoded[way],
            )

    def _opened(
        self, content: bytes, subject: str
    ) -> tuple[ImageFile.ImageFile, ImageFacts, Structure]:
        """Check the file by its structure, then let Pillow read its header, once."""
        kind = self._accepted(content, subject)
        try:
            structure = _WALKERS[kind](content, self._limits)
        except OverLimitError as error:
            raise UnusableInputError(subject, str(error)) from None
        if structure.width_px and structure.height_px:
            sides = structure.width_px, structure.height_px
            self._check_pixels(*sides, structure.frames, subject)
        self._check_memory(structure, subject)
        decodable = content if structure.decodable is None else structure.decodable
        with _blamed_on_content(subject):
            picture = _OPENERS[kind](io.BytesIO(decodable))
            frames = structure.frames
            if kind is ImageFormat.AVIF:  # an animation may say so in several ways
                frames = max(frames, int(getattr(picture, "n_frames", 1)))
            width_px, height_px = picture.size
        # What Pillow understood counts as well, should a file mean another thing to it than to us.
        self._check_pixels(width_px, height_px, frames, subject)
        facts = ImageFacts(format=kind, width_px=width_px, height_px=height_px, frames=frames)
        return picture, facts, structure

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

    def _check_memory(self, structure: Structure, subject: str) -> None:
        needed, limit = structure.memory_bytes, self._limits.max_memory_bytes
        if needed > limit:
            reason = f"decoding it takes about {needed // _MIB:,} MiB of memory, over the"
            reason += f" {limit // _MIB:,} MiB that are allowed (max_memory_bytes)"
            raise UnusableInputError(subject, reason)


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


def _decoded(
    picture: ImageFile.ImageFile, structure: Structure, specs: Sequence[VariantSpec]
) -> tuple[Image.Image, list[tuple[VariantSpec, Cut]]]:
    """Return the image upright and no bigger than needed, and its cuts."""
    # This switch makes half pictures out of truncated files without saying so. It belongs to the
    # whole process, so all that can be done is to refuse to work beside it.
    require(
        not ImageFile.LOAD_TRUNCATED_IMAGES, "PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True, "False"
    )
    size = picture.size
    cuts = None
    if isinstance(picture, JpegImageFile):
        sideways = _turn(picture, structure) in _SIDEWAYS
        cuts = [cut(spec, *_turned(size, sideways)) for spec in specs]
        needed = needed_size_px(cuts, *_turned(size, sideways))
        picture.draft(None, _turned(needed, sideways))  # decodes at 1/2, 1/4 or 1/8
    picture.load()
    # After `load`: PNG may keep its EXIF behind the pixels.
    turn = _TURNS.get(_turn(picture, structure))
    upright = picture if turn is None else picture.transpose(turn)
    if cuts is None:
        cuts = [cut(spec, *upright.size) for spec in specs]
    return upright, list(zip(specs, cuts, strict=True))


def _turned(size: tuple[int, int], sideways: bool) -> tuple[int, int]:
    return (size[1], size[0]) if sideways else size


def _turn(picture: ImageFile.ImageFile, structure: Structure) -> int:
    """Return how the picture was held, 1 to 8."""
    if isinstance(picture, TiffImageFile):
        return UPRIGHT  # it turns itself when it is loaded
    if structure.exif is not None or structure.xmp is not None:
        return orientation(structure.exif, structure.xmp)
    return orientation(_exif(picture), _xmp(picture))


def _exif(picture: ImageFile.ImageFile) -> bytes | None:
    block = picture.info.get("exif")
    if isinstance(block, bytes):
        return block
    # ImageMagick's way to carry EXIF in a PNG: a name and a length on lines, then hexadecimals.
    text = picture.info.get("Raw profile type exif")
    if not isinstance(text, str):
        return None
    try:
        return bytes.fromhex("".join(text.split("\n")[3:]))
    except ValueError:
        return None


def _xmp(picture: ImageFile.ImageFile) -> bytes | None:
    for key in ("XML:com.adobe.xmp", "xmp"):
        packet = picture.info.get(key)
        if packet:
            return packet.encode() if isinstance(packet, str) else bytes(packet)
    return None


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
