"""Counts failures by where they come from, in bounded memory, and says when to come back.

It knows nothing of keys and passwords, and nothing of other processes: each counts for itself.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable

from starlette.requests import HTTPConnection

from toril.core.clock import Clock

MOST = 10_000
"""How many callers are remembered; the ones that failed longest ago are forgotten first."""


class Throttle:
    """A few failures at once, then one every so often."""

    def __init__(self, clock: Clock, *, burst: int, every_s: float, most: int = MOST) -> None:
        """Make a throttle.

        Parameters:
            clock: Its stopwatch counts.
            burst: So many failures may follow each other at once.
            every_s: From then on one in so long.
            most: How many callers are remembered.
        """
        self._clock = clock
        self._every_ms = round(every_s * 1000)
        self._room_ms = burst * self._every_ms
        self._most = most
        self._paid_until_ms: OrderedDict[Hashable, int] = OrderedDict()
        """For each caller when all its failures will be forgotten."""

    def wait_s(self, who: Hashable) -> float:
        """Return for how long a caller has to wait. 0: it may try."""
        now_ms = self._clock.steady_ms()
        until_ms = self._paid_until_ms.get(who, now_ms)
        return max(0, until_ms + self._every_ms - now_ms - self._room_ms) / 1000

    def charge(self, who: Hashable) -> None:
        """Count a failure."""
        now_ms = self._clock.steady_ms()
        until_ms = max(self._paid_until_ms.pop(who, now_ms), now_ms)
        self._paid_until_ms[who] = min(until_ms, now_ms + self._room_ms) + self._every_ms
        while len(self._paid_until_ms) > self._most:
            self._paid_until_ms.popitem(last=False)

    def give_back(self, who: Hashable) -> None:
        """Take one failure back: it was none."""
        if who in self._paid_until_ms:
            self._paid_until_ms[who] -= self._every_ms

    def __len__(self) -> int:
        return len(self._paid_until_ms)


def place_of(connection: HTTPConnection) -> str:
    """Return where a request comes from: an address, or the network of one in IPv6.

    Whoever has one address of IPv6 has 2 to the power of 64 of them.
    """
    host = connection.client.host if connection.client is not None else "local"
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "".join(char if char.isprintable() else "?" for char in host[:100])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
