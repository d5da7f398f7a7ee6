"""What the header of an opened image tells beside its size: how it was held, and its colours."""

from __future__ import annotations

from PIL import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from toril.services.media.orientation import UPRIGHT, orientation
from toril.services.media.structure import Structure

SIDEWAYS = frozenset({5, 6, 7, 8})
"""The orientations of pictures whose sides have to be exchanged."""


def held_as(picture: ImageFile.ImageFile, structure: Structure) -> int:
    """Return how the picture was held, 1 to 8 as `orientation` has it.

    A PNG may keep that behind its pixels: ask when they are decoded.
    """
    if isinstance(picture, TiffImageFile):
        return UPRIGHT  # it turns itself when it is loaded
    exif = _exif(picture) if structure.exif is None else structure.exif
    xmp = _xmp(picture) if structure.xmp is None else structure.xmp
    return orientation(exif, xmp)


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


def colour_profile(picture: ImageFile.ImageFile) -> bytes | None:
    """Return the bytes of the embedded ICC profile; None if there is none."""
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None
