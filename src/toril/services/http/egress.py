"""Where requests may go: not to addresses of the own machine or network, unless they are allowed.

An address counts by what it is, not by how it is written: a name is judged by all addresses that it
resolves to, at the moment when a connection is made to one of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from toril.core.errors import InvalidOptionError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SETTING = "TORIL_EGRESS_ALLOW"

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class EgressPolicy:
    """Says which hosts and addresses may be connected to."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        """Make a policy.

        Parameters:
            allow: Networks (`10.1.0.0/16`), addresses and hosts (`hooks.internal`) that may be
                reached although they are not public.

        Raises:
            InvalidOptionError: One of them is none.
        """
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        for word in allow:
            self._add(word.strip())

    def _add(self, word: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(word))
            return
        except ValueError:
            pass
        host = plain_host(word)
        if not host or "/" in host or ":" in host or any(char.isspace() for char in host):
            raise InvalidOptionError(
                f"{SETTING}: {word!r}: expected a network such as 10.1.0.0/16, an address, or the"
                " name of a host"
            )
        self._hosts.add(host)

    def allows_host(self, host: str) -> bool:
        """Whether a host is allowed by its name, wherever it is."""
        return plain_host(host) in self._hosts

    def allows(self, address: str) -> bool:
        """Whether an address may be connected to. One that cannot be read may not."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        meant = _meant(found)
        if any(one in net for one in {found, meant} for net in self._networks
               if one.version == net.version):  # fmt: skip
            return True
        return meant.is_global and not meant.is_multicast and not meant.is_reserved

    def refusal(self, host: str, addresses: Iterable[str]) -> str:
        """Return why a host is refused, and the way out."""
        shown = ", ".join(sorted(set(addresses))[:3]) or "no address"
        what = host if shown == host else f"{host} ({shown})"
        return (
            f"{what} is private, loopback or link-local, where requests do not go; to allow it, put"
            f" the host or its network into {SETTING}"
        )


def plain_host(host: str) -> str:
    """Return a host's name as it is compared: in lower case, without the dot at the end."""
    return host.strip("[]").rstrip(".").lower()


def _meant(address: Address) -> Address:
    """Return the IPv4 address that one of IPv6 stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
