"""Pictures for tests, and readers of finished WebP files that owe nothing to the engine."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from importlib.resources import files

from PIL import Image

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 170, 60), (30, 60, 200), (240, 240, 240)

# EXIF 2.32, tag 274: which pixel of the upright image a stored pixel (row, column) is, given the
# upright image's last column and last row.
_STORED: dict[int, Callable[[int, int, int, int], tuple[int, int]]] = {
    1: lambda row, column, _right, _bottom: (column, row),
    2: lambda row, column, right, _bottom: (right - column, row),
    3: lambda row, column, right, bottom: (right - column, bottom - row),
    4: lambda row, column, _right, bottom: (column, bottom - row),
    5: lambda row, column, _right, _bottom: (row, column),
    6: lambda row, column, right, _bottom: (right - row, column),
    7: lambda row, column, right, bottom: (right - row, bottom - column),
    8: lambda row, column, _right, bottom: (row, bottom - column),
}


def photo(name: str) -> bytes:
    """Return one of the shipped photographs."""
    return files("toril.library.images").joinpath("photos", name).read_bytes()


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def quadrants(width_px: int = 80, height_px: int = 60) -> Image.Image:
    """Return red, green / blue, white: no turn or flip of it looks like another."""
    picture = Image.new("RGB", (width_px, height_px), WHITE)
    half = (width_px // 2, height_px // 2)
    picture.paste(RED, (0, 0, *half))
    picture.paste(GREEN, (half[0], 0, width_px, half[1]))
    picture.paste(BLUE, (0, half[1], half[0], height_px))
    return picture


def stored_as(upright: Image.Image, orientation: int) -> Image.Image:
    """Return the pixels that a camera would store with this orientation."""
    size = upright.size if orientation < 5 else (upright.height, upright.width)
    stored = Image.new("RGB", size)
    place = _STORED[orientation]
    for row in range(stored.height):
        for column in range(stored.width):
            at = place(row, column, upright.width - 1, upright.height - 1)
            stored.putpixel((column, row), upright.getpixel(at) or 0)
    return stored


def exif(orientation: int = 1, *, gps: bool = False) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    if gps:
        tags[0x010F] = "SecretCamera"
        tags.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    return tags


def decoded(webp: bytes) -> Image.Image:
    with Image.open(io.BytesIO(webp), formats=["WEBP"]) as picture:
        picture.load()
        return picture.copy()


def chunks(webp: bytes) -> list[bytes]:
    """Return the names of a WebP file's chunks, read as RFC 9649 lays them out."""
    assert webp[:4] == b"RIFF"
    assert webp[8:12] == b"WEBP"
    assert struct.unpack_from("<I", webp, 4)[0] + 8 == len(webp)
    names, at = [], 12
    while at < len(webp):
        name, size = struct.unpack_from("<4sI", webp, at)
        names.append(name)
        at += 8 + size + size % 2
    assert at == len(webp)
    return names


def near(found: object, expected: tuple[int, ...], *, within: int = 6) -> bool:
    """Whether a pixel is a colour, as far as lossy compression can tell."""
    assert isinstance(found, tuple)
    return all(abs(have - want) <= within for have, want in zip(found, expected, strict=True))


def matrix_profile(primaries: list[tuple[float, float, float]], gamma: float) -> bytes:
    """Return an RGB display profile (ICC.1:2001) with these D50 columns and one gamma.

    Parameters:
        primaries: XYZ of red, green and blue, relative to D50.
        gamma: The tone curve's exponent.
    """
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"wtpt", _xyz((0.9642, 1.0, 0.8249))), (b"cprt", b"text\0\0\0\0none\0\0\0\0")]
    tags.append((b"desc", b"desc\0\0\0\0" + struct.pack(">I", 5) + b"wide\0" + bytes(8 + 3 + 67)))
    for letter, column in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags += [(letter + b"XYZ", _xyz(column)), (letter + b"TRC", curve)]
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I", start + len(body)) + bytes(4) + struct.pack(">I", 0x02400000)
    head += b"mntrRGB XYZ " + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))
