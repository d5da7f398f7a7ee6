"""Converts every colour mode to RGB or RGBA, and every colour profile to sRGB.

Works on small pictures where it can: profiles are applied to the finished variants.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

try:
    from PIL import Image, ImageCms
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("images need Pillow", "media") from error

_SIXTEEN_TO_EIGHT = [round(value * 255 / 65535) for value in range(65536)]
_ALPHA = frozenset({"LA", "RGBA"})


class UnsupportedPixelsError(ValueError):
    """These pixels have no range that could be shown."""


def plain(picture: Image.Image) -> Image.Image:
    """Return the picture as L, LA, RGB, RGBA, CMYK or LAB with 8 bits, its transparency kept.

    Raises:
        UnsupportedPixelsError: 32-bit integers or floats, whose white nobody can know.
    """
    mode = picture.mode
    if mode in {"L", "RGB"} and "transparency" in picture.info:
        return picture.convert("RGBA")
    if mode in {"L", "LA", "RGB", "RGBA", "CMYK", "LAB"}:
        return picture
    if mode.startswith("I;16"):
        return _from_sixteen_bits(picture)
    if mode in {"I", "F"}:
        raise UnsupportedPixelsError("its pixels are 32-bit numbers without a known white")
    if mode == "P":
        clear = "transparency" in picture.info or picture.palette.mode == "RGBA"  # type: ignore[union-attr]
        return picture.convert("RGBA" if clear else "RGB")
    if mode == "1":
        return picture.convert("RGBA" if "transparency" in picture.info else "L")
    return picture.convert({"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode, "RGB"))


def _from_sixteen_bits(picture: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255 instead of scaling, which turns photographs white.
    wide = picture.convert("I")
    grey = wide.point(_SIXTEEN_TO_EIGHT, "L")
    clear = picture.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    grey.putalpha(wide.point([0 if value == clear else 255 for value in range(65536)], "L"))
    return grey


@dataclass(frozen=True, slots=True)
class ToSrgb:
    """Turns plain pictures of one mode into sRGB. Made once for an image, used for each variant."""

    mode: str
    """The mode that `transform` takes; pictures are converted to it first."""
    transform: ImageCms.ImageCmsTransform | None
    """None: the colours are sRGB already, or nothing says otherwise."""

    def apply(self, picture: Image.Image) -> Image.Image:
        """Return the picture as RGB, or as RGBA if it has transparency."""
        alpha = picture.getchannel("A") if picture.mode in _ALPHA else None
        if self.transform is None:
            colour = picture.convert("RGB")
        else:
            colour = self.transform.apply(picture.convert(self.mode))
        if alpha is not None:
            colour.putalpha(alpha)
        return colour


def to_srgb(mode: str, profile: bytes | None) -> ToSrgb:
    """Return the way from a plain mode and its embedded profile to sRGB.

    A profile that cannot be read, or that is for another kind of picture, is taken as absent, as
    browsers do. CMYK without one is converted by its plain formula.

    Parameters:
        mode: The mode of the pictures, one of those that `plain` returns.
        profile: The ICC profile's bytes, if there is one.
    """
    colours = {"LA": "L", "RGBA": "RGB"}.get(mode, mode)
    if mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        except (OSError, ImageCms.PyCMSError):
            return ToSrgb(colours, None)
    else:
        return ToSrgb(colours, None)
    # Grey pictures are now and then tagged with an RGB profile; as RGB it fits them.
    for entry in (colours, "RGB") if colours == "L" else (colours,):
        try:
            return ToSrgb(entry, _transform(source, entry))
        except ImageCms.PyCMSError:
            continue
    return ToSrgb(colours, None)


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
