"""Where failures leave letters, and how a letter's job comes back.

The rule of a queue lies in its `meta` hash, field `toril:dead`: a JSON array of the dead-letter
queue and of how long letters are kept, in milliseconds, or null. `toril:deadSeen` is the score in
`failed` up to which failures of other clients have their letters.
"""

from __future__ import annotations

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.requests import hash_words
from toril.backends.redis.scripts import script
from toril.core.reading import read_list
from toril.engine.contract.dead_letters import DeadLetterRule, Redrive, Redriven
from toril.engine.states import State

RULE = "toril:dead"


class RedisDeadLetters:
    """The role `DeadLetters`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def set_rule(self, queue: str, rule: DeadLetterRule | None) -> None:
        text = ""
        if rule is not None:
            text = msgspec.json.encode((rule.queue, rule.keep_ms)).decode()
        await self._client.run(
            script("dead_rule"), [self._keys.meta(queue)], self._moments.frozen(), text
        )

    async def rule(self, queue: str) -> DeadLetterRule | None:
        text = await self._client.call("HGET", self._keys.meta(queue), RULE)
        match read_list(text or ""):
            case [str(target), int() | None as keep_ms]:
                return DeadLetterRule(target, keep_ms)
        return None

    async def unlettered(self, queue: str, *, limit: int) -> tuple[list[str], str]:
        ids, until = await self._client.run(
            script("unlettered"), [self._keys.meta(queue)], self._moments.frozen(), limit
        )
        return list(ids), until

    async def looked(self, queue: str, until: str) -> None:
        await self._client.call("HSET", self._keys.meta(queue), "toril:deadSeen", until)

    async def redrive(self, wanted: Redrive) -> tuple[Redriven, State | None]:
        record = wanted.job.record
        answer = await self._client.run(
            script("redrive"),
            [self._keys.meta(wanted.queue), self._keys.meta(record.queue)],
            self._moments.frozen(),
            wanted.letter_id,
            wanted.expected,
            wanted.marked,
            record.id,
            wanted.data or "",
            record.priority,
            *hash_words(record, self._keys.prefix),
        )
        word, state = (*answer, None)[:2]
        return word, None if state is None else State(state)
