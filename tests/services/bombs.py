"""Small files that ask for much: by their scans, markers, chunks, frames, tags or tiles.

Written by hand from the formats' own descriptions: no encoder's good manners get in the way.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from tests.services.pictures import encode, quadrants

from toril.library.images.samples import png_bomb


def segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def many_scans(scans: int, *, width_px: int = 8_000, height_px: int = 6_000) -> bytes:
    """Return a progressive JPEG that goes over its picture so many times, ten bytes each."""
    table = segment(0xC4, b"\x00" + bytes([1, *[0] * 15]) + b"\x00")  # one code: nothing follows
    table += segment(0xC4, b"\x10" + bytes([0, 1, *[0] * 14]) + b"\xe0")
    frame = b"\x08" + struct.pack(">HH", height_px, width_px) + b"\x01\x01\x11\x00"
    head = b"\xff\xd8" + segment(0xDB, b"\x00" + bytes([1] * 64)) + segment(0xC2, frame) + table
    first = segment(0xDA, b"\x01\x01\x00\x00\x00\x01") + b"\x00\x00"
    refining = segment(0xDA, b"\x01\x01\x00\x00\x00\x10") + b"\x00\x00"
    return head + first + refining * (scans - 1) + b"\xff\xd9"


def jpeg_with(baggage: bytes) -> bytes:
    """Return a good JPEG with more segments behind its first two bytes."""
    content = encode(quadrants(), "JPEG")
    return content[:2] + baggage + content[2:]


def crowded_exif(tags: int, shared_bytes: int) -> bytes:
    """Return an EXIF block whose tags all hold the same bytes: read, they are held for each tag."""
    entries = b"".join(
        struct.pack(">HHII", 0x9000 + number, 7, shared_bytes, 8) for number in range(tags)
    )
    directory = b"MM\0*" + struct.pack(">IH", 8, tags) + entries + bytes(4)
    return directory.ljust(8 + shared_bytes, b"\0")


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes) -> bytes:
    """Return a good PNG with more chunks behind its header."""
    content = encode(quadrants(), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def gif(*blocks: bytes, width_px: int = 8, height_px: int = 8) -> bytes:
    """Return a GIF of these blocks."""
    head = b"GIF89a" + struct.pack("<HHBBB", width_px, height_px, 0x80, 0, 0) + bytes(6)
    return head + b"".join(blocks) + b";"


def gif_frame(width_px: int = 8, height_px: int = 8, data: bytes = b"\x02\x4c\x01\x00") -> bytes:
    """Return a GIF frame; its data is too short to be drawn."""
    return b"," + struct.pack("<HHHHB", 0, 0, width_px, height_px, 0) + b"\x02" + data


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of these chunks."""
    body = b"WEBP"
    for kind, content in chunks:
        body += kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width_px: int, height_px: int, flags: int = 0) -> tuple[bytes, bytes]:
    """Return the first chunk of an extended WebP."""
    sides = [(side - 1).to_bytes(3, "little") for side in (width_px, height_px)]
    return b"VP8X", struct.pack("<I", flags) + b"".join(sides)


Tag = tuple[int, int, int, int]
"""Number, kind, count and value of a TIFF tag."""


