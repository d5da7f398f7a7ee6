"""Which queues to ask, in what order and for how many: strictly one after another, or by weight."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import msgspec

from toril.engine.contract.dispatch import Claim
from toril.engine.job import Claimed, Finished
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
        rates: Mapping[str, RateLimit] | None = None,
        at_once: Mapping[str, int] | None = None,
    ) -> None:
        """Make a plan.

        Parameters:
            queues: In the order in which they are asked: the next only when the one before has
                nothing.
            weights: Shares of the free slots by queue, in place of that order. What one queue
                leaves, the others get.
            lease_ms: The lease of a claim.
            rate: The worker's own rate limit.
            rates: The same for some of the queues, in place of it.
            at_once: How many jobs of a queue may run at once. Of others as many as there are slots.
        """
        self.queues = tuple(queues)
        self._weights = dict(weights) if weights else None
        self.lease_ms = lease_ms
        self._rate = rate
        self._rates = rates or {}
        self._at_once = dict(at_once or {})
        self.counts = bool(self._at_once)
        """Whether it wants to be told what came: some queue has a limit."""
        self._held = dict.fromkeys(self._at_once, 0)
        """Of these queues: jobs that are held, and those that claims in flight may bring."""
        self._strict = [self._claim(queue, 1 << 30) for queue in self.queues]

    @property
    def is_full(self) -> bool:
        """Whether a queue is left out of claims, as it has as many jobs as may run at once."""
        return any(self._held[queue] >= limit for queue, limit in self._at_once.items())

    def claims(self, room: int, ending: Sequence[Finished] = ()) -> list[Claim]:
        """Return what to ask for when there are `room` free slots.

        Tell `came` of the reply to them, whatever that is.

        Parameters:
            room: Free slots, with those of the jobs that end.
            ending: The outcomes that the same exchange brings to the store.
        """
        if room <= 0:
            return []
        if self._weights is None or len(self.queues) == 1:
            claims = self._strict
        else:
            claims = self._shared(room, self._weights)
        return self._limited(claims, room, ending) if self.counts else claims

    def came(
        self, claims: Sequence[Claim], claimed: Sequence[Claimed], ended: Sequence[Finished]
    ) -> None:
        """Note what an exchange has brought, and which outcomes the store has taken."""
        held = self._held
        for claim in claims:
            if claim.queue in held:
                held[claim.queue] -= claim.limit
        for job in claimed:
            if job.queue in held:
                held[job.queue] += 1
        for outcome in ended:
            if outcome.queue in held:
                held[outcome.queue] -= 1

    def _limited(
        self, claims: Sequence[Claim], room: int, ending: Sequence[Finished]
    ) -> list[Claim]:
        """Return claims of no more jobs than may run at once beside those that are held."""
        left = {queue: limit - self._held[queue] for queue, limit in self._at_once.items()}
        for outcome in ending:
            if outcome.queue in left:
                left[outcome.queue] += 1
        found = []
        for claim in claims:
            queue = claim.queue
            if queue in left:
                limit = min(claim.limit, left[queue], room)
                if limit <= 0:
                    continue
                left[queue] -= limit
                self._held[queue] += limit
                claim = msgspec.structs.replace(claim, limit=limit)
            found.append(claim)
        return found

    def _shared(self, room: int, weights: Mapping[str, int]) -> list[Claim]:
        """Return claims that share free slots by the weights of the queues."""
        total = sum(weights.values())
        # Weighted random order, without replacement: with one free slot, weights are chances.
        # Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
        draws = {
            queue: random.random() ** (1 / weight)  # noqa: S311 - a draw among queues
            for queue, weight in weights.items()
        }
        order = sorted(draws, key=draws.__getitem__, reverse=True)
        shares = [self._claim(queue, -(-room * weights[queue] // total)) for queue in order]
        return [*shares, *(self._claim(queue, room) for queue in order)]

    def _claim(self, queue: str, limit: int) -> Claim:
        rate = self._rates.get(queue, self._rate)
        return Claim(
            queue,
            limit,
            self.lease_ms,
            None if rate is None else rate.limit,
            1000 if rate is None else round(rate.window_s * 1000),
        )
