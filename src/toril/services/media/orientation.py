"""How a picture was held: the orientation that its EXIF block, or its XMP packet, tells.

Reads that one tag and nothing else. A hostile block may have thousands of tags that share the same
bytes; a reader of all of them would hold the bytes thousands of times.

Source: EXIF 2.32, tag 274; XMP specification, part 2, `tiff:Orientation`.
"""

from __future__ import annotations

import re
from typing import Literal

UPRIGHT = 1

_TAG, _SHORT = 274, 3
_ENTRY_BYTES = 12
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])\b")


def orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """Return 1 to 8; 1, upright, where nothing that can be read says otherwise.

    Parameters:
        exif: The block, with or without its leading `Exif`.
        xmp: The packet. Asked if the block has no such tag.
    """
    found = _of_exif((exif or b"").removeprefix(b"Exif\0\0"))
    if found is None and xmp:
        match = _XMP.search(xmp)
        found = None if match is None else int(match[1])
    return found if found is not None and 1 <= found <= 8 else UPRIGHT


def _of_exif(block: bytes) -> int | None:
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return None
    begin = int.from_bytes(block[4:8], order)
    count = int.from_bytes(block[begin : begin + 2], order)
    for at in range(begin + 2, min(begin + 2 + count * _ENTRY_BYTES, len(block)), _ENTRY_BYTES):
        if int.from_bytes(block[at : at + 2], order) != _TAG:
            continue
        if int.from_bytes(block[at + 2 : at + 4], order) != _SHORT:
            return None
        return int.from_bytes(block[at + 8 : at + 10], order)
    return None
