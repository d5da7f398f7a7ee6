"""Which image a file really is, by its first bytes; its name and any header are not asked.

Source: RFC 2083 (PNG), RFC 9649 (WebP), ISO/IEC 14496-12 (`ftyp`), GIF89a and TIFF 6.0.
"""

from __future__ import annotations

from toril.services.media.port import ImageFormat

_LEADING = (
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"GIF87a", ImageFormat.GIF),
    (b"GIF89a", ImageFormat.GIF),
    (b"II*\x00", ImageFormat.TIFF),
    (b"MM\x00*", ImageFormat.TIFF),
    (b"II+\x00", ImageFormat.TIFF),
    (b"MM\x00+", ImageFormat.TIFF),
)
_FOREIGN = (
    (b"BM", "a BMP image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML text"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})


def recognise(content: bytes) -> ImageFormat | None:
    """Return the format, or None for something that is none of ours."""
    for leading, kind in _LEADING:
        if content.startswith(leading):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if _brands(content) & {b"avif", b"avis"}:
        return ImageFormat.AVIF
    return None


def foreign(content: bytes) -> str | None:
    """Return what a file of another kind is, for the error that refuses it; None if unknown."""
    if not content:
        return "an empty file"
    if _brands(content) & _HEIF_BRANDS:
        return "a HEIC image"
    for leading, kind in _FOREIGN:
        if content.startswith(leading):
            return kind
    return None


def _brands(content: bytes) -> set[bytes]:
    if content[4:8] != b"ftyp":
        return set()
    box = content[8 : min(int.from_bytes(content[:4], "big"), 512)]
    return {box[at : at + 4] for at in range(0, len(box), 4)}
