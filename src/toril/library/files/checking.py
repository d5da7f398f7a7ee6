"""Compares what a file is with what was said of it, and with what is taken. Changes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from toril.library.files import kinds, reading
from toril.library.files.archives import Archive, is_archive, read_archive
from toril.library.files.kinds import Danger, Kind, ending_kinds, kind_of
from toril.library.files.payloads import FileFacts, FileProblem, ProblemCode
from toril.library.files.reading import WholeFile, read_whole
from toril.library.files.settings import FileSettings
from toril.library.files.sniffing import HEAD_BYTES, recognise

_ANYTHING = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "application/unknown"}
)
"""Declared types that declare nothing."""
_MEDIA = frozenset({"image", "audio", "video", "font"})
_ZIPPED = frozenset(
    {kinds.ZIP, kinds.DOCX, kinds.XLSX, kinds.PPTX, kinds.DOCM, kinds.XLSM, kinds.PPTM, kinds.ODT,
     kinds.ODS, kinds.ODP, kinds.EPUB, kinds.JAR, kinds.APK}
)  # fmt: skip
_HOLDING = _ZIPPED | {kinds.TAR, kinds.GZIP, kinds.BZIP2, kinds.XZ, kinds.ZSTD, kinds.RAR,
                      kinds.SEVEN_ZIP, kinds.ISO, kinds.OLE, kinds.OLE_MACROS,
                      kinds.MSI}  # fmt: skip
"""Kinds that hold other files, which may stand in them as they are."""
MAX_JSON_BYTES = 16 * 1024 * 1024
"""Largest JSON that is read to see whether it is any."""
PDF_WITHIN_BYTES = 1024
"""Where readers of PDF look for its beginning."""
MARKUP_WITHIN_BYTES = 4096
"""More than where browsers look for HTML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What was said of a file."""

    mime: str | None = None
    size_bytes: int | None = None
    name: str | None = None


class Checking:
    """One file, and the problems that were found with it."""

    def __init__(self, file: BinaryIO, declared: Declared, settings: FileSettings) -> None:
        self._file = file
        self._declared = declared
        self._settings = settings
        self._problems: list[FileProblem] = []

    def facts(self) -> FileFacts:
        """Read the file, and return what it is and what is wrong with it."""
        self._file.seek(0)
        head = self._file.read(HEAD_BYTES)
        whole = read_whole(self._file)
        if whole.size_bytes == 0:
            self._find("empty", "it has no content")
        said = self._declared.size_bytes
        if said is not None and said != whole.size_bytes:
            self._find("size_differs", f"declared {said:,} bytes; it has {whole.size_bytes:,}")
        kind, mime = (None, None) if whole.size_bytes == 0 else self._type(head, whole)
        self._check_name(kind)
        return FileFacts(
            valid=not self._problems,
            problems=self._problems,
            type=mime,
            extension=None if kind is None else self._extension(kind),
            bytes=whole.size_bytes,
            sha256=whole.sha256,
        )

    def _type(self, head: bytes, whole: WholeFile) -> tuple[Kind | None, str | None]:
        kind = recognise(head)
        if (
            kind is kinds.TEXT
            and not whole.is_utf8
            and not head.startswith((b"\xff\xfe", b"\xfe\xff"))
        ):
            kind = None  # it only begins as a text
        archive = None
        if kind is kinds.ZIP:
            archive = read_archive(self._file, max_members=self._settings.max_members)
            kind = kinds.ZIP if archive is None else archive.kind
            self._check_archive(archive)
        elif kind is kinds.OLE:
            kind = _of_container(whole)
        kind, mime = self._compare(kind)
        if kind is None:
            return None, None
        if kind.danger is not None and kind.danger in self._settings.refused:
            self._find("dangerous", f"{kind.mime} is refused: {_WHY[kind.danger]}")
        if mime is not None and not self._settings.takes(mime):
            taken = ", ".join(sorted(self._settings.types or ()))
            self._find("type_not_allowed", f"{mime} is not taken; taken are {taken}")
        self._check_polyglot(kind, head, whole)
        return kind, mime

    def _compare(self, kind: Kind | None) -> tuple[Kind | None, str | None]:
        """Compare a kind with the declared type; return it, and the type by which it goes."""
        said = (self._declared.mime or "").partition(";")[0].strip().lower()
        if kind is None:
            self._find("type_unknown", f"its content is of no known type{_declared_as(said)}")
            return None, None
        if said in _ANYTHING:
            return kind, kind.mime
        wanted = kind_of(said)
        if wanted is kinds.JSON and kind is kinds.TEXT and self._is_json():
            return kinds.JSON, kinds.JSON.mime
        if wanted is not kind:
            self._find("type_differs", f"declared {said!r}; its content is {kind.mime}")
            return kind, kind.mime
        return kind, said if kind in kinds.BY_WORD else kind.mime

    def _check_archive(self, archive: Archive | None) -> None:
        settings = self._settings
        if archive is None:
            self._find("archive", "its list of files cannot be read")
            return
        if archive.members > settings.max_members:
            self._find(
                "archive",
                f"it holds about {archive.members:,} files; at most max_members="
                f"{settings.max_members:,}",
            )
        if archive.unpacked_bytes > settings.max_unpacked_bytes:
            self._find(
                "archive",
                f"it unpacks to {archive.unpacked_bytes:,} bytes; at most max_unpacked_bytes="
                f"{settings.max_unpacked_bytes:,}",
            )
        if archive.encrypted and not settings.encrypted_archives:
            self._find("archive", "it is encrypted, so nobody can look into it")
        if archive.escapes is not None:
            self._find("archive", f"it holds {archive.escapes[:100]!r}, which leads out of it")

    def _check_polyglot(self, kind: Kind, head: bytes, whole: WholeFile) -> None:
        """Find what makes a file another one for a program that looks elsewhere."""
        if kind not in _HOLDING and is_archive(self._file):
            self._find("polyglot", f"it is {kind.mime}, and a ZIP archive as well")
        if kind.group not in _MEDIA or kind is kinds.SVG:
            return
        if b"%PDF-" in head[:PDF_WITHIN_BYTES]:
            self._find("polyglot", f"it is {kind.mime}, and a PDF document as well")
        begin = head[:MARKUP_WITHIN_BYTES].lower()
        if b"<script" in begin or b"<html" in begin or b"<!doctype html" in begin:
            self._find("polyglot", f"it is {kind.mime}, and a browser may take it for HTML")
        for word, what in (
            (reading.PHP, "a server may run it as PHP"),
            (reading.RAR, "a RAR archive as well"),
            (reading.SEVEN_ZIP, "a 7z archive as well"),
        ):
            if word in whole.words:
                self._find("polyglot", f"it is {kind.mime}, and {what}")

    def _check_name(self, kind: Kind | None) -> None:
        name = self._declared.name
        if name is None:
            return
        if any(not char.isprintable() or char in "/\\" for char in name):
            self._find("dangerous", f"its name {name[:100]!r} holds characters that deceive")
        _, *endings = name.lower().rstrip(". ").split(".")
        if not endings:
            return
        unsafe = {endings[-1]} & kinds.UNSAFE_ENDINGS | {*endings} & kinds.SERVER_ENDINGS
        if unsafe and Danger.SCRIPT in self._settings.refused:
            self._find("dangerous", f"a file with the ending .{min(unsafe)} may be run")
        elif kind is not None and (usual := ending_kinds(endings[-1])) and kind not in usual:
            if not (kind is kinds.JSON and endings[-1] in kinds.TEXT.extensions):
                self._find(
                    "name_differs", f"its name ends in .{endings[-1]}; its content is {kind.mime}"
                )

    def _extension(self, kind: Kind) -> str:
        """Return the ending of the name, if it is one of the kind, else the usual one."""
        ending = (self._declared.name or "").lower().rpartition(".")[2]
        return ending if ending in kind.extensions else kind.extensions[0]

    def _is_json(self) -> bool:
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() > MAX_JSON_BYTES:
            return False
        self._file.seek(0)
        try:
            msgspec.json.decode(self._file.read())
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def _find(self, code: ProblemCode, message: str) -> None:
        self._problems.append(FileProblem(code=code, message=message))


_WHY = {
    Danger.EXECUTABLE: "it is a program",
    Danger.SCRIPT: "an interpreter may run it",
    Danger.MARKUP: "a browser may run what is in it",
    Danger.MACROS: "it has macros",
}


def _of_container(whole: WholeFile) -> Kind:
    if reading.INSTALLER in whole.words:
        return kinds.MSI
    return kinds.OLE_MACROS if reading.MACROS in whole.words else kinds.OLE


def _declared_as(mime: str) -> str:
    return f"; declared {mime!r}" if mime else ""
