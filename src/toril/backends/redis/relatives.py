"""Who else is on a queue, and what that means: Bull 4, BullMQ 5, BullMQ 6 and later, Toril.

Known by keys (`meta.version`, what Bull 4 leaves) and by the names and the last commands of
connections. Also compares addresses: workers of the same queue elsewhere on the server.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from toril.backends.redis.client import Client
from toril.backends.redis.client.server_info import parse_info
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script
from toril.core.errors import BackendError, StoreDeniedError
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.lifecycle import Finding
from toril.engine.states import READY, State

SCAN_COUNT = 1000
BULL_COMMANDS = frozenset({"brpoplpush", "blmove"})
"""What the connection of an idle worker of Bull 4 was asked last. BullMQ's: `bzpopmin`."""

_VERSION = re.compile(r"(bullmq|toril):(\d+)\.")
_FIELD = re.compile(r"(\w[\w-]*)=(\S*)")


class Connection(NamedTuple):
    """A connection that shows a worker: its name says of which queue."""

    prefix: str
    queue: str
    worker_id: str
    """Empty: it has no name of its own."""
    db: int
    is_bull: bool


async def connections(client: Client) -> list[Connection] | None:
    """Return the connections of all workers on the server; None if the user may not ask."""
    found = []
    try:
        for node in await client.nodes():
            for line in str(await node.call("CLIENT", "LIST")).splitlines():
                fields = dict(_FIELD.findall(line))
                shown = _worker_of(fields.get("name", ""))
                if shown is not None:
                    db = int(fields.get("db", "0"))
                    found.append(Connection(*shown, db, fields.get("cmd") in BULL_COMMANDS))
    except BackendError:
        return None
    return found


def _worker_of(name: str) -> tuple[str, str, str] | None:
    """Return prefix, queue and worker of a connection's name; None: it is no worker's."""
    base, _, worker_id = name.partition(":w:")
    prefix, colon, encoded = base.rpartition(":")
    try:
        queue = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return (prefix, queue, worker_id) if colon and queue else None


class Relatives:
    """Looks at who uses the queues; changes nothing."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def findings(
        self,
        queues: Iterable[QueueRecord],
        workers: Sequence[Connection],
        served: Mapping[str, set[str]],
    ) -> list[Finding]:
        """Return what is to be said.

        Parameters:
            queues: Those of the store.
            workers: All connections that show workers.
            served: For each queue that Toril's workers serve, their ids.
        """
        found = []
        for queue in queues:
            here = [one for one in workers if one.queue == queue.name and self._is_here(one)]
            theirs = [one for one in here if one.worker_id not in served.get(queue.name, ())]
            found += await self._company(queue, theirs, bool(served.get(queue.name)))
            if not here and queue.name not in served:
                found += self._served_elsewhere(queue, workers)
        return found + await self._filled_elsewhere(list(served))

    def _is_here(self, worker: Connection) -> bool:
        return worker.prefix == self._keys.prefix and worker.db == self._client.address.db

    async def _company(
        self, queue: QueueRecord, theirs: Sequence[Connection], ours: bool
    ) -> list[Finding]:
        meta = self._keys.meta(queue.name)
        bull, signed = await self._client.run(
            script("look_for_bull"), [meta], self._moments.frozen(), "no"
        )
        version = _VERSION.match(signed or "")
        major = int(version[2]) if version and version[1] == "bullmq" else 0
        is_bull = bool(bull) or any(one.is_bull for one in theirs)
        names = ["Bull 4"] if is_bull else []
        if 0 < major < 6:
            names.append(f"BullMQ {major}")
        elif major or any(not one.is_bull for one in theirs):
            names.append(f"BullMQ {major}" if major else "BullMQ")
        if not names:
            return []
        if ours or (version and version[1] == "toril"):
            names.append("Toril")
        texts = [f"used by {', '.join(names)}"]
        if is_bull:
            texts.append(
                "Bull 4 wakes nobody, so idle workers of Toril look every second; workers of Bull 4"
                " never see a job that Toril or BullMQ added with a priority"
            )
        if 0 < major < 6:
            texts.append(
                f"BullMQ {major} sets jobs aside when it pauses: let no BullMQ of version 6 or"
                " newer add meanwhile, whose jobs its resume would lose"
            )
        unseen = queue.counts[State.PRIORITIZED]
        if is_bull and unseen and not ours and all(one.is_bull for one in theirs):
            texts.append(
                f"jobs with a priority, which no worker here will take: {unseen:,}. Set it to 0, or"
                " start a worker of Toril"
            )
            return [Finding(f"company of {queue.name}", "warning", "; ".join(texts))]
        return [Finding(f"company of {queue.name}", "ok", "; ".join(texts))]

    def _served_elsewhere(self, queue: QueueRecord, workers: Sequence[Connection]) -> list[Finding]:
        """Say where the workers of a queue are that has jobs in line, and none here."""
        places = {(one.db, one.prefix) for one in workers if one.queue == queue.name}
        if not places or not sum(queue.counts[state] for state in READY):
            return []
        there = " and ".join(f"database {db} under {prefix!r}" for db, prefix in sorted(places))
        text = (
            f"its jobs are in {self._here()}, and workers of a queue of this name are at {there}:"
            " give both the same database and prefix"
        )
        return [Finding(f"address of {queue.name}", "warning", text)]

    async def _filled_elsewhere(self, served: Sequence[str]) -> list[Finding]:
        """Say where jobs of queues lie that workers serve here, and nobody has ever filled."""
        counters = [self._keys.of(queue, "id") for queue in served]
        given = await self._client.many([["EXISTS", counter] for counter in counters])
        empty = [queue for queue, known in zip(served, given, strict=True) if not known]
        if not empty:
            return []
        others = await self._other_prefixes(set(empty))
        databases = await self._other_databases()
        found = []
        for queue in sorted(empty):
            places = [f"under {prefix!r} of this database" for prefix in sorted(others[queue])]
            if not places:
                continue
            text = (
                f"workers serve it in {self._here()}, where no job was ever added; jobs of a queue"
                f" of this name lie {' and '.join(places)}: give both the same prefix"
            )
            found.append(Finding(f"address of {queue}", "warning", text))
        if databases:
            text = (
                f"no job was ever added to {', '.join(sorted(empty))} in {self._here()}; there are"
                f" keys in {', '.join(databases)} too: do the producers use the same number?"
            )
            found.append(Finding("databases", "ok", text))
        return found

    async def _other_prefixes(self, queues: set[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {queue: set() for queue in queues}
        try:
            for node in await self._client.nodes():
                cursor = "0"
                while True:
                    cursor, keys = await node.call(
                        "SCAN", cursor, "MATCH", "*:id", "COUNT", SCAN_COUNT
                    )
                    for key in keys:
                        prefix, _, queue = key[: -len(":id")].rpartition(":")
                        if queue in found and prefix != self._keys.prefix:
                            found[queue].add(prefix)
                    if cursor == "0":
                        break
        except StoreDeniedError:
            pass
        return found

    async def _other_databases(self) -> list[str]:
        try:
            (node, *_) = await self._client.nodes()
            fields = parse_info(await node.call("INFO", "keyspace"), node.name).fields
        except StoreDeniedError:
            return []
        mine = f"db{self._client.address.db}"
        names = [name for name in fields if re.fullmatch(r"db\d+", name) and name != mine]
        return [f"database {name.removeprefix('db')}" for name in names]

    def _here(self) -> str:
        return f"database {self._client.address.db} under {self._keys.prefix!r}"
