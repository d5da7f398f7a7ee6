"""What `files.validate` gives back, under camelCase names."""

from __future__ import annotations

from typing import Literal

import msgspec

ProblemCode = Literal[
    "too_large",
    "empty",
    "size_differs",
    "type_unknown",
    "type_differs",
    "type_not_allowed",
    "name_differs",
    "dangerous",
    "polyglot",
    "archive",
]


class FileProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One reason not to take a file."""

    code: ProblemCode
    """A word that stays as it is."""
    message: str
    """What was found, and what was expected, for people."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a file really is."""

    valid: bool
    """Whether it may be taken: there is no problem."""
    problems: list[FileProblem]
    """All that were found."""
    type: str | None = None
    """Its MIME type by its content. Default: not known."""
    extension: str | None = None
    """The usual ending of its name, without a dot."""
    bytes: int | None = None
    """Its size. Default: not known, as it was too large to be read."""
    sha256: str | None = None
    """SHA-256 of its content, in hexadecimal."""
