"""Decides whether an image may be decoded, by its structure and its header. Decodes no pixels.

Pillow's own guard against bombs is a global number and a warning, which threads and other users of
Pillow in the process share. So nothing here reads or sets it: formats are opened by their own
classes, and sizes are compared by this module.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from toril.core.errors import TorilError
from toril.services.media.port import ImageFacts, ImageFormat, ImageLimits
from toril.services.media.signatures import foreign, recognise
from toril.services.media.structure import OverLimitError, Structure
from toril.services.media.structure_avif import walk_avif
from toril.services.media.structure_gif import walk_gif
from toril.services.media.structure_jpeg import walk_jpeg
from toril.services.media.structure_png import walk_png
from toril.services.media.structure_tiff import walk_tiff
from toril.services.media.structure_webp import walk_webp
from toril.services.unusable import UnusableInputError

try:
    from PIL import ImageFile
    from PIL.AvifImagePlugin import AvifImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("images need Pillow 11.3 or newer", "media") from error

WALKERS: dict[ImageFormat, Callable[[bytes, ImageLimits], Structure]] = {
    ImageFormat.JPEG: walk_jpeg,
    ImageFormat.PNG: walk_png,
    ImageFormat.WEBP: walk_webp,
    ImageFormat.GIF: walk_gif,
    ImageFormat.AVIF: walk_avif,
    ImageFormat.TIFF: walk_tiff,
}
"""Who counts the parts of a file of each format."""
_OPENERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.PNG: PngImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.GIF: GifImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.TIFF: TiffImageFile,
}
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """An image that may be decoded."""

    picture: ImageFile.ImageFile
    """Opened by Pillow: its header is read, its pixels are not decoded."""
    facts: ImageFacts
    structure: Structure
    content: bytes
    """What a decoder gets: the file, or what of it says something of the pixels."""


class Admission:
    """Refuses what is no accepted image, and what is over a limit.

    Parameters:
        limits: What is refused.
    """

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits

    def admit(self, content: bytes, subject: str) -> Admitted:
        """Check a file by its structure, then let Pillow read its header, once.

        Raises:
            UnusableInputError: It is refused.
        """
        kind = self._accepted(content, subject)
        try:
            structure = WALKERS[kind](content, self._limits)
        except OverLimitError as error:
            raise UnusableInputError(subject, str(error)) from None
        if structure.width_px and structure.height_px:
            sides = structure.width_px, structure.height_px
            self._check_pixels(*sides, structure.frames, subject)
        self._check_memory(structure, subject)
        decodable = content if structure.decodable is None else structure.decodable
        with blamed_on_content(subject):
            picture = _OPENERS[kind](io.BytesIO(decodable))
            frames = structure.frames
            if kind is ImageFormat.AVIF:  # an animation may say so in several ways
                frames = max(frames, int(getattr(picture, "n_frames", 1)))
            width_px, height_px = picture.size
        # What Pillow understood counts as well, should a file mean another thing to it than to us.
        self._check_pixels(width_px, height_px, frames, subject)
        facts = ImageFacts(format=kind, width_px=width_px, height_px=height_px, frames=frames)
        return Admitted(picture=picture, facts=facts, structure=structure, content=decodable)

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


@contextmanager
def blamed_on_content(subject: str) -> Iterator[None]:
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
