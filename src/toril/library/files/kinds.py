"""The kinds of files that are told apart by their content, and which of them are dangerous.

Source: the types are IANA's, with names that browsers and producers use besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Danger(StrEnum):
    """Why a kind of file is refused unless it is asked for."""

    EXECUTABLE = "executable"
    """A program of an operating system, or an installer of one."""
    SCRIPT = "script"
    """A program that an interpreter on a server or a desktop runs."""
    MARKUP = "markup"
    """What a browser runs scripts of: HTML, SVG, XML."""
    MACROS = "macros"
    """An office document with macros."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file."""

    mime: str
    extensions: tuple[str, ...]
    """Endings of names, the usual one first."""
    other_names: tuple[str, ...] = ()
    """MIME types that mean the same."""
    danger: Danger | None = None

    @property
    def group(self) -> str:
        """The first half of the MIME type."""
        return self.mime.partition("/")[0]


_E, _S, _M, _O = Danger.EXECUTABLE, Danger.SCRIPT, Danger.MARKUP, Danger.MACROS
_OFFICE = "application/vnd.openxmlformats-officedocument"
_OASIS = "application/vnd.oasis.opendocument"
_MS = "application/vnd.ms"

JPEG = Kind("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), ("image/jpg", "image/pjpeg"))
PNG = Kind("image/png", ("png", "apng"), ("image/x-png", "image/apng"))
GIF = Kind("image/gif", ("gif",))
WEBP = Kind("image/webp", ("webp",))
AVIF = Kind("image/avif", ("avif",))
HEIC = Kind("image/heic", ("heic", "heif"), ("image/heif",))
TIFF = Kind("image/tiff", ("tif", "tiff"))
BMP = Kind("image/bmp", ("bmp", "dib"), ("image/x-ms-bmp", "image/x-bmp"))
ICO = Kind("image/vnd.microsoft.icon", ("ico",), ("image/x-icon",))
PSD = Kind("image/vnd.adobe.photoshop", ("psd",), ("image/x-photoshop",))
SVG = Kind("image/svg+xml", ("svg",), (), _M)
PDF = Kind("application/pdf", ("pdf",), ("application/x-pdf",))
RTF = Kind("application/rtf", ("rtf",), ("text/rtf",))
DOCX = Kind(f"{_OFFICE}.wordprocessingml.document", ("docx",))
XLSX = Kind(f"{_OFFICE}.spreadsheetml.sheet", ("xlsx",))
PPTX = Kind(f"{_OFFICE}.presentationml.presentation", ("pptx",))
DOCM = Kind(f"{_MS}-word.document.macroenabled.12", ("docm", "dotm"), (), _O)
XLSM = Kind(f"{_MS}-excel.sheet.macroenabled.12", ("xlsm", "xltm", "xlsb", "xlam"), (), _O)
PPTM = Kind(f"{_MS}-powerpoint.presentation.macroenabled.12", ("pptm", "ppsm"), (), _O)
ODT = Kind(f"{_OASIS}.text", ("odt",))
ODS = Kind(f"{_OASIS}.spreadsheet", ("ods",))
ODP = Kind(f"{_OASIS}.presentation", ("odp",))
EPUB = Kind("application/epub+zip", ("epub",))
OLE = Kind(
    "application/x-ole-storage",
    ("doc", "xls", "ppt"),
    ("application/msword", f"{_MS}-excel", f"{_MS}-powerpoint"),
)
"""Word, Excel and PowerPoint before 2007: one container, which may hold macros."""
OLE_MACROS = Kind("application/x-ole-storage-macros", ("doc", "xls", "ppt"), (), _O)
"""The same with macros."""
ZIP = Kind("application/zip", ("zip", "cbz"), ("application/x-zip-compressed", "application/x-zip"))
GZIP = Kind("application/gzip", ("gz", "tgz"), ("application/x-gzip",))
BZIP2 = Kind("application/x-bzip2", ("bz2",), ("application/bzip2",))
XZ = Kind("application/x-xz", ("xz",))
ZSTD = Kind("application/zstd", ("zst",))
SEVEN_ZIP = Kind("application/x-7z-compressed", ("7z",))
RAR = Kind("application/vnd.rar", ("rar",), ("application/x-rar-compressed", "application/x-rar"))
TAR = Kind("application/x-tar", ("tar",))
MP4 = Kind("video/mp4", ("mp4", "m4v"), ("video/x-m4v", "application/mp4"))
MOV = Kind("video/quicktime", ("mov", "qt"))
M4A = Kind("audio/mp4", ("m4a",), ("audio/x-m4a", "audio/m4a"))
WEBM = Kind("video/webm", ("webm",), ("audio/webm",))
MKV = Kind("video/x-matroska", ("mkv", "mka"), ("video/matroska", "audio/x-matroska"))
AVI = Kind("video/x-msvideo", ("avi",), ("video/avi", "video/vnd.avi"))
MPEG = Kind("video/mpeg", ("mpg", "mpeg"))
MP3 = Kind("audio/mpeg", ("mp3",), ("audio/mp3",))
WAV = Kind("audio/wav", ("wav",), ("audio/x-wav", "audio/wave", "audio/vnd.wave"))
FLAC = Kind("audio/flac", ("flac",), ("audio/x-flac",))
OGG = Kind("audio/ogg", ("ogg", "oga", "ogv", "opus"), ("video/ogg", "application/ogg"))
AAC = Kind("audio/aac", ("aac",), ("audio/x-aac",))
WOFF = Kind("font/woff", ("woff",))
WOFF2 = Kind("font/woff2", ("woff2",))
SQLITE = Kind("application/vnd.sqlite3", ("sqlite", "db", "sqlite3"), ("application/x-sqlite3",))
PARQUET = Kind("application/vnd.apache.parquet", ("parquet",))
HTML = Kind("text/html", ("html", "htm"), ("application/xhtml+xml",), _M)
XML = Kind("application/xml", ("xml",), ("text/xml",), _M)
JSON = Kind("application/json", ("json",), ("text/json",))
TEXT = Kind("text/plain", ("txt", "log", "csv", "md", "json", "yaml", "yml", "ics", "vcf", "srt"))
PHP = Kind("application/x-httpd-php", ("php",), ("text/x-php", "application/x-php"), _S)
SHELL = Kind("application/x-sh", ("sh",), ("text/x-shellscript", "text/x-sh"), _S)
PE = Kind("application/vnd.microsoft.portable-executable", ("exe", "dll", "scr"), (), _E)
ELF = Kind("application/x-elf", ("so", "bin"), ("application/x-executable",), _E)
MACH_O = Kind("application/x-mach-binary", ("dylib",), (), _E)
JAVA_CLASS = Kind("application/java-vm", ("class",), (), _E)
JAR = Kind("application/java-archive", ("jar", "war"), ("application/x-java-archive",), _E)
APK = Kind("application/vnd.android.package-archive", ("apk",), (), _E)
DEX = Kind("application/x-dex", ("dex",), (), _E)
WASM = Kind("application/wasm", ("wasm",), (), _E)
MSI = Kind("application/x-msi", ("msi",), (), _E)
LNK = Kind("application/x-ms-shortcut", ("lnk",), (), _E)
CAB = Kind("application/vnd.ms-cab-compressed", ("cab",), (), _E)
ISO = Kind("application/x-iso9660-image", ("iso",), (), _E)
PYC = Kind("application/x-python-code", ("pyc",), (), _E)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
"""All of them."""

TEXTS = frozenset(
    {"text/csv", "text/markdown", "application/yaml", "text/yaml", "text/calendar", "text/vcard",
     "application/x-ndjson", "text/tab-separated-values", "application/x-subrip"}
)  # fmt: skip
"""Types of text that no content tells apart."""

BY_TYPE = {name: kind for kind in KINDS for name in (kind.mime, *kind.other_names)}
BY_TYPE |= dict.fromkeys(TEXTS, TEXT)
"""Kinds by each of their MIME types."""

BY_WORD = frozenset({TEXT, OLE})
"""Kinds of which the content does not say which type they are: what was declared does, if it is one
of theirs."""

UNSAFE_ENDINGS = frozenset(
    "ade adp appx app asp aspx bat bash cgi chm cmd com cpl csh dll dmg exe gadget hta htaccess"
    " inf ins iso jar jnlp js jse jsp ksh lnk mjs msc msi msix msp mst pif php php3 php4 php5 phar"
    " phtml pl ps1 psm1 py pyc pyw rb reg scf scr sct sh shb so swf url vb vbe vbs wsc wsf wsh xll"
    .split()
)  # fmt: skip
"""Endings of names by which a system or a server runs a file, whatever it holds."""

SERVER_ENDINGS = frozenset("asp aspx cgi jsp jspx phar php php3 php4 php5 php7 phtml shtml".split())
"""Those that some servers obey in the middle of a name: `cat.php.jpg`."""


def kind_of(mime: str) -> Kind | None:
    """Return the kind of a MIME type; parameters such as `charset` do not count."""
    return BY_TYPE.get(mime.partition(";")[0].strip().lower())


def ending_kinds(ending: str) -> list[Kind]:
    """Return the kinds of which files usually have an ending."""
    return [kind for kind in KINDS if ending in kind.extensions]
