"""A folder to try the image work on: six photographs and three files that must be refused."""

from __future__ import annotations

import struct
import zlib
from importlib.resources import files
from pathlib import Path

BOMB_SIDE_PX = 30_000
"""900 million pixels, 18 times what is allowed by default."""

_PHOTOS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "rocket.jpg",
)


def sample_folder(target: Path) -> list[Path]:
    """Fill a folder with photographs and bad files; files of the same names are replaced.

    Parameters:
        target: Made if it is not there.

    Returns:
        The paths: the six photographs, then `bad-truncated.jpg` (the first half of one of them),
        `bad-text.jpg` (text) and `bad-bomb.png` (about 110 kB that say they are 30000 x 30000).
    """
    target.mkdir(parents=True, exist_ok=True)
    photos = files("toril.library.images").joinpath("photos")
    contents = {name: photos.joinpath(name).read_bytes() for name in _PHOTOS}
    whole = contents["rocket.jpg"]
    contents["bad-truncated.jpg"] = whole[: len(whole) // 2]
    contents["bad-text.jpg"] = b"This is a text, whatever its name says.\n"
    contents["bad-bomb.png"] = png_bomb(BOMB_SIDE_PX)
    paths = []
    for name, content in contents.items():
        path = target / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def png_bomb(side_px: int) -> bytes:
    """Return a valid black PNG of this side: small as a file, huge when decoded.

    Parameters:
        side_px: Width and height, in pixels.

    Source:
        RFC 2083: one bit a pixel, each row led by its filter's number.
    """
    row = bytes(1 + (side_px + 7) // 8)
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
