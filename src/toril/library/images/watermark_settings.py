"""Which watermarks there are, and how they are put on where a job does not say it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toril.core.checks import nearest, require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.library.images.watermark_payloads import Position
from toril.services.unusable import UnusableInputError, named

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ID_RULE = "1 to 64 letters, digits, '_' and '-', beginning with a letter or digit"
_ENDINGS = (".png", ".webp", ".jpg", ".jpeg", ".gif")
MAX_MARK_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WatermarkSettings:
    """The registered marks. Can be pickled: the work runs in child processes.

    Raises:
        InvalidOptionError: An id makes no sense, or a figure is out of its range.
    """

    marks: Mapping[str, Path] = field(default_factory=dict)
    """Image files by the id that jobs name, such as `wm-logo`."""
    default_id: str | None = None
    """The mark of published producers that name none. Default: the only one that there is."""
    position: Position = "bottom-right"
    """Of published producers that say none; as the three below."""
    opacity: float = 0.3
    scale: float = 0.15
    variants: tuple[str, ...] | None = None
    """Default: all."""

    def __post_init__(self) -> None:
        for mark_id in self.marks:
            require(bool(_ID.fullmatch(mark_id)), "marks: id", mark_id, _ID_RULE)
        for name, value in (("opacity", self.opacity), ("scale", self.scale)):
            require(0.1 <= value <= 1.0, name, value, "0.1 to 1.0")
        known = ", ".join(sorted(self.marks)) or "none"
        chosen = self.default_id
        require(
            chosen is None or chosen in self.marks, "default_id", chosen, f"one of marks: {known}"
        )
        absolute = {name: Path(os.path.abspath(path)) for name, path in self.marks.items()}
        object.__setattr__(self, "marks", absolute)

    @property
    def usual_id(self) -> str:
        """The mark where a job names none.

        Raises:
            UnusableInputError: There is none, or several and no default.
        """
        if self.default_id is not None:
            return self.default_id
        if len(self.marks) == 1:
            return next(iter(self.marks))
        reason = f"it is missing, and no default is set (default_id); known are {self._known()}"
        raise UnusableInputError("watermarkId", reason)

    def read(self, watermark_id: str) -> bytes:
        """Return the file of a mark.

        Raises:
            UnusableInputError: It is not registered, too large or gone.
        """
        path = self.marks.get(watermark_id)
        subject = named("watermarkId", watermark_id)
        if path is None:
            close = nearest(watermark_id, self.marks)
            hint = f"did you mean {close!r}? " if close else ""
            reason = f"not registered; {hint}known are {self._known()}"
            raise UnusableInputError(subject, reason)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_MARK_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError) as error:
            reason = f"its file {str(path)!r} is not there; put it back"
            raise UnusableInputError(subject, reason) from error
        if len(content) > MAX_MARK_BYTES:
            reason = f"its file {str(path)!r} is over {MAX_MARK_BYTES:,} bytes; make it smaller"
            raise UnusableInputError(subject, reason)
        return content

    def _known(self) -> str:
        return ", ".join(sorted(self.marks)) or "none; set WATERMARK_DIR or marks"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> WatermarkSettings:
        """Return the settings that the environment asks for.

        Reads `WATERMARK_DIR`, a folder whose images are marks, each with its file's name without
        the ending as its id, and `WATERMARK_DEFAULT`, the id of the default mark. Empty means
        unset.

        Raises:
            InvalidSettingError: With the variable's name, its value and what would do.
        """
        environ = os.environ if environ is None else environ
        folder = environ.get("WATERMARK_DIR", "").strip()
        marks: dict[str, Path] = {}
        if folder:
            if not Path(folder).is_dir():
                raise InvalidSettingError(f"WATERMARK_DIR={folder!r}: expected a folder of images")
            found = sorted(Path(folder).iterdir())
            marks = {path.stem: path for path in found if path.suffix.lower() in _ENDINGS}
        chosen = environ.get("WATERMARK_DEFAULT", "").strip() or None
        try:
            return cls(marks=marks, default_id=chosen)
        except InvalidOptionError as error:
            name = "WATERMARK_DEFAULT" if "default_id" in str(error) else "WATERMARK_DIR"
            raise InvalidSettingError(f"{name}={chosen or folder!r}: {error}") from None
