"""Where media live and what is accepted. Knows no image library and no database."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toril.core.checks import require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.images.presets import Presets
from toril.services.disk.folders import GROUP, PRIVATE, Access
from toril.services.media.port import (
    DEFAULT_FORMATS,
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_FRAMES,
    DEFAULT_MAX_MEMORY_BYTES,
    DEFAULT_MAX_PARTS,
    DEFAULT_MAX_PIXELS,
    DEFAULT_MAX_SCANS,
    EngineKind,
    ImageFormat,
    ImageLimits,
)

_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?):///([^?]+)(\?.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """Everything that image work is told once. Can be pickled: the work runs in child processes.

    Relative paths become absolute when this is built, so that a child that stands in another
    folder means the same.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    media_root: Path = Path("public/uploads")
    """Where variants go. Served to the public."""
    temp_dir: Path = Path("tmp/uploads")
    """Where uploads wait. Payloads can name files of this folder only. Not public."""
    quarantine_dir: Path | None = None
    """Where refused uploads are kept for review. Not public, and not where uploads can be named.
    Default: beside `temp_dir`, its name with `-quarantine` behind it."""
    lock_dir: Path | None = None
    """Where lock files are. All that share a media root must share it. Default: beside `temp_dir`,
    its name with `-locks` behind it."""
    clean_dir: Path | None = None
    """Where the unmarked files of watermarked media are kept. Not public. All that share a media
    root must share it. Default: beside `temp_dir`, its name with `-clean` behind it."""
    owned_uploads: bool = False
    """Whether uploads belong to who made them: a payload can name files below
    `<temp_dir>/<userId>/` only, and has to have a `userId`."""
    shared_with_group: bool = False
    """Whether the group of this process may use what is made in quarantine and locks, and the
    records' SQLite file; for processes of several users. Default: only the user itself."""
    sync_objects: bool = False
    """Whether each media that was made or changed goes to the storage of objects: its job adds one
    of `sync.object` in the step that completes it."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Largest upload, in bytes. Default: 20 MiB."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Most pixels of an upload, width by height by frames. Default: 50 million."""
    max_memory_bytes: int = DEFAULT_MAX_MEMORY_BYTES
    """Most memory that an image may take, in bytes. Default: 512 MiB."""
    max_scans: int = DEFAULT_MAX_SCANS
    """Most scans of a JPEG. Default: 64."""
    max_frames: int = DEFAULT_MAX_FRAMES
    """Most frames or pages. Default: 2,000."""
    max_parts: int = DEFAULT_MAX_PARTS
    """Most markers, chunks, blocks, boxes, or tags and tiles of a file. Default: 20,000."""
    formats: frozenset[ImageFormat] = DEFAULT_FORMATS
    """Accepted formats. Default: JPEG, PNG, WebP, GIF; AVIF and TIFF can be added."""
    quality: int = 85
    """WebP quality, 1 to 100."""
    engine: EngineKind = EngineKind.PILLOW
    """What decodes and resizes: Pillow, or libvips with the extra `vips`. All workers that share a
    media root must use the same: files are named after their bytes, which differ."""
    presets: Presets = field(default_factory=Presets.shipped)
    """Entity types and their variants."""
    database_url: str = field(default="sqlite:///media.db", repr=False)
    """Where records go: a SQLite file or PostgreSQL. May hold a password, so it is not printed."""

    def __post_init__(self) -> None:
        _ = self.limits  # refuses nonsense
        require(1 <= self.quality <= 100, "quality", self.quality, "1 to 100")
        temp_dir = Path(os.path.abspath(self.temp_dir))
        quarantine_dir = self.quarantine_dir or temp_dir.parent / f"{temp_dir.name}-quarantine"
        lock_dir = self.lock_dir or temp_dir.parent / f"{temp_dir.name}-locks"
        clean_dir = self.clean_dir or temp_dir.parent / f"{temp_dir.name}-clean"
        for name, value in (
            ("media_root", Path(os.path.abspath(self.media_root))),
            ("temp_dir", temp_dir),
            ("quarantine_dir", Path(os.path.abspath(quarantine_dir))),
            ("lock_dir", Path(os.path.abspath(lock_dir))),
            ("clean_dir", Path(os.path.abspath(clean_dir))),
            ("database_url", _lasting(self.database_url)),
        ):
            object.__setattr__(self, name, value)
        self._keep_apart()

    def _keep_apart(self) -> None:
        """Refuse folders that lie in each other: public ones, uploads, and private ones."""
        private = [("quarantine_dir", self.quarantine), ("lock_dir", self.locks)]
        private.append(("clean_dir", self.clean))
        file = _SQLITE_FILE.fullmatch(self.database_url)
        if file is not None and not file[2].startswith("file:"):
            private.append(("database_url", Path(file[2])))
        for name, path in (("temp_dir", self.temp_dir), *private):
            apart = not _lies_in(path, self.media_root)
            require(apart, name, str(path), "a place outside the media root, which is public")
        for name, path in (("media_root", self.media_root), *private):
            apart = not _lies_in(path, self.temp_dir)
            expected = "a place outside the temporary folder, of which payloads name files"
            require(apart, name, str(path), expected)
        apart = not _lies_in(self.temp_dir, self.quarantine)
        require(apart, "temp_dir", str(self.temp_dir), "a folder outside the quarantine")

    @property
    def quarantine(self) -> Path:
        """The quarantine folder, whether it was given or not."""
        return self._made("quarantine_dir")

    @property
    def locks(self) -> Path:
        """The lock folder, whether it was given or not."""
        return self._made("lock_dir")

    @property
    def clean(self) -> Path:
        """The folder of unmarked files, whether it was given or not."""
        return self._made("clean_dir")

    def _made(self, name: str) -> Path:
        value = getattr(self, name)
        assert isinstance(value, Path)  # noqa: S101 - since `__post_init__`
        return value

    @property
    def access(self) -> Access:
        """Who may use what is made and is not public."""
        return GROUP if self.shared_with_group else PRIVATE

    @property
    def limits(self) -> ImageLimits:
        """What an image engine has to refuse."""
        return ImageLimits(
            max_bytes=self.max_bytes,
            max_pixels=self.max_pixels,
            formats=self.formats,
            max_parts=self.max_parts,
            max_frames=self.max_frames,
            max_scans=self.max_scans,
            max_memory_bytes=self.max_memory_bytes,
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> MediaSettings:
        """Return the settings that the environment asks for; defaults for the rest.

        Reads `MEDIA_ROOT`, `MEDIA_TEMP_DIR`, `MEDIA_QUARANTINE_DIR`, `MEDIA_LOCK_DIR`,
        `MEDIA_CLEAN_DIR`, `MEDIA_OWNED_UPLOADS`, `MEDIA_SHARED_WITH_GROUP` and `S3_ENABLED`
        (`yes` or `no`),
        `MEDIA_MAX_BYTES`, `MEDIA_MAX_PIXELS`, `MEDIA_MAX_MEMORY_BYTES`, `MEDIA_MAX_SCANS`,
        `MEDIA_MAX_FRAMES`, `MEDIA_MAX_PARTS`, `MEDIA_FORMATS` (`jpeg,png,…`), `MEDIA_QUALITY`,
        `MEDIA_ENGINE` (`pillow` or `vips`),
        `MEDIA_DATABASE_URL` and `MEDIA_PRESETS` (a TOML file, laid over the shipped presets). Empty
        means unset.

        Parameters:
            environ: Where to read. Default: the process's own environment.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        environ = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        for variable, (option, read) in _VARIABLES.items():
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                given[option] = read(text)
                if read not in (Path, _lasting):  # alone, so that the error can say which it is
                    cls(**{option: given[option]})
            except ValueError as error:
                raise InvalidSettingError(_problem(variable, text, option, error)) from None
        try:
            return cls(**given)
        except InvalidOptionError as error:
            # Each alone is good: these are folders that lie in each other.
            names = ", ".join(name for name, (option, _) in _VARIABLES.items() if option in given)
            raise InvalidSettingError(f"{names} do not go together: {error}") from None


def _problem(variable: str, text: str, option: str, error: ValueError) -> str:
    shown = "(not shown)" if option == "database_url" else repr(text)
    if isinstance(error, InvalidOptionError):
        return f"{variable}={shown}: {error}"
    expected = "a whole number, such as 20971520"
    return f"{variable}={shown}: expected {expected}"


def _formats(text: str) -> frozenset[ImageFormat]:
    found = set()
    for word in text.replace(",", " ").split():
        known = ", ".join(ImageFormat)
        require(word.lower() in list(ImageFormat), "formats", word, f"some of {known}")
        found.add(ImageFormat(word.lower()))
    return frozenset(found)


def _engine(text: str) -> EngineKind:
    known = list(EngineKind)
    require(text.lower() in known, "engine", text, " or ".join(known))
    return EngineKind(text.lower())


def _yes_or_no(text: str) -> bool:
    word = text.lower()
    if word not in _WORDS:
        raise InvalidOptionError("expected yes or no")
    return _WORDS[word]


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, links considered."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _lasting(url: str) -> str:
    memory = url.rstrip("/") in ("sqlite:", "sqlite+pysqlite:") or ":memory:" in url
    if memory or not url:
        raise InvalidOptionError(
            "database_url has to outlive the process that writes it: expected"
            " sqlite:///media.db or postgresql://host/database"
        )
    file = _SQLITE_FILE.fullmatch(url)
    if file is None or file[2].startswith("file:"):
        return url
    return f"{file[1]}:///{os.path.abspath(file[2])}{file[3] or ''}"


_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "MEDIA_ROOT": ("media_root", Path),
    "MEDIA_TEMP_DIR": ("temp_dir", Path),
    "MEDIA_QUARANTINE_DIR": ("quarantine_dir", Path),
    "MEDIA_LOCK_DIR": ("lock_dir", Path),
    "MEDIA_CLEAN_DIR": ("clean_dir", Path),
    "MEDIA_OWNED_UPLOADS": ("owned_uploads", _yes_or_no),
    "MEDIA_SHARED_WITH_GROUP": ("shared_with_group", _yes_or_no),
    "S3_ENABLED": ("sync_objects", _yes_or_no),
    "MEDIA_MAX_BYTES": ("max_bytes", int),
    "MEDIA_MAX_PIXELS": ("max_pixels", int),
    "MEDIA_MAX_MEMORY_BYTES": ("max_memory_bytes", int),
    "MEDIA_MAX_SCANS": ("max_scans", int),
    "MEDIA_MAX_FRAMES": ("max_frames", int),
    "MEDIA_MAX_PARTS": ("max_parts", int),
    "MEDIA_FORMATS": ("formats", _formats),
    "MEDIA_QUALITY": ("quality", int),
    "MEDIA_ENGINE": ("engine", _engine),
    "MEDIA_DATABASE_URL": ("database_url", _lasting),
    "MEDIA_PRESETS": ("presets", lambda path: Presets.shipped().extended(Presets.from_file(path))),
}
