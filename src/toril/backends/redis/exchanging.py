"""One exchange as a script call: makes the arguments and reads the answer.

Read next: `dispatch.py` (sends it at once), `standing.py` (has the server run it once there is a
job).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from toril.backends.redis import records, requests
from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.lost import LostExchanges
from toril.backends.redis.moments import Moments
from toril.backends.redis.problems import Problems
from toril.backends.redis.requests import QueueIndex
from toril.backends.redis.scripts import script
from toril.core.errors import StoreUnreachableError
from toril.core.reading import whole
from toril.engine.contract.dispatch import Exchange, ExchangeReply, FenceResult
from toril.engine.job import Claimed


class Exchanging:
    """Makes the calls of all workers of a store, and sends them."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        lost: LostExchanges,
        problems: Problems,
        *,
        metrics_points: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self.lost = lost
        self.metrics_points = metrics_points
        self.problems = problems
        self._claims = itertools.count(1)

    def call(self, exchange: Exchange, lost_tokens: Sequence[str] = ()) -> ExchangeCall:
        """Return the call of an exchange, with a token that no other has.

        Parameters:
            exchange: Of queues that one script call can reach.
            lost_tokens: Those of earlier ones whose claims are to be handed out again.
        """
        token, places = f"{exchange.worker_id}:{next(self._claims)}", QueueIndex()
        arguments = requests.exchange(
            exchange, token, points=self.metrics_points, lost_tokens=lost_tokens, places=places
        )
        metas = [self._keys.meta(queue) for queue in places.names]
        return ExchangeCall(
            exchange, token, lost_tokens, places.names, metas,
            [self._moments.frozen(), *arguments], self.lost, self.problems,
        )  # fmt: skip

    async def send(self, call: ExchangeCall) -> ExchangeReply:
        """Have the server run a call, and return what it says; `seen` is left to the caller."""
        if not call.metas:
            return ExchangeReply([], [], None, 0)
        try:
            answer = await self._client.run(script("exchange"), call.metas, *call.arguments)
        except StoreUnreachableError as error:
            call.failed(error)
            raise
        return call.read(answer)


class ExchangeCall:
    """One call."""

    __slots__ = (
        "_exchange", "_lost", "_lost_tokens", "_names", "_problems", "arguments", "metas", "token",
    )  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        token: str,
        lost_tokens: Sequence[str],
        names: Sequence[str],
        metas: Sequence[str],
        arguments: Sequence[str | int],
        lost: LostExchanges,
        problems: Problems,
    ) -> None:
        self._exchange = exchange
        self.token = token
        self._lost_tokens = lost_tokens
        self._names = names
        self.metas = metas
        """The script's keys."""
        self.arguments = arguments
        self._lost = lost
        self._problems = problems

    def read(self, answer: Sequence[Any]) -> ExchangeReply:
        """Return what the script's answer says. `seen` is left to the caller."""
        late, claims, wait_ms, *problems = answer
        for place, text in problems[0] if problems else ():
            self._problems.report(self._names[place - 1], text)
        if self._lost_tokens:
            claimed_of = [claim.queue for claim in self._exchange.claims]
            self._lost.found(self._exchange.worker_id, claimed_of, self._lost_tokens)
        words: list[FenceResult] = ["ok"] * len(self._exchange.outcomes)
        for place in late:
            words[place - 1] = "lease_lost"
        claimed: list[Claimed] = []
        for place, token, started_ms, rows in claims:
            claimed += records.claimed(rows, self._names[place - 1], token, whole(started_ms))
        return ExchangeReply(words, claimed, wait_ms, 0)

    def failed(self, error: StoreUnreachableError) -> None:
        """Remember that the answer is lost, if the call may have been done."""
        if error.sent:
            self._lost.add(self._exchange.worker_id, queues_of(self._exchange), self.token)


def queues_of(exchange: Exchange) -> list[str]:
    """Return the queues that an exchange is about, each once."""
    names = [outcome.queue for outcome in exchange.outcomes]
    names += [claim.queue for claim in exchange.claims]
    return list(dict.fromkeys(names))
