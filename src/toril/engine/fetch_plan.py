"""Which queues to ask, in what order and for how many: strictly one after another, or by weight."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from toril.engine.contract.dispatch import Claim
from toril.engine.options import RateLimit


class FetchPlan:
    """The queues of one worker."""

    def __init__(
        self,
        queues: Sequence[str],
        *,
        weights: Mapping[str, int] | None,
        lease_ms: int,
        rate: RateLimit | None,
    ) -> None:
        """Make a plan.

        Parameters:
            queues: In the order in which they are asked: the next only when the one before has
                nothing.
            weights: Shares of the free slots by queue, in place of that order. What one queue
                leaves, the others get.
            lease_ms: The lease of a claim.
            rate: The worker's own rate limit.
        """
        self.queues = tuple(queues)
        self._weights = dict(weights) if weights else None
        self.lease_ms = lease_ms
        self._rate = rate
        self._strict = [self._claim(queue, 1 << 30) for queue in self.queues]

    def claims(self, room: int) -> list[Claim]:
        """Return what to ask for when there are `room` free slots."""
        if room <= 0:
            return []
        if self._weights is None or len(self.queues) == 1:
            return self._strict
        total = sum(self._weights.values())
        # Weighted random order, without replacement: with one free slot, weights are chances.
        # Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
        draws = {
            queue: random.random() ** (1 / weight)  # noqa: S311 - a draw among queues
            for queue, weight in self._weights.items()
        }
        order = sorted(draws, key=draws.__getitem__, reverse=True)
        shares = [self._claim(queue, -(-room * self._weights[queue] // total)) for queue in order]
        return [*shares, *(self._claim(queue, room) for queue in order)]

    def _claim(self, queue: str, limit: int) -> Claim:
        rate = self._rate
        return Claim(
            queue,
            limit,
            self.lease_ms,
            None if rate is None else rate.limit,
            1000 if rate is None else round(rate.window_s * 1000),
        )
