"""`files.validate` says what a file really is, and why it may not be taken."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import wave
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from toril import InvalidOptionError, State
from toril.library.files.checking import Checking, Declared
from toril.library.files.kinds import BY_TYPE, KINDS, Danger
from toril.library.files.payloads import FileFacts
from toril.library.files.settings import FileSettings
from toril.library.files.sniffing import HEAD_BYTES, is_text, recognise
from toril.library.files.tasks import files
from toril.services.sources.opening import OpenSources
from toril.services.sources.port import Sources
from toril.testing import MemoryApp

ALL = FileSettings(refused=frozenset())


def check(
    content: bytes,
    mime: str | None = None,
    name: str | None = None,
    size: int | None = None,
    settings: FileSettings | None = None,
) -> FileFacts:
    """Return what is known of content."""
    declared = Declared(mime=mime, name=name, size_bytes=size)
    return Checking(io.BytesIO(content), declared, settings or FileSettings()).facts()


def codes(facts: FileFacts) -> list[str]:
    """Return the words of all problems."""
    assert facts.valid is (not facts.problems)
    return [problem.code for problem in facts.problems]


def picture(kind: str, **options: Any) -> bytes:
    """Return an image, made by another library than the one under test."""
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, kind, **options)
    return file.getvalue()


def archive(**members: bytes | str) -> bytes:
    """Return a ZIP archive; `__` in a name stands for `/`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as to:
        for name, content in members.items():
            to.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return file.getvalue()


def office(folder: str, *, macros: bool = False) -> bytes:
    """Return what an office document looks like from outside."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as to:
        to.writestr("[Content_Types].xml", "<Types/>")
        to.writestr(f"{folder}/document.xml", "<x/>")
        if macros:
            to.writestr(f"{folder}/vbaProject.bin", b"x")
    return file.getvalue()


def with_type(mime: str) -> bytes:
    """Return an archive that says its type in the way of OpenDocument and EPUB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as to:
        to.writestr("mimetype", mime)
        to.writestr("content.xml", "<x/>")
    return file.getvalue()


def sound() -> bytes:
    """Return a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as to:
        to.setnchannels(1)
        to.setsampwidth(2)
        to.setframerate(8000)
        to.writeframes(bytes(100))
    return file.getvalue()


def tape() -> bytes:
    """Return a TAR archive that holds a PDF as it is."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as to:
        content = b"%PDF-1.4\n"
        member = tarfile.TarInfo("a.pdf")
        member.size = len(content)
        to.addfile(member, io.BytesIO(content))
    return file.getvalue()


def box(brand: bytes, *compatible: bytes) -> bytes:
    """Return the beginning of a file of ISO's base media format."""
    content = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content + b"\0\0\0\x08mdat" + bytes(50)


