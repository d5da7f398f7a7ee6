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
from toril.services.media.port import (
    DEFAULT_FORMATS,
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_PIXELS,
    ImageFormat,
    ImageLimits,
)

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
    """Where refused uploads are kept for review. Default: `quarantine` in `temp_dir`."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Largest upload, in bytes. Default: 20 MiB."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """Most pixels of an upload, width by height by frames. Default: 50 million."""
    formats: frozenset[ImageFormat] = DEFAULT_FORMATS
    """Accepted formats. Default: JPEG, PNG, WebP, GIF; AVIF and TIFF can be added."""
    quality: int = 85
    """WebP quality, 1 to 100."""
    presets: Presets = field(default_factory=Presets.shipped)
    """Entity types and their variants."""
    database_url: str = field(default="sqlite:///media.db", repr=False)
    """Where records go: a SQLite file or PostgreSQL. May hold a password, so it is not printed."""

    def __post_init__(self) -> None:
        ImageLimits(max_bytes=self.max_bytes, max_pixels=self.max_pixels, formats=self.formats)
        require(1 <= self.quality <= 100, "quality", self.quality, "1 to 100")
        quarantine_dir = self.quarantine_dir or Path(self.temp_dir) / "quarantine"
        for name, value in (
            ("media_root", self.media_root),
            ("temp_dir", self.temp_dir),
            ("quarantine_dir", quarantine_dir),
        ):
            object.__setattr__(self, name, Path(os.path.abspath(value)))
        for name, folder in (("temp_dir", self.temp_dir), ("quarantine_dir", self.quarantine)):
            private = not folder.is_relative_to(self.media_root)
            require(private, name, str(folder), "a folder outside the media root")
        object.__setattr__(self, "database_url", _lasting(self.database_url))

    @property
    def quarantine(self) -> Path:
        """The quarantine folder, whether it was given or not."""
        return self.quarantine_dir or self.temp_dir / "quarantine"

    @property
    def limits(self) -> ImageLimits:
        """What an image engine has to refuse."""
        return ImageLimits(
            max_bytes=self.max_bytes, max_pixels=self.max_pixels, formats=self.formats
        )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> MediaSettings:
        """Return the settings that the environment asks for; defaults for the rest.

        Reads `MEDIA_ROOT`, `MEDIA_TEMP_DIR`, `MEDIA_QUARANTINE_DIR`, `MEDIA_MAX_BYTES`,
        `MEDIA_MAX_PIXELS`, `MEDIA_FORMATS` (`jpeg,png,…`), `MEDIA_QUALITY`, `MEDIA_DATABASE_URL`
        and `MEDIA_PRESETS` (a TOML file, laid over the shipped presets). Empty means unset.

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
                if read is not Path:  # alone, so that the error can say which variable it is
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
    "MEDIA_MAX_BYTES": ("max_bytes", int),
    "MEDIA_MAX_PIXELS": ("max_pixels", int),
    "MEDIA_FORMATS": ("formats", _formats),
    "MEDIA_QUALITY": ("quality", int),
    "MEDIA_DATABASE_URL": ("database_url", str),
    "MEDIA_PRESETS": ("presets", lambda path: Presets.shipped().extended(Presets.from_file(path))),
}
