"""Operations on many jobs: what they are to do, who drives them, and their steps.

An operation is a hash of its own. How far it has come in a queue lies among the keys of that queue,
so that a step and what it changes are one script, in a Cluster too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.scripts import script
from toril.core.reading import whole
from toril.engine.contract.operations import (
    Act,
    OperationRecord,
    OperationState,
    Restored,
    Step,
)

KEPT_MS = 7 * 86_400_000
"""For how long an operation is known."""


class RedisOperationStore:
    """The role `OperationStore`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: QueueRegister,
        *,
        metrics_points: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._points = metrics_points

    async def add(self, operation_id: str, body: str) -> None:
        keys = [self._keys.operations, self._keys.operation(operation_id)]
        await self._client.run(
            script("operation_add"), keys, self._moments.frozen(), operation_id, body, KEPT_MS
        )

    async def get(self, operation_id: str) -> OperationRecord | None:
        found = await self._read([operation_id])
        return found[0] if found else None

    async def newest(self, *, limit: int) -> list[OperationRecord]:
        ids = await self._client.call("ZREVRANGE", self._keys.operations, 0, limit - 1)
        return await self._read(ids)

    async def take(
        self, operation_id: str, holder: str, *, lease_ms: int
    ) -> OperationRecord | None:
        taken = await self._client.run(
            script("operation_take"),
            [self._keys.operation(operation_id)],
            self._moments.frozen(),
            holder,
            lease_ms,
        )
        return await self.get(operation_id) if taken == 1 else None

    async def end(self, operation_id: str, holder: str, state: OperationState, note: str) -> bool:
        fields = ("state", state, "note", note)
        return await self._mark(operation_id, " running ", holder, *fields, ends=True)

    async def want_cancelled(self, operation_id: str) -> bool:
        return await self._mark(operation_id, " running ", "", "wanted", "cancel")

    async def mark_undone(self, operation_id: str, note: str) -> None:
        fields = ("state", "undone", "note", note)
        await self._mark(operation_id, " done cancelled failed undone ", "", *fields)

    async def steps(self, operation_id: str, queues: Sequence[str]) -> list[Step]:
        keys = [self._keys.of(queue, f"toril:operation:{operation_id}") for queue in queues]
        names = ("version", "place", "done", "refused", "looked_at")
        return [_step(row) for row in await self._client.many([["HMGET", k, *names] for k in keys])]

    async def step(
        self,
        operation_id: str,
        queue: str,
        *,
        after: int,
        place: str,
        looked_at: int,
        act: Act | None,
    ) -> Step | None:
        request: dict[str, Any] = {
            "operation": operation_id,
            "after": after,
            "place": place,
            "looked_at": looked_at,
            "known_ms": KEPT_MS,
            "points": self._points,
        }
        metas, ids = [self._keys.meta(queue)], []
        if act is not None:
            request |= {"verb": act.verb, "state": act.state, "reset": act.reset_attempts,
                        "reason": act.reason, "keep_ms": act.keep_ms}  # fmt: skip
            if act.ended_until_ms is not None:
                request["until_ms"] = act.ended_until_ms
            if act.verb == "move":
                await self._known.use(act.target)
                metas.append(self._keys.meta(act.target))
            ids = [*act.ids]
        text = msgspec.json.encode(request).decode()
        answer = await self._client.run(
            script("operation_step"), metas, self._moments.frozen(), text, *ids
        )
        if act is not None and act.verb == "move":
            await self._known.announce(act.target)
        return _step(answer) if answer else None

    async def restore(self, operation_id: str, queue: str, *, limit: int) -> Restored:
        restored, taken, more = await self._client.run(
            script("restore_removed"),
            [self._keys.meta(queue)],
            self._moments.frozen(),
            operation_id,
            limit,
        )
        if restored:
            await self._known.announce(queue)
        return Restored(restored, taken, more == 1)

    async def _mark(
        self, operation_id: str, states: str, holder: str, *fields: str, ends: bool = False
    ) -> bool:
        marked = await self._client.run(
            script("operation_mark"),
            [self._keys.operation(operation_id)],
            self._moments.frozen(),
            states,
            holder,
            "yes" if ends else "no",
            *fields,
        )
        return bool(marked)

    async def _read(self, ids: Sequence[str]) -> list[OperationRecord]:
        if not ids:
            return []
        rows = await self._client.run(
            script("read_operations"),
            [self._keys.operation(operation_id) for operation_id in ids],
            self._moments.frozen(),
        )
        return [
            OperationRecord(
                id=operation_id,
                body=body,
                created_ms=whole(created_ms),
                state=state,
                wanted=wanted or "",
                note=note or "",
                ended_ms=None if ended_ms is None else whole(ended_ms),
                driven=driven == 1,
            )
            for operation_id, row in zip(ids, rows, strict=True)
            if row is not None
            for body, created_ms, state, wanted, note, ended_ms, driven in (row,)
        ]


def _step(row: Sequence[Any]) -> Step:
    version, place, done, refused, looked_at = row
    return Step(
        version=whole(version),
        place=place or "",
        done=whole(done),
        refused=whole(refused),
        looked_at=whole(looked_at),
    )
