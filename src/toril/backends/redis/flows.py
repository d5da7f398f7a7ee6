"""Flows: trees of jobs, in BullMQ's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toril.backends.cursors import no_cursor
from toril.backends.redis import flow_records
from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.requests import QueueIndex, new_job, tied
from toril.backends.redis.scripts import script
from toril.backends.redis.served import served_queues
from toril.backends.redis.workers import RedisWorkers
from toril.backends.refusals import not_found
from toril.core.errors import BackendError, TorilError
from toril.engine.contract.flows import MAX_BELOW, NewNode
from toril.engine.flow import ChildPage, ChildRecord, Fate
from toril.engine.flow_refusals import (
    apart,
    claim_lost,
    has_parent,
    held_below,
    is_above,
    is_there,
    no_parent,
    parent_finished,
    too_many,
)
from toril.engine.job import Added

_PARTS: tuple[tuple[str, str, Fate], ...] = (
    ("dependencies", "SCARD", "pending"),
    ("processed", "HLEN", "completed"),
    ("failed", "HLEN", "ignored"),
    ("unsuccessful", "ZCARD", "failed"),
)


class RedisFlows:
    """The role `Flows`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: QueueRegister,
        workers: RedisWorkers,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._workers = workers

    async def add(self, nodes: Sequence[NewNode], *, token: str | None = None) -> list[Added]:
        queues = list(dict.fromkeys(node.job.queue for node in nodes))
        for queue in queues:
            await self._known.use(queue)
        above = (node.parent.queue for node in nodes if node.parent is not None)
        if not self._are_together(names := sorted({*queues, *above})):
            raise apart(names)
        places = QueueIndex()
        arguments = [word for node in nodes for word in self._node(node, places)]
        answer = await self._client.run(
            script("add_flow"),
            [self._keys.meta(queue) for queue in places.names],
            self._moments.frozen(),
            token or "",
            *arguments,
        )
        if answer[0] != "ok":
            raise self._refusal(answer)
        for queue in queues:
            await self._known.announce(queue)
        return [
            Added(node.job.job_id or "", duplicate=new == 0)
            for node, new in zip(nodes, answer[1:], strict=True)
        ]

    def _are_together(self, queues: Sequence[str]) -> bool:
        if not self._client.clustered:
            return True
        return len({self._client.slot(self._keys.meta(queue)) for queue in queues}) <= 1

    def _node(self, node: NewNode, places: QueueIndex) -> Sequence[str]:
        job, opts, parent = node.job, node.job.opts, ""
        if node.parent is not None:
            opts, parent = tied(opts, node.parent, self._keys.prefix)
        return (
            job.name,
            job.data,
            opts,
            new_job(job, places)[3],
            parent,
            "yes" if node.waits else "",
        )

    def _refusal(self, answer: Sequence[Any]) -> TorilError:
        if answer[0] == "damaged":
            return BackendError(
                f"{self._client.address.shown}: the flow was not added: {answer[1]}. A key holds"
                " what does not belong there; `toril doctor` names it"
            )
        queue, job_id = flow_records.split(answer[1])
        match answer[0]:
            case "no_parent":
                return not_found(queue, job_id)
            case "lost":
                return claim_lost(queue, job_id)
            case "finished":
                return parent_finished(queue, job_id, answer[2])
            case "is_there":
                return is_there(queue, job_id)
            case "is_above":
                return is_above(queue, job_id, *flow_records.split(answer[2]))
            case _:
                return has_parent(queue, job_id, *flow_records.split(answer[2]))

    async def children(
        self,
        queue: str,
        job_id: str,
        *,
        limit: int,
        after: str | None = None,
        brief: bool = False,
    ) -> ChildPage:
        part, _, place = ("1.0" if after is None else after).partition(".")
        if part not in ("1", "2", "3", "4") or not place.isdecimal():
            raise no_cursor(after or "")
        rows, *behind = await self._run(
            "children", queue, job_id, part, place, limit, "yes" if brief else "no"
        )
        children = [flow_records.child(row) for row in rows]
        return ChildPage(children, f"{behind[0]}.{behind[1]}" if behind else None)

    async def known(self, queue: str, job_ids: Sequence[str]) -> list[list[ChildRecord]]:
        keys = [
            [self._keys.of(queue, f"{job_id}:{part}") for part, _, _ in _PARTS]
            for job_id in job_ids
        ]
        found = await self._client.many([["EXISTS", *some] for some in keys])
        return [
            await self._known_by(some) if many else []
            for some, many in zip(keys, found, strict=True)
        ]

    async def _known_by(self, keys: Sequence[str]) -> list[ChildRecord]:
        pending, processed, ignored, unsuccessful = await self._client.many(
            [
                ["SMEMBERS", keys[0]],
                ["HGETALL", keys[1]],
                ["HGETALL", keys[2]],
                ["ZRANGE", keys[3], 0, -1],
            ]
        )
        rows: list[tuple[str, str, str | None]] = [(key, "dependencies", None) for key in pending]
        rows += [(key, "unsuccessful", None) for key in unsuccessful]
        for part, flat in (("processed", processed), ("failed", ignored)):
            rows += [(key, part, value) for key, value in zip(flat[::2], flat[1::2], strict=True)]
        return [flow_records.child((*row, None, None, None, 0)) for row in rows]

    async def outline(self, queue: str, job_id: str) -> dict[Fate, int]:
        key = self._keys.of(queue, job_id)
        found = await self._client.many([[how, f"{key}:{part}"] for part, how, _ in _PARTS])
        return {fate: many for (_, _, fate), many in zip(_PARTS, found, strict=True) if many}

    async def break_tie(self, queue: str, job_id: str) -> bool:
        answer = await self._run("break_tie", queue, job_id)
        match answer[0]:
            case "missing":
                raise not_found(queue, job_id)
            case "no_parent":
                raise no_parent(queue, job_id)
        return bool(answer[1])

    async def remove_children(self, queue: str, job_id: str) -> int:
        return await self._remove(queue, job_id, "waited")

    async def remove(self, queue: str, job_id: str) -> int:
        return await self._remove(queue, job_id, "all")

    async def _remove(self, queue: str, job_id: str, what: str) -> int:
        answer = await self._run("remove_flow", queue, job_id, what, MAX_BELOW)
        match answer[0]:
            case "missing":
                raise not_found(queue, job_id)
            case "held":
                raise held_below(queue, job_id, *flow_records.split(answer[1]))
            case "many":
                raise too_many(queue, job_id, MAX_BELOW)
        removed: int = answer[1]
        return removed

    async def served(self) -> set[str]:
        return await served_queues(self._client, self._keys, self._workers)

    async def _run(self, verb: str, queue: str, *arguments: str | int) -> Any:
        return await self._client.run(
            script(verb), [self._keys.meta(queue)], self._moments.frozen(), *arguments
        )
