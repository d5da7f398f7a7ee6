"""Addresses that get no bulk mail any more, and why: what a list of them promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, moment
from toril.services.mail.message import ascii_address, bare

Reason = Literal["bounced", "unsubscribed", "complained"]
REASONS = ("bounced", "unsubscribed", "complained")
MAX_DETAIL_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Why an address gets nothing more."""

    address: str
    """As `plain` makes it."""
    reason: Reason
    detail: str
    """Such as the server's answer, or the campaign."""
    since: datetime


class Suppressions(Protocol):
    """A list of addresses. Case does not count in them."""

    async def add(self, address: str, reason: Reason, *, detail: str = "") -> None:
        """Put an address on the list. One that is there already stays as it is."""
        ...

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Suppression]:
        """Return those that are on the list, as they were given."""
        ...

    async def remove(self, address: str) -> bool:
        """Take an address off the list; return whether it was there."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class MemorySuppressions:
    """A list that ends with its process."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._entries: dict[str, Suppression] = {}

    async def add(self, address: str, reason: Reason, *, detail: str = "") -> None:
        """See `Suppressions.add`."""
        entry = new_suppression(address, reason, detail, self._clock)
        self._entries.setdefault(entry.address, entry)

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Suppression]:
        """See `Suppressions.find`."""
        known = self._entries
        return {each: known[key] for each in addresses if (key := plain(each)) in known}

    async def remove(self, address: str) -> bool:
        """See `Suppressions.remove`."""
        return self._entries.pop(plain(address), None) is not None

    async def close(self) -> None:
        """Nothing is open."""


def plain(address: str) -> str:
    """Return an address as lists compare it: without its name, in lower case.

    Hosts do not mind case at all, and of mailboxes no provider of today does.
    """
    return ascii_address(bare(address).lower())


def new_suppression(address: str, reason: Reason, detail: str, clock: Clock) -> Suppression:
    """Return a new entry.

    Raises:
        InvalidOptionError: There is no such reason.
    """
    require(reason in REASONS, "reason", reason, " or ".join(REASONS))
    return Suppression(
        address=plain(address),
        reason=reason,
        detail=detail[:MAX_DETAIL_CHARS],
        since=moment(clock.now_ms()),
    )
