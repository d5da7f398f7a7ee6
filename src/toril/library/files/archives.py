"""Looks at the list of what a ZIP archive holds. Nothing is unpacked."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

from toril.library.files import kinds
from toril.library.files.kinds import Kind

MAX_MIMETYPE_BYTES = 100
MAX_ENTRY_BYTES = 400
"""Of a member in the list, on average: 46, its name, and what some programs add."""
LEAST_ENTRY_BYTES = 46
END_BYTES = 22
LOCATOR_BYTES = 20
_ENCRYPTED = 0x1
_BY_FOLDER = (("word/", kinds.DOCX, kinds.DOCM), ("xl/", kinds.XLSX, kinds.XLSM),
              ("ppt/", kinds.PPTX, kinds.PPTM))  # fmt: skip
_BY_MIMETYPE = {kind.mime: kind for kind in (kinds.ODT, kinds.ODS, kinds.ODP, kinds.EPUB)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What an archive says of itself."""

    kind: Kind
    members: int
    unpacked_bytes: int
    encrypted: bool
    escapes: str | None
    """The name of a member that would be unpacked elsewhere. None: there is none."""


def read_archive(file: BinaryIO, *, max_members: int) -> Archive | None:
    """Return what a ZIP archive holds; None if its list cannot be read.

    Parameters:
        file: The archive.
        max_members: Of more than so many, only their number is looked at.
    """
    try:
        # The list is read as a whole, so one that cannot be of so few members is not read.
        listing_bytes = _listing_bytes(file)
        if listing_bytes is None:
            return None
        if listing_bytes > max_members * MAX_ENTRY_BYTES:
            return Archive(
                kind=kinds.ZIP,
                members=listing_bytes // LEAST_ENTRY_BYTES,
                unpacked_bytes=0,
                encrypted=False,
                escapes=None,
            )
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            few = members[:max_members]
            return Archive(
                kind=_kind(archive, [one.filename for one in few]),
                members=len(members),
                unpacked_bytes=sum(one.file_size for one in members),
                encrypted=any(one.flag_bits & _ENCRYPTED for one in few),
                escapes=next((one.filename for one in few if _escapes(one.filename)), None),
            )
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError, EOFError):
        return None


def _listing_bytes(file: BinaryIO) -> int | None:
    """Return the size of an archive's list, as it says; None if there is none.

    Source: PKWARE's APPNOTE, 4.3.14 to 4.3.16.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - END_BYTES - 0xFFFF - LOCATOR_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < END_BYTES:
        return None
    listing_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    if listing_bytes != 0xFFFFFFFF:
        return listing_bytes
    locator = tail[max(0, at - LOCATOR_BYTES) : at]
    if not locator.startswith(b"PK\x06\x07"):
        return None
    file.seek(int.from_bytes(locator[8:16], "little"))
    record = file.read(56)
    if not record.startswith(b"PK\x06\x06") or len(record) < 56:
        return None
    return int.from_bytes(record[40:48], "little")


def is_archive(file: BinaryIO) -> bool:
    """Whether a program for ZIP archives would open this, whatever it begins with."""
    try:
        return zipfile.is_zipfile(file)
    except (ValueError, OSError):
        return False


def _kind(archive: zipfile.ZipFile, names: list[str]) -> Kind:
    known = set(names)
    if "[Content_Types].xml" in known:
        has_macros = any(name.lower().endswith("vbaproject.bin") for name in names)
        for folder, plain, with_macros in _BY_FOLDER:
            if any(name.startswith(folder) for name in names):
                return with_macros if has_macros else plain
    if "mimetype" in known and archive.getinfo("mimetype").file_size <= MAX_MIMETYPE_BYTES:
        said = archive.read("mimetype").decode("ascii", "replace").strip()
        if said in _BY_MIMETYPE:
            return _BY_MIMETYPE[said]
    if "AndroidManifest.xml" in known:
        return kinds.APK
    if "META-INF/MANIFEST.MF" in known:
        return kinds.JAR
    return kinds.ZIP


def _escapes(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":")
