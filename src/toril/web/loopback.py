"""The access of a server without keys: whoever is on this machine may do everything."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import HTTPConnection

from toril.web.access.port import CrossOrigin, Principal, Role, Unauthenticated

LOCAL = Principal("local", "host", Role.ADMIN, None, True)

_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers of a proxy: behind one everybody seems to be on this machine."""


class LoopbackOnly:
    """Answers callers on this machine only."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Return who calls.

        Raises:
            Unauthenticated: It is not on this machine, or not known to be.
        """
        client = connection.client
        # A Unix socket has no address: who may open it is a matter of its file.
        here = client is None or client.host == "" or _is_loopback(client.host)
        if not here or any(name in connection.headers for name in _PASSED_ON):
            raise Unauthenticated(
                "without keys only callers on this machine are answered: give api(access=...)"
            )
        # A page of another site may have its name lead here; its requests carry that name.
        host = connection.url.hostname or ""
        if host != "localhost" and not _is_loopback(host):
            raise CrossOrigin(f"host {host[:100]!r} is not this machine: ask localhost")
        if connection.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise CrossOrigin("a page of another site asks: this server answers its own only")
        return LOCAL


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
