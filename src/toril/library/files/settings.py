"""Which files are taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from toril.core.checks import nearest, require
from toril.core.errors import InvalidOptionError
from toril.library.files.kinds import BY_TYPE, BY_WORD, KINDS, TEXTS, Danger, kind_of

DEFAULT_MAX_BYTES = 100 * 1024 * 1024
ALL_DANGERS = frozenset(Danger)


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