def container(*words: bytes) -> bytes:
    """Return what an OLE file begins with, and words of its directory."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + b"".join(words) + bytes(512)


HARMLESS = {
    "image/jpeg": picture("JPEG"),
    "image/png": picture("PNG"),
    "image/gif": picture("GIF"),
    "image/webp": picture("WEBP"),
    "image/tiff": picture("TIFF"),
    "image/bmp": picture("BMP"),
    "image/vnd.microsoft.icon": picture("ICO"),
    "image/avif": box(b"avif", b"mif1"),
    "image/heic": box(b"heic"),
    "image/vnd.adobe.photoshop": b"8BPS\0\1" + bytes(20),
    "application/pdf": picture("PDF"),
    "application/rtf": rb"{\rtf1 hello}",
    "application/zip": archive(a="hello", b="world"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": office("word"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": office("xl"),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": office("ppt"),
    "application/vnd.oasis.opendocument.text": with_type("application/vnd.oasis.opendocument.text"),
    "application/epub+zip": with_type("application/epub+zip"),
    "application/x-ole-storage": container(),
    "application/gzip": b"\x1f\x8b\x08" + bytes(20),
    "application/x-7z-compressed": b"7z\xbc\xaf\x27\x1c" + bytes(20),
    "application/vnd.rar": b"Rar!\x1a\x07\x01\x00" + bytes(20),
    "application/x-tar": tape(),
    "video/mp4": box(b"isom", b"mp42"),
    "video/quicktime": box(b"qt  "),
    "audio/mp4": box(b"M4A "),
    "video/webm": b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x84webm" + bytes(20),
    "video/x-matroska": b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x23\x42\x82\x88matroska" + bytes(20),
    "video/x-msvideo": b"RIFF\x20\0\0\0AVI LIST" + bytes(20),
    "audio/mpeg": b"ID3\x03" + bytes(20),
    "audio/wav": sound(),
    "audio/flac": b"fLaC" + bytes(20),
    "audio/ogg": b"OggS" + bytes(20),
    "audio/aac": b"\xff\xf1\x50\x80" + bytes(20),
    "font/woff2": b"wOF2" + bytes(20),
    "application/vnd.sqlite3": b"SQLite format 3\0" + bytes(20),
    "text/plain": "Grüße, this is text.\n".encode() * 9000,
}
DANGEROUS: dict[str, tuple[bytes, Danger]] = {
    "application/vnd.microsoft.portable-executable": (b"MZ" + bytes(60), Danger.EXECUTABLE),
    "application/x-elf": (b"\x7fELF\2\1\1" + bytes(60), Danger.EXECUTABLE),
    "application/x-mach-binary": (b"\xcf\xfa\xed\xfe" + bytes(60), Danger.EXECUTABLE),
    "application/java-vm": (b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(60), Danger.EXECUTABLE),
    "application/java-archive": (archive(META_INF="x", **{"META-INF__MANIFEST_dot_MF": "x"}),
                                 Danger.EXECUTABLE),
    "application/vnd.android.package-archive": (archive(AndroidManifest_dot_xml="x"),
                                                Danger.EXECUTABLE),
    "application/x-ms-shortcut": (b"L\0\0\0\1\x14\2\0" + bytes(60), Danger.EXECUTABLE),
    "application/x-msi": (container(bytes.fromhex("84100c0000000000c000000000000046")),
                          Danger.EXECUTABLE),
    "application/x-iso9660-image": (bytes(0x8001) + b"CD001" + bytes(60), Danger.EXECUTABLE),
    "application/wasm": (b"\0asm\1\0\0\0", Danger.EXECUTABLE),
    "application/x-python-code": (b"\xa7\x0d\r\n" + bytes(60), Danger.EXECUTABLE),
    "application/x-sh": (b"#!/bin/sh\nrm -r /\n", Danger.SCRIPT),
    "application/x-httpd-php": (b"hello <?php system($_GET[1]);", Danger.SCRIPT),
    "text/html": (b"\xef\xbb\xbf \n<!DOCTYPE html><script>x()</script>", Danger.MARKUP),
    "image/svg+xml": (b"<?xml version='1.0'?><svg onload='x()'/>", Danger.MARKUP),
    "application/xml": (b"<?xml version='1.0'?><a/>", Danger.MARKUP),
    "application/vnd.ms-word.document.macroenabled.12": (office("word", macros=True),
                                                         Danger.MACROS),
    "application/vnd.ms-excel.sheet.macroenabled.12": (office("xl", macros=True), Danger.MACROS),
    "application/x-ole-storage-macros": (container("_VBA_PROJECT".encode("utf-16-le")),
                                         Danger.MACROS),
}  # fmt: skip


@pytest.mark.parametrize("mime", HARMLESS)
def test_a_file_is_what_its_content_says(mime: str) -> None:
    content = HARMLESS[mime]
    for declared in (None, mime, f"{mime.upper()}; charset=x", "application/octet-stream"):
        facts = check(content, declared, size=len(content))
        assert (codes(facts), facts.type) == ([], mime)
    assert facts.bytes == len(content)
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    wrong = "image/png" if mime != "image/png" else "image/jpeg"
    assert codes(check(content, wrong)) == ["type_differs"]
    assert codes(check(content, mime, size=len(content) + 1)) == ["size_differs"]


@pytest.mark.parametrize("mime", DANGEROUS)
def test_dangerous_kinds_are_refused_unless_asked_for(mime: str) -> None:
    content, danger = DANGEROUS[mime]
    facts = check(content)
    assert (codes(facts), facts.type) == (["dangerous"], mime)
    others = frozenset(Danger) - {danger}
    assert codes(check(content, settings=FileSettings(refused=others))) == []
    assert codes(check(content, "image/png")) == ["type_differs", "dangerous"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.mime)
def test_each_kind_has_its_names_for_itself(kind: Any) -> None:
    assert all(BY_TYPE[name] is kind for name in (kind.mime, *kind.other_names))
    assert all(name == name.lower() for name in (kind.mime, *kind.other_names, *kind.extensions))


@pytest.mark.parametrize(
    ("content", "mime", "codes_wanted"),
    [
        (b"", "image/png", ["empty"]),
        (b"\0\1\2\3 nobody knows", None, ["type_unknown"]),
        (b"\0\1\2\3 nobody knows", "image/png", ["type_unknown"]),
        (b"text" * 30_000 + b"\0binary", "text/plain", ["type_unknown"]),
        (b"text \xff\xfe no UTF-8", "text/plain", ["type_unknown"]),
        ("Grüße".encode("utf-16"), "text/plain", []),
        (HARMLESS["text/plain"][: HEAD_BYTES + 7], "text/csv", []),
        (b'{"a": [1, 2]}', "application/json", []),
        (b'{"a": [1, 2]', "application/json", ["type_differs"]),
        (b'{"a": [1, 2]}', "text/plain", []),
        (b"PK\3\4 broken", "application/zip", ["archive"]),
        (container(), "application/msword", []),
        (office("word"), "application/zip", ["type_differs"]),
        (picture("JPEG"), "image/jpg", []),
        (picture("JPEG"), "application/x-unheard-of", ["type_differs"]),
    ],
)
def test_declared_and_real_types(content: bytes, mime: str | None, codes_wanted: list[str]) -> None:
    assert codes(check(content, mime)) == codes_wanted


def test_texts_go_by_the_type_that_they_were_declared_as() -> None:
    assert check(b"a,b\n", "text/csv").type == "text/csv"
    assert check(b"a,b\n").type == "text/plain"
    assert check(b"[1]", "application/json").type == "application/json"
    assert check(container(), "application/vnd.ms-excel").type == "application/vnd.ms-excel"


PNG = picture("PNG")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (picture("GIF") + archive(a="x"), "a ZIP archive"),
        (picture("PDF") + archive(a="x"), "a ZIP archive"),
        (b"just text\n" + archive(a="x"), "no text"),
        (PNG + b"<?PHP system($_GET[1]);", "run it as PHP"),
        (picture("JPEG", comment=b"<?php echo 1"), "run it as PHP"),
        (picture("JPEG", comment=b"<script>x()</script>"), "take it for HTML"),
        (picture("GIF", comment=b"%PDF-1.4"), "a PDF document"),
        (PNG + b"Rar!\x1a\x07\x00" + bytes(9), "a RAR archive"),
        (PNG + b"7z\xbc\xaf\x27\x1c" + bytes(9), "a 7z archive"),
        (PNG + bytes(2 * 1024 * 1024 - len(PNG) - 3) + b"<?php", "run it as PHP"),
    ],
)
def test_files_that_are_two_things_at_once(content: bytes, what: str) -> None:
    facts = check(content)
    if what == "no text":
        assert codes(facts) == ["type_unknown"]
        return
    assert codes(facts) == ["polyglot"]
    assert what in facts.problems[0].message


def test_archives_may_hold_other_files_as_they_are() -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as to:
        to.writestr("a.pdf", b"%PDF-1.4 <?php <script> Rar!\x1a\x07")
    assert codes(check(stored.getvalue())) == []


def test_archives_that_do_harm_are_refused() -> None:
    bomb = archive(a=bytes(2_000_000))
    assert codes(check(bomb, settings=FileSettings(max_unpacked_bytes=1_999_999))) == ["archive"]
    assert codes(check(bomb, settings=FileSettings(max_unpacked_bytes=2_000_000))) == []
    three = archive(a="", b="", c="")
    assert codes(check(three, settings=FileSettings(max_members=2))) == ["archive"]
    assert codes(check(three, settings=FileSettings(max_members=3))) == []
    for name in ("..__evil", "a__..__..__b", "__etc__passwd", "C:__x", "\\x"):
        facts = check(archive(**{name: "x"}))
        assert codes(facts) == ["archive"]
        assert "leads out of it" in facts.problems[0].message
    assert codes(check(archive(**{"a..b": "x"}))) == []


def test_encrypted_archives_are_refused_unless_allowed() -> None:
    content = bytearray(archive(a="hello"))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + at] |= 1
    assert codes(check(bytes(content))) == ["archive"]
    assert codes(check(bytes(content), settings=FileSettings(encrypted_archives=True))) == []


def test_a_list_of_too_many_members_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as to:
        for number in range(2000):
            to.writestr(str(number), "")
    content = many.getvalue()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr("toril.library.files.archives.zipfile.ZipFile", never)
    facts = check(content, settings=FileSettings(max_members=100))
    assert codes(facts) == ["archive"]
    assert "it holds about 2," in facts.problems[0].message
    # As long a list may be told in 64 bits only.
    end = content.rindex(b"PK\5\6")
    size, start = struct.unpack("<II", content[end + 12 : end + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2000, 2000, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    large = content[:end] + record + locator + last
    assert codes(check(large, settings=FileSettings(max_members=100))) == ["archive"]
    assert codes(check(content[:end] + last)) == ["archive"]
    assert codes(check(content[:end] + bytes(56) + locator + last)) == ["archive"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cat.png", []),
        ("CAT.PNG", []),
        ("cat", []),
        ("cat.unheard-of", []),
        ("example.com.png", []),
        ("cat.jpg", ["name_differs"]),
        ("cat.png.exe", ["dangerous"]),
        ("cat.exe. ", ["dangerous"]),
        ("cat.php.png", ["dangerous"]),
        (".htaccess", ["dangerous"]),
        ("cat\u202egnp.exe", ["dangerous", "dangerous"]),
        ("a/b.png", ["dangerous"]),
        ("a\0.png", ["dangerous"]),
    ],
)
def test_names(name: str, wanted: list[str]) -> None:
    assert codes(check(PNG, name=name)) == wanted


def test_names_of_scripts_may_be_allowed() -> None:
    assert codes(check(b"print(1)\n", name="a.py")) == ["dangerous"]
    assert codes(check(b"print(1)\n", name="a.py", settings=ALL)) == []
    assert codes(check(b"[1]", "application/json", name="a.json")) == []
    assert check(PNG, name="a.apng").extension == "apng"
    assert check(PNG, name="a.b").extension == "png"


def test_only_the_types_of_the_settings_are_taken() -> None:
    some = FileSettings(types=["IMAGE/*", "text/csv", "application/x-zip", "image/jpg"])
    assert codes(check(PNG, settings=some)) == []
    assert codes(check(archive(a="x"), settings=some)) == []
    assert codes(check(b"a,b", "text/csv", settings=some)) == []
    assert codes(check(b"a,b", "text/plain", settings=some)) == ["type_not_allowed"]
    facts = check(picture("PDF"), settings=some)
    assert codes(facts) == ["type_not_allowed"]
    assert "application/zip, image/*, image/jpeg, text/csv" in facts.problems[0].message
    assert codes(check(b"<svg/>", settings=FileSettings(types=["image/*"]))) == ["dangerous"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_bytes": 0}, "max_bytes=0"),
        ({"max_members": 0}, "max_members=0"),
        ({"max_unpacked_bytes": 0}, "max_unpacked_bytes=0"),
        ({"types": ["image/jepg"]}, "did you mean 'image/jpeg'"),
        ({"types": "image/jpeg"}, "several MIME types"),
        ({"refused": frozenset({"scripts"})}, "words of Danger"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        FileSettings(**options)


@pytest.mark.parametrize("content", [*HARMLESS.values(), *(one for one, _ in DANGEROUS.values())])
def test_no_cut_file_makes_it_raise(content: bytes) -> None:
    for end in (*range(0, min(len(content), 300), 7), len(content) - 1):
        check(content[:end], "image/png", "a.png", 5, ALL)
        check(content[end:], "image/png", "a.png", 5, ALL)


def test_a_character_that_is_cut_is_no_end_of_a_text() -> None:
    assert is_text("a€".encode()[:-1])
    assert not is_text(b"a\xff")
    assert recognise(b"") is None


async def test_as_a_task(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "cat.jpg").write_bytes(PNG)
    (tmp_path / "big.txt").write_bytes(b"x" * 5000)
    async with MemoryApp() as app:
        app.include(files)
        app.provide(FileSettings(max_bytes=4999))
        app.provide(OpenSources(root=tmp_path), Sources)
        queue = app.queue("files")
        name = "files.validate"
        good = await queue.add(name, {"filePath": "folder/cat.jpg", "fileName": "cat.png",
                                      "fileType": "image/png", "fileSize": len(PNG)})  # fmt: skip
        bad = await queue.add(name, {"filePath": "folder/cat.jpg"})
        big = await queue.add(name, {"filePath": "big.txt"})
        failing = [
            await queue.add(name, payload)
            for payload in (
                {"filePath": "none.png"},
                {"filePath": "../secret"},
                {},
                {"filePath": "a", "objectKey": "b"},
                {"objectKey": "b"},
                {"fileUrl": "https://example.com/?key=secret"},
            )
        ]
        await app.run_until_idle()
        assert (await good.info()).result == {
            "valid": True,
            "problems": [],
            "type": "image/png",
            "extension": "png",
            "bytes": len(PNG),
            "sha256": hashlib.sha256(PNG).hexdigest(),
        }
        assert json.dumps((await bad.info()).result).count("name_differs") == 1
        assert (await big.info()).result == {
            "valid": False,
            "problems": [
                {
                    "code": "too_large",
                    "message": "it has 5,000 bytes; at most 4,999 are taken",
                }
            ],
        }
        reasons = []
        for job in failing:
            info = await job.info()
            assert (info.state, info.attempts_made) == (State.FAILED, 1)
            reasons.append(str(info.failed_reason))
        assert reasons[0] == "MissingFileError: filePath 'none.png': there is no such file"
        assert "without '..'" in reasons[1]
        assert (
            reasons[2]
            == "UnusableInputError: source: expected one of filePath, objectKey, fileUrl; got none"
        )
        assert reasons[3].endswith("got filePath and objectKey")
        assert "give OpenSources a storage of objects (objects)" in reasons[4]
        assert "fileUrl 'https://example.com/': this worker opens no such" in reasons[5]
