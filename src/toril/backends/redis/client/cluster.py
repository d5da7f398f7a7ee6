"""Which node of a Cluster has a key: slots, their owners, redirections.

No I/O: `topology.py` asks the nodes.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from toril.backends.redis.client.address import Endpoint

SLOTS = 16_384


def hash_tag(key: str) -> str:
    """Return the part of a key that decides its slot: what stands in the first braces, or all.

    Source:
        Redis Cluster specification, "Hash tags".
    """
    _, brace, rest = key.partition("{")
    tag, closing, _ = rest.partition("}")
    return tag if brace and closing and tag else key


@lru_cache(maxsize=8192)
def slot_of(key: str) -> int:
    """Return the slot of a key, from 0 to 16383: its hash tag's CRC16 modulo 16384.

    Source:
        Redis Cluster specification, "Key distribution model" and appendix A: CRC16-CCITT (XMODEM),
        which is what `binascii.crc_hqx` computes from 0.
    """
    return binascii.crc_hqx(hash_tag(key).encode(), 0) % SLOTS


_KEY_AT = {
    **dict.fromkeys(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"), 3),
    **dict.fromkeys(("BZMPOP", "BLMPOP"), 3),
    **dict.fromkeys(("ZMPOP", "LMPOP", "OBJECT", "MEMORY", "XINFO", "XGROUP"), 2),
}
"""Where the first key stands, where that is not 1."""
_KEYLESS = {
    "PING", "INFO", "TIME", "ROLE", "DBSIZE", "SCAN", "SCRIPT", "CLIENT", "CONFIG", "CLUSTER",
    "COMMAND", "ACL", "WAIT", "FLUSHALL", "FLUSHDB", "RANDOMKEY", "LASTSAVE", "PUBLISH",
    "FUNCTION", "LATENCY", "SLOWLOG", "DEBUG", "MULTI", "EXEC", "DISCARD", "ECHO", "KEYS",
}  # fmt: skip


def first_key(command: Sequence[Any]) -> str | None:
    """Return the first key of a command, which says where it goes; None if any node will do."""
    name = str(command[0]).upper()
    if name in _KEYLESS:
        return None
    if name in ("XREAD", "XREADGROUP"):
        words = [str(word).upper() for word in command]
        at = words.index("STREAMS") + 1 if "STREAMS" in words else len(command)
    else:
        at = _KEY_AT.get(name, 1)
    if at >= len(command):
        return None
    key = command[at]
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


class Slots:
    """Who has which slot, as far as is known. Shared by all loops of a client.

    It is replaced as a whole, or one slot at a time: no reader sees half of a change.
    """

    def __init__(self, owners: list[Endpoint | None]) -> None:
        self._owners = owners

    def owner(self, slot: int) -> Endpoint | None:
        """Return the node that has a slot; None if that is not known."""
        return self._owners[slot]

    def move(self, slot: int, endpoint: Endpoint) -> None:
        """Note that a node said who has a slot."""
        self._owners[slot] = endpoint

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return all nodes that have slots."""
        return tuple(dict.fromkeys(owner for owner in self._owners if owner is not None))


def parse_slots(reply: Iterable[Sequence[Any]], asked_host: str) -> Slots:
    """Return what the answer to `CLUSTER SLOTS` says.

    Parameters:
        reply: Ranges: first, last, the primary's host, port, id and more, then replicas.
        asked_host: The host that gave the answer: a node that does not know its own name leaves it
            out.
    """
    owners: list[Endpoint | None] = [None] * SLOTS
    for first, last, primary, *_ in reply:
        endpoint = (host_of(primary[0], asked_host), int(primary[1]))
        owners[first : last + 1] = [endpoint] * (last + 1 - first)
    return Slots(owners)


def host_of(said: Any, asked_host: str) -> str:
    """Return a node's host; one that does not know it says nothing, or `?`."""
    return asked_host if said in (None, "", "?") else str(said)


def parse_redirection(text: str, asked_host: str) -> tuple[int, Endpoint]:
    """Return the slot and the node of `MOVED 3999 127.0.0.1:6381` or `ASK …`."""
    _, slot, address, *_ = text.split(" ")
    host, _, port = address.rpartition(":")
    return int(slot), (host_of(host, asked_host), int(port))
