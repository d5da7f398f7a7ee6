"""Asks several nodes of a Cluster at once which node has which slot.

One node is not enough: a node on the small side of a partition does not know of later failovers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import NamedTuple

from toril.backends.redis.address import Address, Place
from toril.backends.redis.cluster import Slots, parse_slots
from toril.backends.redis.connecting import open_link
from toril.backends.redis.link import Link, NotWrittenError
from toril.backends.redis.protocol import ReplyError, pack
from toril.backends.redis.replies import translate
from toril.core.errors import BackendError, StoreUnreachableError, TorilError

ASK_NODE_S = 1.0
"""Time limit for the answers of all nodes together, in seconds."""
MOST_ASKED = 4
"""Most nodes asked at once."""


class Word(NamedTuple):
    """One node's answer. Of several answers the largest wins."""

    is_well: bool
    """The node is not cut off from the others, as far as it knows."""
    epoch: int
    """The number of the last election that the node has heard of."""
    slots: Slots


async def newest(
    address: Address, links: Iterable[Link], places: Iterable[Place], *, thorough: bool
) -> Slots | None:
    """Ask some nodes and return the slots as the best informed knows them. None: no answer.

    Parameters:
        address: Credentials and time limits.
        links: Connections to nodes. Silent ones are skipped.
        places: More nodes, asked on new connections if no link can be asked.
        thorough: Ask `places` in any case: a server may have been replaced.
    """
    connected = [link for link in links if not link.closed]
    answering = [link for link in connected if not link.full and not link.is_overdue]
    random.shuffle(answering)
    others: list[Place] = []
    if thorough or not answering:
        have = {link.place for link in connected}
        others = [place for place in dict.fromkeys(places) if place not in have]
        random.shuffle(others)
    asks = [ask(link) for link in answering] + [_ask_anew(address, place) for place in others]
    for ask_too_many in asks[MOST_ASKED:]:
        ask_too_many.close()
    asked = [asyncio.ensure_future(one) for one in asks[:MOST_ASKED]]
    words: list[Word] = []
    try:
        for answer in asyncio.as_completed(asked, timeout=ASK_NODE_S):
            try:
                words.append(await answer)
            except TorilError:
                continue
    except TimeoutError:
        pass
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return max(words, key=lambda word: word[:2]).slots if words else None


async def ask(link: Link) -> Word:
    """Ask one node which node has which slot.

    Raises:
        BackendError: It does not say.
    """
    try:
        said, told = await link.send_many(pack(("CLUSTER", "SLOTS")) + pack(("CLUSTER", "INFO")), 2)
    except NotWrittenError:
        raise StoreUnreachableError(
            f"{link.shown}: cannot be reached: it hung up.", sent=False
        ) from None
    if isinstance(said, ReplyError):
        if "cluster support disabled" in str(said):
            raise BackendError(
                f"{link.shown}: this server is no node of a Cluster. Its URL begins with"
                " 'redis://'."
            )
        raise translate(str(said), link.shown, user=link.user)
    slots = parse_slots(said, link.host)
    if not slots.places:
        raise translate("CLUSTERDOWN no node has any slot", link.shown)
    lines = [] if isinstance(told, ReplyError) else str(told).splitlines()
    info = dict(line.partition(":")[::2] for line in lines)
    epoch = info.get("cluster_current_epoch", "0")
    return Word(info.get("cluster_state", "ok") == "ok", int(epoch), slots)


async def _ask_anew(address: Address, place: Place) -> Word:
    link, _ = await open_link(address, place)
    try:
        return await ask(link)
    finally:
        link.abort("it is not needed any more")
