"""Calls over queues in several slots of a Cluster: one call for each slot, at the same time.

A script cannot reach over several slots. Outside of a Cluster there is one call, as if all queues
were in one slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from toril.backends.redis.client import Client
from toril.backends.redis.exchanging import Exchanging, queues_of
from toril.backends.redis.keys import Keys
from toril.engine.contract.dispatch import Claim, Exchange, ExchangeReply

T = TypeVar("T")
R = TypeVar("R")


class SlotCalls:
    """Splits calls by the slots of queues."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def slot(self, queue: str) -> int | None:
        """Return the slot of a queue. None: it is no Cluster."""
        return self._client.slot(self._keys.meta(queue))

    def groups(self, items: Iterable[T], queue_of: Callable[[T], str]) -> list[list[T]]:
        """Return items in groups that one script call can reach, each in the order of the items."""
        items = list(items)
        if not items:
            return []
        if not self._client.clustered:
            return [items]
        found: dict[int | None, list[T]] = {}
        for item in items:
            found.setdefault(self.slot(queue_of(item)), []).append(item)
        return list(found.values())


async def all_at_once(calls: Sequence[Coroutine[Any, Any, R]]) -> list[R]:
    """Make calls at the same time; return their results.

    Raises:
        BaseException: The first error, after all calls have ended.
    """
    if len(calls) == 1:  # without a task
        return [await calls[0]]
    results: list[R] = []
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


class SlotExchanges:
    """Exchanges of workers whose queues lie in several slots."""

    def __init__(self, slots: SlotCalls, exchanging: Exchanging) -> None:
        self._slots = slots
        self._exchanging = exchanging

    async def send(self, exchange: Exchange, lost_tokens: Sequence[str]) -> ExchangeReply:
        """Exchange with all slots, and return one reply; `seen` is left to the caller.

        All outcomes leave at once, and with them the first claims, as far as their limits fit into
        the room together. Claims come in order: the next ones are made only when these left room.

        Raises:
            BackendError: A part failed. What other parts have claimed is handed out again.
        """
        whole = ExchangeReply(["lease_lost"] * len(exchange.outcomes), [], None, 0)
        indexes: dict[int | None, list[int]] = {}
        for index, outcome in enumerate(exchange.outcomes):
            indexes.setdefault(self._slots.slot(outcome.queue), []).append(index)
        claims = list(exchange.claims)
        done: list[tuple[list[str], list[str]]] = []
        while True:
            room = exchange.room - len(whole.claimed)
            claiming = self._fitting(claims, room) if room > 0 or not done else {}
            parts = [
                (indexes.get(slot, []), *claiming.get(slot, ([], 0)))
                for slot in dict.fromkeys((*indexes, *claiming))
            ]
            if not parts:
                return whole
            indexes = {}
            await self._send_parts(exchange, parts, lost_tokens, done, whole)

    def _fitting(self, claims: list[Claim], room: int) -> dict[int | None, tuple[list[Claim], int]]:
        """Take the next claims; return those of each slot, and how much room they have together.

        Several slots are asked only for as many jobs as there is room for in all.
        """
        found: dict[int | None, tuple[list[Claim], int]] = {}
        left = room
        while claims:
            slot = self._slots.slot(claims[0].queue)
            allotted = min(claims[0].limit, left)
            if allotted <= 0 and found and found.keys() != {slot}:
                break
            earlier, theirs = found.get(slot, ([], 0))
            found[slot] = ([*earlier, claims.pop(0)], theirs + allotted)
            left -= allotted
        return found

    async def _send_parts(
        self,
        exchange: Exchange,
        parts: Sequence[tuple[list[int], list[Claim], int]],
        lost_tokens: Sequence[str],
        done: list[tuple[list[str], list[str]]],
        whole: ExchangeReply,
    ) -> None:
        """Send parts of an exchange at the same time, and add what they say to the whole."""
        lost, worker_id = self._exchanging.lost, exchange.worker_id
        calls = []
        for indexes, claims, room in parts:
            outcomes = [exchange.outcomes[index] for index in indexes]
            part = Exchange(worker_id, outcomes, claims, room)
            queues = queues_of(part)
            theirs_lost = [one for one in lost.of(worker_id, queues) if one in lost_tokens]
            call = self._exchanging.call(part, theirs_lost)
            calls.append((call, queues, [*theirs_lost, call.token]))
        # A single one is sent from a task, too: exchanges of a slot keep the order of their calls.
        sending = [self._exchanging.send(call) for call, _, _ in calls]
        replies = await asyncio.gather(*sending, return_exceptions=True)
        error = next((reply for reply in replies if isinstance(reply, BaseException)), None)
        for (_, queues, tokens), reply in zip(calls, replies, strict=True):
            if not isinstance(reply, BaseException):
                done.append((queues, tokens))
        if error is not None:
            # The caller gets nothing of what went well, so for it those replies are lost too.
            for queues, tokens in done:
                for token in tokens:
                    lost.add(worker_id, queues, token)
            raise error
        for (indexes, _, _), reply in zip(parts, replies, strict=True):
            if isinstance(reply, BaseException):
                continue
            for index, word in zip(indexes, reply.words, strict=True):
                whole.words[index] = word
            whole.claimed += reply.claimed
            waits = [ms for ms in (whole.next_due_ms, reply.next_due_ms) if ms is not None]
            whole.next_due_ms = min(waits, default=None)
