"""Which files are taken, and what work on them may cost."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from toril.core.checks import nearest, require
from toril.core.errors import InvalidOptionError
from toril.library.files.kinds import BY_TYPE, BY_WORD, KINDS, TEXTS, Danger, kind_of
from toril.services.media.port import ImageLimits
from toril.services.objects.sync import SyncObjects

DEFAULT_MAX_BYTES = 100 * 1024 * 1024
ALL_DANGERS = frozenset(Danger)
MAX_INLINE_BYTES = 64 * 1024
"""Most that a job's result may be, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """What is checked of every file.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    """Largest file. Default: 100 MiB."""
    types: Iterable[str] | None = None
    """MIME types that are taken, `image/*` for all of a group. None: all that are known and not
    refused."""
    refused: frozenset[Danger] = ALL_DANGERS
    """Dangerous kinds that are not taken, whatever `types` says. Default: all."""
    max_members: int = 10_000
    """Most files in an archive."""
    max_unpacked_bytes: int = 1024 * 1024 * 1024
    """Most that an archive may unpack to, by what it says itself. Default: 1 GiB."""
    encrypted_archives: bool = False
    """Whether archives are taken that nobody can look into."""

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_members", "max_unpacked_bytes"):
            value = getattr(self, name)
            require(value >= 1, name, value, "an integer from 1")
        good = all(isinstance(one, Danger) for one in self.refused)
        require(good, "refused", self.refused, f"words of Danger: {', '.join(Danger)}")
        if self.types is None:
            return
        require(not isinstance(self.types, str), "types", self.types, "several MIME types")
        types = set()
        for one in map(str.lower, self.types):
            kind = kind_of(one)
            if kind is None and not one.endswith("/*"):
                close = nearest(one, [*TEXTS, *(each.mime for each in KINDS)])
                hint = (
                    f"did you mean {close!r}?" if close else f"known: {', '.join(sorted(BY_TYPE))}"
                )
                raise InvalidOptionError(f"types: {one!r} is not known by its content; {hint}")
            types.add(one if kind is None or kind in BY_WORD else kind.mime)
        object.__setattr__(self, "types", frozenset(types))

    def takes(self, mime: str) -> bool:
        """Whether files of a type are taken."""
        return self.types is None or bool({mime, f"{mime.partition('/')[0]}/*"} & {*self.types})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProcessSettings:
    """Where the outputs of `files.process` go, and what one file may cost.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    outputs: Path | SyncObjects = Path("processed")
    """A folder, or a storage of objects. Files that are worked on stay where they are."""
    prefix: str = "processed"
    """Of the keys of outputs, in a storage."""
    max_bytes: int = DEFAULT_MAX_BYTES
    """Largest file that is worked on. Default: 100 MiB."""
    max_memory_bytes: int = 512 * 1024 * 1024
    """Most memory that the work on one file may take. Default: 512 MiB."""
    max_text_bytes: int = 20 * 1024 * 1024
    """Longest text that is taken from a file. Default: 20 MiB."""
    inline_bytes: int = MAX_INLINE_BYTES
    """Up to here a text is in the job's result; a longer one becomes an output, and so does one
    that makes the result larger than 64 KiB. Default, and most: 64 KiB."""
    max_members: int = 10_000
    """Most files in an archive such as a Word document."""
    max_unpacked_bytes: int = 256 * 1024 * 1024
    """Most that an archive may unpack to, by what it says itself. Default: 256 MiB."""
    images: ImageLimits = field(default_factory=ImageLimits)
    """What is refused of images before they are decoded."""

    def __post_init__(self) -> None:
        for name in (
            "max_bytes",
            "max_memory_bytes",
            "max_text_bytes",
            "max_members",
            "max_unpacked_bytes",
        ):
            value = getattr(self, name)
            require(value >= 1, name, value, "an integer from 1")
        good = 0 <= self.inline_bytes <= MAX_INLINE_BYTES
        require(good, "inline_bytes", self.inline_bytes, "0 to 65536")
        good = self.prefix != "" and not self.prefix.startswith("/")
        require(good, "prefix", self.prefix, "a key such as 'processed'")
        if not isinstance(self.outputs, SyncObjects):
            object.__setattr__(self, "outputs", Path(os.path.abspath(self.outputs)))
