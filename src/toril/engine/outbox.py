"""Outcomes on their way to the store: batched, sent again after a failure, held back at the end.

An outcome waits here for the next exchange, together with all others that arrive meanwhile. When an
exchange fails, its outcomes return to the front of the line. The store may have applied them or
not: they are in doubt until one exchange, sent alone, has succeeded.

With each outcome travel the facts that hooks are told once the store has it. This module knows
nothing of the store, of claims, or of what those facts are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from toril.engine.job import Finished

MAX_BATCH = 250
"""Most outcomes in one exchange: about 7 ms of the store's time."""
WORTH_AN_EXCHANGE = 16
"""Outcomes for which a second exchange is worth its cost while another one is in flight."""
MAX_HOLD_BACK_S = 2.0
"""How long requeued jobs may be held back. Longer than a blocking claim that the server cannot be
told to end, and well below the time that a stopping worker takes in all."""
REQUEUES = frozenset({"released", "retried", "snoozed", "waiting_children"})
"""Outcomes after which a claim can take their job again: a parent whose children are done by now is
back in line at once."""

Facts = dict[str, Any]


class Batch(msgspec.Struct, eq=False):
    """The outcomes of one exchange."""

    outcomes: list[Finished]
    facts: list[Facts | None]
    """For the hooks, one for each outcome. None: no hook wants to know."""
    failures: int
    """How many exchanges had failed before this one."""
    resolves: bool
    """This exchange is alone in flight and follows a failure: its success ends the doubt."""


class Outbox:
    """The outcomes of one worker that the store does not have yet."""

    def __init__(self) -> None:
        self.waiting: list[Finished] = []
        """What the next exchange takes. To be read only."""
        self.in_doubt = False
        """An exchange failed, and the store may have done it. The next one must be alone."""
        self.added: Callable[[], None] = _nothing
        """Called after each change of `waiting` that an exchange should follow."""
        self._facts: list[Facts | None] = []
        self._many_in_doubt = 0
        """How many of `waiting`, from the front, the store may have already."""
        self._failures = 0
        self._held_back: list[tuple[Finished, Facts | None]] | None = None
        """None: nothing is held back, each outcome is sent as soon as possible."""
        self._time_limit: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no outcome waits, held back or not."""
        return not self.waiting and not self._held_back

    def add(self, outcome: Finished, facts: Facts | None = None) -> None:
        """Send an outcome with the next exchange. From the event loop."""
        if self._held_back is not None and outcome.kind in REQUEUES:
            self._held_back.append((outcome, facts))
            return
        self.waiting.append(outcome)
        self._facts.append(facts)
        self.added()

    def take(self, *, split: bool) -> Batch:
        """Remove and return the outcomes of the next exchange.

        Parameters:
            split: Leave half of many outcomes to a second exchange, which will be in flight at the
                same time.
        """
        many = len(self.waiting)
        if self.in_doubt:
            # All that are in doubt, in one exchange: the store tells only once what it has applied.
            many = max(MAX_BATCH, self._many_in_doubt)
        else:
            if split and many >= 2 * WORTH_AN_EXCHANGE:
                many = -(-many // 2)
            many = min(many, MAX_BATCH)
        batch = Batch(self.waiting[:many], self._facts[:many], self._failures, self.in_doubt)
        del self.waiting[:many], self._facts[:many]
        self._many_in_doubt = max(0, self._many_in_doubt - many)
        return batch

    def nothing(self) -> Batch:
        """Return a batch of no outcomes, for an exchange that only claims."""
        return Batch([], [], self._failures, resolves=False)

    def put_back(self, batch: Batch) -> None:
        """Take back the outcomes of an exchange that was not sent."""
        self.waiting[:0] = batch.outcomes
        self._facts[:0] = batch.facts

    def failed(self, batch: Batch) -> None:
        """Take back the outcomes of an exchange that failed: the store may have applied them."""
        self.put_back(batch)
        self._many_in_doubt += len(batch.outcomes)
        self._failures += 1
        self.in_doubt = True

    def succeeded(self, batch: Batch) -> None:
        """End the doubt, if this exchange resolves it and none has failed since."""
        if batch.resolves and batch.failures == self._failures:
            self.in_doubt = False

    def hold_back(self) -> None:
        """Send no outcome that requeues its job, until `let_go` or for `MAX_HOLD_BACK_S`.

        A stopping worker holds them back while it has a claim in flight. Otherwise that claim might
        take the very jobs that the worker gives back, and each would be started once more.
        """
        if self._held_back is not None:
            return
        self._held_back = []
        # Those in doubt were sent before and stay: the exchange that ends the doubt needs them all.
        for place in range(len(self.waiting) - 1, self._many_in_doubt - 1, -1):
            if self.waiting[place].kind in REQUEUES:
                self._held_back.insert(0, (self.waiting.pop(place), self._facts.pop(place)))
        loop = asyncio.get_running_loop()
        self._time_limit = loop.call_later(MAX_HOLD_BACK_S, self.let_go)

    def let_go(self) -> None:
        """Send what was held back. Nothing happens if nothing was."""
        held_back, self._held_back = self._held_back, None
        if self._time_limit is not None:
            self._time_limit.cancel()
            self._time_limit = None
        for outcome, facts in held_back or ():
            self.add(outcome, facts)


def _nothing() -> None:
    """Nobody is to be told yet."""
