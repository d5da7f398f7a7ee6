"""The markers and scans of a JPEG.

A progressive JPEG goes over the whole picture once for each scan, and a scan may be ten bytes long:
400 kB of them keep a decoder busy for minutes.

Source: ITU-T T.81, annex B; EXIF 2.32 and the XMP specification, part 3, for APP1.
"""

from __future__ import annotations

import re

from toril.services.media.port import ImageLimits
from toril.services.media.structure import Structure, Tally

# In coded data FF is followed by 00 or by a restart marker; any number of FF may stand before one.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")

_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# Those without a length. For the reserved ones Pillow reads none: what follows is markers to it.
_BARE = frozenset({*range(0x01, 0xC0), 0xC8, _SOI, *range(0xF0, _COM)})

_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_BYTES_PER_PIXEL = 4
_BYTES_PER_COEFFICIENT = 2


def walk_jpeg(content: bytes, limits: ImageLimits) -> Structure:
    """Return what a JPEG is made of.

    `decodable` is the file without comments, camera data, thumbnails and whatever lies between its
    first segments: a decoder has no use for them, and some libraries read them many times over.

    Raises:
        OverLimitError: It has too many markers or scans.
    """
    tally = Tally(limits, "markers")
    width_px = height_px = 0
    buffered = False
    coefficients = 1.0
    told: dict[bytes, bytes] = {}
    needed = [content[:2]]
    at = 2
    while (match := _MARKER.search(content, at)) is not None:
        tally.part()
        code, end = match[1][0], match.end()
        if code not in _BARE and code != _EOI:
            end += max(2, int.from_bytes(content[end : end + 2], "big"))
        body = content[match.end() + 2 : end]
        at = end
        if code == _EOI and tally.scans:
            break
        if code == _SOS:
            if not tally.scans:
                needed.append(content[match.start() :])
            tally.scan()
            continue
        if code in _FRAMES:
            height_px = max(height_px, int.from_bytes(body[1:3], "big"))
            width_px = max(width_px, int.from_bytes(body[3:5], "big"))
            buffered = buffered or code in _PROGRESSIVE
            coefficients = max(coefficients, _coefficients_per_pixel(body[5:]))
        if tally.scans:
            continue
        if not _is_baggage(code, body):
            needed.append(content[match.start() : end])
        for label in (_EXIF, _XMP):
            if code == _APP1 and body.startswith(label):
                told.setdefault(label, body[len(label) :])
    pixels = width_px * height_px
    memory_bytes = pixels * _BYTES_PER_PIXEL
    if buffered or tally.scans > 1:  # then all coefficients are held until the last scan
        memory_bytes += int(pixels * coefficients * _BYTES_PER_COEFFICIENT)
    return Structure(
        width_px=width_px,
        height_px=height_px,
        memory_bytes=memory_bytes,
        decodable=b"".join(needed),
        exif=told.get(_EXIF),
        xmp=told.get(_XMP),
    )


def _is_baggage(code: int, body: bytes) -> bool:
    """Whether a segment says nothing of the pixels: all but JFIF, Adobe's and colour profiles."""
    if code == _COM:
        return True
    if not _APP0 <= code <= 0xEF:
        return False
    needed = {_APP0: b"JFIF", _APP2: b"ICC_PROFILE\0", _APP14: b"Adobe"}.get(code)
    return needed is None or not body.startswith(needed)


def _coefficients_per_pixel(components: bytes) -> float:
    """Return how many coefficients there are a pixel: 3 for colours that are not subsampled."""
    factors = [components[at] for at in range(2, min(len(components), 1 + 3 * 4), 3)]
    areas = [max(1, factor >> 4) * max(1, factor & 15) for factor in factors]
    return sum(areas) / max(areas) if areas else 1.0
