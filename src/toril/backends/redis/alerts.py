"""What is kept for alerts: a hash for each kind of rows, and who holds the watch."""

from __future__ import annotations

from collections.abc import Sequence

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script
from toril.engine.contract.alerts import ALERT_ROW_KINDS, AlertRow, AlertRowKind


class RedisAlertStore:
    """The role `AlertStore`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def hold(self, holder: str, *, lease_ms: int) -> bool:
        held = await self._client.run(
            script("alert_hold"),
            [self._keys.alerts("watch")],
            self._moments.frozen(),
            holder,
            lease_ms,
        )
        return bool(held)

    async def release(self, holder: str) -> None:
        await self._client.run(script("alert_release"), [self._keys.alerts("watch")], holder)

    async def rows(self, kinds: Sequence[AlertRowKind]) -> list[AlertRow]:
        found = await self._client.many([["HGETALL", self._keys.alerts(kind)] for kind in kinds])
        return [
            AlertRow(kind, key, body)
            for kind, flat in zip(kinds, found, strict=True)
            for key, body in sorted(zip(flat[::2], flat[1::2], strict=True))
        ]

    async def change(
        self,
        put: Sequence[AlertRow] = (),
        drop: Sequence[AlertRow] = (),
        *,
        holder: str | None = None,
    ) -> bool:
        words: list[str | int] = []
        for row in drop:
            words += ("drop", ALERT_ROW_KINDS.index(row.kind) + 1, row.key, "")
        for row in put:
            words += ("put", ALERT_ROW_KINDS.index(row.kind) + 1, row.key, row.body)
        done = await self._client.run(
            script("alert_change"),
            [self._keys.alerts(part) for part in ("watch", *ALERT_ROW_KINDS)],
            self._moments.frozen(),
            holder or "",
            *words,
        )
        return bool(done)
