"""Opening, closing and looking after a store."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that `doctor` looked at."""

    subject: str
    grade: Literal["ok", "warning", "error"]
    text: str
    """What was found and, unless all is well, what to do."""


class Health(msgspec.Struct, frozen=True):
    """What `doctor` found."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing is an error."""
        return all(finding.grade != "error" for finding in self.findings)


class Lifecycle(Protocol):
    """The store as a whole."""

    async def check(self) -> Health:
        """Look the store over: format, integrity, room, orphans. Changes nothing."""
        ...

    async def identity(self) -> str:
        """Return a text that no other store has, whatever the URLs. It holds for a minute."""
        ...

    async def close(self) -> None:
        """Let what is under way end, then let go of everything. Twice is fine."""
        ...
