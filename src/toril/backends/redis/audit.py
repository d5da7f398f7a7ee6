"""The audit log: a stream, of which the server keeps the newest entries.

A position is the entry's id as one number, its milliseconds times 2^20 plus its place in them.
"""

from __future__ import annotations

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.core.reading import whole
from toril.engine.contract.audit import AuditLine

_PLACES = 1 << 20
"""More entries than a server writes in a millisecond."""


class RedisAudit:
    """The role `Audit`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def append(self, text: str, *, keep: int) -> None:
        frozen = self._moments.frozen()
        moment = ["at", frozen] if frozen else []
        await self._client.call(
            "XADD", self._keys.audit, "MAXLEN", keep, "*", "body", text, *moment
        )

    async def page(self, *, before: int | None, limit: int) -> list[AuditLine]:
        end = "+" if before is None else "({}-{}".format(*divmod(before, _PLACES))
        found = await self._client.call("XREVRANGE", self._keys.audit, end, "-", "COUNT", limit)
        return [_line(entry_id, fields) for entry_id, fields in found]


def _line(entry_id: str, flat: list[str]) -> AuditLine:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    at_ms, place = map(int, entry_id.split("-"))
    return AuditLine(
        at_ms * _PLACES + place,
        whole(fields.get("at"), at_ms),
        fields.get("body", ""),
    )
