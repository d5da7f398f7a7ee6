"""Asks several nodes of a Cluster at once which node has which slot.

One node is not enough: a node on the small side of a partition does not know of later failovers.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from toril.backends.redis.client.address import Address, Endpoint
from toril.backends.redis.client.cluster import Slots, parse_slots
from toril.backends.redis.client.connecting import open_connection
from toril.backends.redis.client.connection import Connection, NotWrittenError
from toril.backends.redis.client.consensus import Answer, ask_at_once
from toril.backends.redis.client.protocol import ReplyError, pack
from toril.backends.redis.client.refusals import translate
from toril.core.errors import BackendError, StoreUnreachableError

ASK_NODE_S = 1.0
"""Time limit for the answers of all nodes together, in seconds."""
MOST_ASKED = 4
"""Most nodes asked at once."""


async def newest(
    address: Address,
    connections: Iterable[Connection],
    endpoints: Iterable[Endpoint],
    *,
    thorough: bool,
) -> Slots | None:
    """Ask some nodes and return the slots as the best informed knows them. None: no answer.

    Parameters:
        address: Credentials and time limits.
        connections: Connections to nodes. Silent ones are skipped.
        endpoints: More nodes, asked on new connections if no connection can be asked.
        thorough: Ask `endpoints` in any case: a server may have been replaced.
    """
    connected = [one for one in connections if not one.closed]
    answering = [one for one in connected if not one.full and not one.is_overdue]
    random.shuffle(answering)
    others: list[Endpoint] = []
    if thorough or not answering:
        have = {one.endpoint for one in connected}
        others = [endpoint for endpoint in dict.fromkeys(endpoints) if endpoint not in have]
        random.shuffle(others)
    asks = [ask(one) for one in answering] + [_ask_anew(address, one) for one in others]
    for ask_too_many in asks[MOST_ASKED:]:
        ask_too_many.close()
    asks = asks[:MOST_ASKED]
    best, _, _ = await ask_at_once(asks, timeout_s=ASK_NODE_S, enough=len(asks))
    return None if best is None else best.value


async def ask(connection: Connection) -> Answer[Slots]:
    """Ask one node which node has which slot.

    Its rank: it is not cut off from the others, as far as it knows; and the number of the last
    election that it has heard of.

    Raises:
        BackendError: It does not say.
    """
    try:
        both = pack(("CLUSTER", "SLOTS")) + pack(("CLUSTER", "INFO"))
        said, told = await connection.send_many(both, 2)
    except NotWrittenError:
        raise StoreUnreachableError(
            f"{connection.shown}: cannot be reached: it hung up.", sent=False
        ) from None
    if isinstance(said, ReplyError):
        if "cluster support disabled" in str(said):
            raise BackendError(
                f"{connection.shown}: this server is no node of a Cluster. Its URL begins with"
                " 'redis://'."
            )
        raise translate(str(said), connection.shown, user=connection.user)
    slots = parse_slots(said, connection.host)
    if not slots.endpoints:
        raise translate("CLUSTERDOWN no node has any slot", connection.shown)
    lines = [] if isinstance(told, ReplyError) else str(told).splitlines()
    info = dict(line.partition(":")[::2] for line in lines)
    epoch = info.get("cluster_current_epoch", "0")
    is_well = info.get("cluster_state", "ok") == "ok"
    return Answer((is_well, int(epoch)), slots)


async def _ask_anew(address: Address, endpoint: Endpoint) -> Answer[Slots]:
    connection, _ = await open_connection(address, endpoint)
    try:
        return await ask(connection)
    finally:
        connection.abort("it is not needed any more")
