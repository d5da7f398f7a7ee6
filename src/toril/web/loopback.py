"""The access of a server without keys: whoever is on this machine may do everything.

A mounted interface cannot know where its host application listens, so each request is looked at.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection

from toril.web.access.listening import OpenAccess, is_loopback
from toril.web.access.port import Principal, Unauthenticated

_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""Headers of a proxy: behind one everybody seems to be on this machine."""


class LoopbackOnly(OpenAccess):
    """Answers callers on this machine only."""

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Return who calls.

        Raises:
            Unauthenticated: It is not on this machine, or not known to be.
            CrossOrigin: As `OpenAccess`.
        """
        client = connection.client
        # A socket in the file system has no address: its permissions say who may connect.
        here = client is None or client.host == "" or is_loopback(client.host)
        if not here or any(name in connection.headers for name in _PASSED_ON):
            raise Unauthenticated(
                "without access control only callers on this machine are answered: give"
                " api(access=AccessControl(app))"
            )
        return await super().identify(connection)
