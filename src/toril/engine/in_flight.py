"""The exchanges of one worker that the store has not answered yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from toril.engine.contract.dispatch import Claim
from toril.engine.outbox import Batch


class SentExchange(msgspec.Struct, eq=False):
    """An exchange in flight."""

    batch: Batch
    claims: Sequence[Claim]
    reserved: int
    """Free slots that it may fill, beside those of its outcomes."""
    give_back: bool = False
    """The process stood still meanwhile: what this claims may be lost again by now."""
    task: asyncio.Task[None] | None = None


class InFlight:
    """All of them: those that the store answers at once, and at most one blocking claim."""

    def __init__(self) -> None:
        self.exchanges: set[SentExchange] = set()
        """Without the blocking claim."""
        self.blocking: SentExchange | None = None
        """The blocking claim (`idling.py`)."""

    @property
    def is_empty(self) -> bool:
        """Whether no reply is on its way."""
        return not self.exchanges and self.blocking is None

    @property
    def may_claim(self) -> bool:
        """Whether the store may still claim jobs for us."""
        return self.blocking is not None or any(sent.claims for sent in self.exchanges)

    def give_back_claims(self) -> None:
        """Give back all jobs that these claim: the process stood still meanwhile."""
        for sent in self.exchanges:
            sent.give_back = True
        if self.blocking is not None:
            self.blocking.give_back = True

    def remove(self, sent: SentExchange) -> bool:
        """Remove an exchange that is not in flight any more; return whether it was there."""
        if sent is self.blocking:
            self.blocking = None
        elif sent in self.exchanges:
            self.exchanges.remove(sent)
        else:
            return False
        return True