def tiff(*tags: Tag, after: bytes = b"", following: int = 0) -> bytes:
    """Return a TIFF of one page."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", 8) + directory + after


def grey_tags(width_px: int, height_px: int, compression: int = 1) -> list[Tag]:
    """Return the tags that every grey TIFF has."""
    return [
        (256, 4, 1, width_px),
        (257, 4, 1, height_px),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
    ]


def tiles(width_px: int, height_px: int, *, count: int = 1, compression: int = 5) -> list[Tag]:
    """Return the tags of a picture in tiles."""
    return [
        (322, 4, 1, width_px),
        (323, 4, 1, height_px),
        (324, 4, count, 300),
        (325, 4, count, 100),
    ]


def pages(count: int) -> bytes:
    """Return a TIFF of so many empty pages."""
    content = b"II*\0" + struct.pack("<I", 8)
    for number in range(count):
        following = 8 + 6 * (number + 1) if number + 1 < count else 0
        content += struct.pack("<HI", 0, following)
    return content


def box(kind: bytes, body: bytes = b"") -> bytes:
    """Return an ISO box."""
    return struct.pack(">I", 8 + len(body)) + kind + body


AVIF = box(b"ftyp", b"avif\0\0\0\0mif1avif")


def avif_of(width_px: int, height_px: int) -> bytes:
    """Return an AVIF that declares a size, and has no picture."""
    shown = box(b"ispe", bytes(4) + struct.pack(">II", width_px, height_px))
    return AVIF + box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", shown)))


def avif_track(samples: int, width_px: int = 8, height_px: int = 8) -> bytes:
    """Return an AVIF whose track says that it has so many pictures."""
    entry = box(b"av01", bytes(24) + struct.pack(">HH", width_px, height_px) + bytes(50))
    tables = box(b"stsd", bytes(4) + struct.pack(">I", 1) + entry)
    tables += box(b"stsz", bytes(8) + struct.pack(">I", samples))
    track = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", tables))))
    return AVIF + box(b"moov", track)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "jpeg-scans": (
        lambda: many_scans(30_000),
        r"more than 64 scans, which is the most allowed \(max_scans",
    ),
    "jpeg-scans-just-over": (lambda: many_scans(65, width_px=8, height_px=8), "more than 64 scans"),
    "jpeg-scans-in-one-tone": (
        lambda: (
            many_scans(2, width_px=8, height_px=8).replace(b"\xff\xc2", b"\xff\xc0")[:-2]
            + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") * 70
        ),
        "more than 64 scans",
    ),
    "jpeg-comments": (
        lambda: jpeg_with(segment(0xFE, b"") * 300_000),
        r"more than 20,000 markers, which is the most allowed \(max_parts",
    ),
    "jpeg-tables": (
        lambda: jpeg_with(segment(0xDB, b"\x00" + bytes([1] * 64)) * 30_000),
        "more than 20,000 markers",
    ),
    "jpeg-reserved-markers": (
        lambda: jpeg_with(segment(0xF7, b"\xff\xf7" * 30_000)),
        "more than 20,000 markers",
    ),
    "jpeg-memory": (
        lambda: (
            many_scans(2, width_px=60_000, height_px=833)
            .replace(b"\x01\x01\x11\x00", b"\x04" + b"\x01\x11\x00" * 4, 1)
            .replace(struct.pack(">HB", 11, 8), struct.pack(">HB", 20, 8), 1)
        ),
        r"decoding it takes about 571 MiB of memory, over the 512 MiB .* \(max_memory_bytes\)",
    ),
    "png-pixels": (lambda: png_bomb(30_000), "30000 x 30000 pixels are 900,000,000"),
    "png-chunks": (lambda: png_with(chunk(b"teSt", b"") * 300_000), "more than 20,000 chunks"),
    "png-pieces": (lambda: png_with(chunk(b"IDAT", b"") * 300_000), "more than 20,000 chunks"),
    "png-frames-declared": (
        lambda: png_with(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
        r"more than 2,000 frames, .* \(max_frames",
    ),
    "png-frames": (lambda: png_with(chunk(b"fcTL", bytes(26)) * 2_001), "more than 2,000 frames"),
    "gif-frames": (lambda: gif(gif_frame() * 200_000), "more than 2,000 frames"),
    "gif-frame-beyond-screen": (
        lambda: gif(gif_frame(65_000, 65_000)),
        "65000 x 65000 pixels are",
    ),
    "gif-comment-in-pieces": (
        lambda: gif(b"!\xfe" + b"\x01a" * 1_000_000 + b"\0", gif_frame()),
        "cut into more pieces than any encoder makes",
    ),
    "gif-comments": (lambda: gif(b"!\xfe\x01a\0" * 100_000, gif_frame()), "than 20,000 blocks"),
    "gif-picture-in-pieces": (
        lambda: gif(gif_frame(data=b"\x01a" * 5_000_000 + b"\0")),
        "cut into more pieces than any encoder makes",
    ),
    "gif-junk": (lambda: gif(b"\0!\0\0" * 1_000_000), "more than 20,000 blocks"),
    "webp-memory": (
        lambda: webp(canvas(7_000, 7_000), (b"VP8L", b"\x2f" + bytes(20))),
        "decoding it takes about 794 MiB of memory",
    ),
    "webp-frames": (
        lambda: webp(canvas(8, 8, 2), (b"ANIM", bytes(6)), *[(b"ANMF", bytes(24))] * 2_001),
        "more than 2,000 frames",
    ),
    "webp-chunks": (
        lambda: webp(canvas(8, 8), *[(b"juNk", b"")] * 30_000),
        "more than 20,000 chunks",
    ),
    "tiff-tile": (
        lambda: tiff(*grey_tags(64, 64, 5), *tiles(40_000, 40_000), after=bytes(2_000)),
        "decoding it takes about 3,051 MiB of memory",
    ),
    "tiff-strip": (
        lambda: tiff(*grey_tags(7_000, 7_000, 5), (273, 4, 1, 200), (278, 4, 1, 7_000)).replace(
            struct.pack("<HHII", 277, 3, 1, 1), struct.pack("<HHII", 277, 3, 1, 60)
        ),
        "decoding it takes about",
    ),
    "tiff-tiles": (
        lambda: tiff(*grey_tags(7_000, 7_000), *tiles(16, 16, count=191_406), after=bytes(10**6)),
        "more than 20,000 tags, strips and tiles",
    ),
    "tiff-tags": (
        lambda: tiff(*[(number, 1, 1, 0) for number in range(21_000)]),
        "more than 20,000 tags",
    ),
    "tiff-tags-sharing-bytes": (
        lambda: tiff(*grey_tags(8, 8), *[(1000 + n, 7, 9_000, 8) for n in range(1_000)]),
        "its tags say that they hold more than the whole file",
    ),
    "tiff-pages": (lambda: pages(100_000), "more than 2,000 frames"),
    "bigtiff-tags": (
        lambda: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**62),
        "more than 20,000 tags",
    ),
    "avif-pixels": (lambda: avif_of(60_000, 60_000), "60000 x 60000 pixels are"),
    "avif-track-pixels": (lambda: avif_track(1, 60_000, 60_000), "60000 x 60000 pixels are"),
    "avif-memory": (lambda: avif_of(7_000, 7_000), "decoding it takes about 700 MiB of memory"),
    "avif-boxes": (lambda: AVIF + box(b"free") * 100_000, "more than 20,000 boxes"),
    "avif-frames": (lambda: avif_track(2**31), "more than 2,000 frames"),
}
"""Name to a maker and what the refusal says. All are refused before a decoder sees them."""
