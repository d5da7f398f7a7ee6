"""Looks through the jobs of a state: one call of a script is one look."""

from __future__ import annotations

from typing import Any

import msgspec

from toril.backends.cursors import cursor, no_cursor, split_cursor
from toril.backends.redis import records
from toril.backends.redis.queue_scripts import QueueScripts
from toril.engine.contract.search import Scan, Scanned
from toril.engine.states import State

_LISTS = (State.WAIT, State.ACTIVE)
_NEEDLES = ("name", "data", "error", "text", "max_payload_bytes", "since_ms", "until_ms")


class RedisSearch:
    """The role `Search`."""

    def __init__(self, scripts: QueueScripts) -> None:
        self._scripts = scripts

    async def scan(self, wanted: Scan) -> Scanned:
        request: dict[str, Any] = {
            "state": wanted.state,
            "limit": wanted.limit,
            "max_bytes": wanted.max_bytes,
            "newest_first": wanted.newest_first,
            "whole": wanted.whole,
        }
        for name in _NEEDLES:
            value = getattr(wanted, name)
            if value is not None:
                request[name] = value
        if wanted.after is not None:
            request |= _place(wanted.after, wanted.state)
        ids, rows, places, looked_at, passed_over, again, *behind = await self._scripts.run(
            "scan", wanted.queue, msgspec.json.encode(request).decode()
        )
        return Scanned(
            ids,
            [records.job(row, wanted.queue) for row in rows],
            places,
            looked_at,
            passed_over,
            cursor(wanted.state, *behind) if behind else None,
            again == 1,
        )


def _place(after: str, state: State) -> dict[str, Any]:
    """Return what the script is told of the place where a look goes on."""
    _, place = split_cursor(after, (state,))
    try:
        index, score, last = place
        if state not in _LISTS:
            float(score)
            return {"place": int(index), "score": score, "last": last}
        marks = msgspec.json.decode(last, type=list[str])
        return {"place": int(index), "radius": int(score), "marks": marks}
    except ValueError:
        raise no_cursor(after) from None
