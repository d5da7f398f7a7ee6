"""What a virus scanner promises: one of four verdicts, and `clean` only if it said so."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

DEFAULT_MAX_BYTES = 25 * 1024 * 1024
"""Largest content that is sent: what clamd takes unless it is configured otherwise."""


class Finding(StrEnum):
    """What a scanner says of content."""

    CLEAN = "clean"
    """It was scanned, and nothing was found."""
    INFECTED = "infected"
    """Something was found: `Verdict.signature`."""
    TOO_LARGE = "too_large"
    """It is larger than the scanner takes, so nothing is known of it. Trying again is of no use."""
    UNAVAILABLE = "unavailable"
    """The scanner did not answer, or not in words that are known. Try again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a scanner says, and why."""

    finding: Finding
    signature: str | None = None
    """The name of what was found. None: not infected."""
    reason: str | None = None
    """Why nothing is known, for people. None: it is."""

    @property
    def is_clean(self) -> bool:
        """Whether the content may be used. False in doubt."""
        return self.finding is Finding.CLEAN


CLEAN = Verdict(finding=Finding.CLEAN)


def infected(signature: str) -> Verdict:
    """Return the verdict that something was found."""
    return Verdict(finding=Finding.INFECTED, signature=signature)


def too_large(reason: str) -> Verdict:
    """Return the verdict that content is larger than the scanner takes."""
    return Verdict(finding=Finding.TOO_LARGE, reason=reason)


def unavailable(reason: str) -> Verdict:
    """Return the verdict that the scanner cannot say anything at present."""
    return Verdict(finding=Finding.UNAVAILABLE, reason=reason)


def over_limit(max_bytes: int, size_bytes: int | None = None) -> Verdict:
    """Return the verdict on content over the limit that a scanner was given."""
    size = f"over {max_bytes:,} bytes" if size_bytes is None else f"{size_bytes:,} bytes"
    return too_large(f"{size}; at most max_bytes={max_bytes:,} are scanned")


class Scanner(Protocol):
    """Scans content. Safe to share between the tasks of an event loop."""

    @property
    def max_bytes(self) -> int:
        """Largest content that it takes."""
        ...

    async def scan(
        self, content: bytes | AsyncIterable[bytes], *, size_bytes: int | None = None
    ) -> Verdict:
        """Return what is known of content. Never raises for what the scanner does.

        Parameters:
            content: All of it, or its parts in order. What reading it raises comes through.
            size_bytes: How large it is, if known: what is too large need not be read then.
        """
        ...

    async def check(self) -> Verdict:
        """Return `clean` if the scanner answers, else why not. For health checks."""
        ...


async def parts_of(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts of content, none of them empty."""
    if isinstance(content, bytes):
        if content:
            yield content
        return
    async for part in content:
        if part:
            yield part
