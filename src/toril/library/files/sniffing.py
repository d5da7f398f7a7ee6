"""Tells what a file is by its bytes. Its name, and what anybody says of it, is not asked.

Only what starts as the format demands is recognised: a guess would let a file pass as what it is
not. Texts have no signature; they are what has no control characters and is valid UTF-8.

Source: the formats' own specifications; for HTML the table of WHATWG's "MIME Sniffing".
"""

from __future__ import annotations

from toril.library.files import kinds
from toril.library.files.kinds import Kind

HEAD_BYTES = 64 * 1024
"""What is looked at from the beginning."""

_LEADING: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", kinds.JPEG),
    (b"\x89PNG\r\n\x1a\n", kinds.PNG),
    (b"GIF87a", kinds.GIF),
    (b"GIF89a", kinds.GIF),
    (b"II*\x00", kinds.TIFF),
    (b"MM\x00*", kinds.TIFF),
    (b"\x00\x00\x01\x00", kinds.ICO),
    (b"8BPS\x00\x01", kinds.PSD),
    (b"%PDF-", kinds.PDF),
    (b"{\\rtf", kinds.RTF),
    (b"PK\x03\x04", kinds.ZIP),
    (b"PK\x05\x06", kinds.ZIP),
    (b"\x1f\x8b\x08", kinds.GZIP),
    (b"BZh", kinds.BZIP2),
    (b"\xfd7zXZ\x00", kinds.XZ),
    (b"\x28\xb5\x2f\xfd", kinds.ZSTD),
    (b"7z\xbc\xaf\x27\x1c", kinds.SEVEN_ZIP),
    (b"Rar!\x1a\x07", kinds.RAR),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", kinds.OLE),
    (b"\x00\x00\x01\xba", kinds.MPEG),
    (b"\x00\x00\x01\xb3", kinds.MPEG),
    (b"ID3", kinds.MP3),
    (b"fLaC", kinds.FLAC),
    (b"OggS", kinds.OGG),
    (b"wOFF", kinds.WOFF),
    (b"wOF2", kinds.WOFF2),
    (b"SQLite format 3\x00", kinds.SQLITE),
    (b"PAR1", kinds.PARQUET),
    (b"\x7fELF", kinds.ELF),
    (b"\xfe\xed\xfa\xce", kinds.MACH_O),
    (b"\xfe\xed\xfa\xcf", kinds.MACH_O),
    (b"\xce\xfa\xed\xfe", kinds.MACH_O),
    (b"\xcf\xfa\xed\xfe", kinds.MACH_O),
    (b"dex\n03", kinds.DEX),
    (b"\x00asm", kinds.WASM),
    (b"L\x00\x00\x00\x01\x14\x02\x00", kinds.LNK),
    (b"MSCF\x00\x00\x00\x00", kinds.CAB),
)
_RIFF = {b"WEBP": kinds.WEBP, b"WAVE": kinds.WAV, b"AVI ": kinds.AVI}
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_AUDIO = frozenset({b"M4A ", b"M4B ", b"M4P "})
_HTML = tuple(
    f"<{word}".encode()
    for word in ("!doctype html", "html", "head", "script", "iframe", "h1", "div", "font", "table",
                 "a", "style", "title", "b", "body", "br", "p", "img", "form", "meta", "link",
                 "object", "embed", "!--")
)  # fmt: skip
_CONTROL = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27})


def recognise(head: bytes) -> Kind | None:
    """Return what a file is by its first 64 KiB, or None if nobody knows.

    Of a ZIP archive only that: `archives.py` says what it holds.
    """
    for leading, kind in _LEADING:
        if head.startswith(leading):
            return kind
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[:4] == b"\x1aE\xdf\xa3":
        return kinds.WEBM if b"webm" in head[:64] else kinds.MKV
    if head[:2] == b"BM" and len(head) >= 26 and head[6:10] == bytes(4):
        return kinds.BMP
    if head[:2] == b"MZ":
        return kinds.PE
    if head[:4] == b"\xca\xfe\xba\xbe":  # Java's versions begin at 45; a fat binary has few parts
        return kinds.JAVA_CLASS if int.from_bytes(head[6:8], "big") >= 45 else kinds.MACH_O
    if head[257:262] == b"ustar":
        return kinds.TAR
    if head[0x8001:0x8006] == b"CD001":
        return kinds.ISO
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return kinds.AAC
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06 == 0x02:
        return kinds.MP3
    if head[2:4] == b"\r\n" and 0x0B <= head[1] <= 0x0F and len(head) >= 16:
        return kinds.PYC
    return _of_text(head)


def is_text(head: bytes) -> bool:
    """Whether this is the beginning of a text in UTF-8, or UTF-16 with its mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = head[: len(head) // 2 * 2].decode("utf-16")
        except UnicodeDecodeError:
            return False
        return not any(ord(char) < 32 and char not in "\t\n\r\f" for char in text)
    if head.translate(None, _CONTROL) != head:
        return False
    try:
        # The last character may be cut.
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and error.reason == "unexpected end of data"
    return True


def _of_text(head: bytes) -> Kind | None:
    if not head or not is_text(head):
        return None
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:2048].lower()
    if begin.startswith(b"#!"):
        return kinds.SHELL
    if b"<?php" in begin or begin.startswith(b"<?="):
        return kinds.PHP
    if b"<svg" in begin and begin.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")):
        return kinds.SVG
    if any(begin.startswith(tag) and not begin[len(tag) : len(tag) + 1].isalnum() for tag in _HTML):
        return kinds.HTML
    if begin.startswith(b"<?xml"):
        return kinds.HTML if b"<html" in begin else kinds.XML
    return kinds.TEXT


def _of_brands(head: bytes) -> Kind:
    """Return what a file of ISO's base media format is, by its brands."""
    box = head[8 : min(int.from_bytes(head[:4], "big"), 512)]
    brands = {box[at : at + 4] for at in range(0, len(box), 4)}
    major = head[8:12]
    if brands & {b"avif", b"avis"}:
        return kinds.AVIF
    if brands & _HEIC:
        return kinds.HEIC
    if major == b"qt  ":
        return kinds.MOV
    return kinds.M4A if major in _AUDIO else kinds.MP4
