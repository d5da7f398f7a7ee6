"""Links that sign somebody in once, within minutes: for the one who has just started a server.

A link is kept like a session, under the hash of a random text, but with a kind of its own, so that
it is no session: only using it begins one. Any server of the store takes it, and only one does.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from toril.core.errors import InvalidOptionError
from toril.engine.contract import SessionRecord
from toril.web.access.keys import SETTINGS_NAME, digest_of
from toril.web.access.origins import refuse_cross_origin
from toril.web.access.port import Unauthenticated

if TYPE_CHECKING:
    from toril.app import App
    from toril.web.access.keyring import KeyRing
    from toril.web.access.sessions import Sessions, SignedIn

LASTS_S = 900
PREFIX = "link-"
"""Before the kind of who signs in, in place of a session's kind."""


class Links:
    """Makes and uses links."""

    def __init__(self, app: App, ring: KeyRing, sessions: Sessions) -> None:
        self._app = app
        self._ring = ring
        self._sessions = sessions

    async def for_key(self, name: str) -> str:
        """Return the secret of a link that signs in with a key, by the key's name.

        Raises:
            InvalidOptionError: There is no such key.
        """
        keys = await self._app.backend().access.keys()
        record = next((key for key in keys if key.name == name), None)
        if record is not None:
            return await self._keep("key", name, record.digest)
        own = self._app.settings.admin_key
        if name == SETTINGS_NAME and own is not None:
            return await self._keep("key", name, digest_of(own))
        raise InvalidOptionError(f"name={name!r}: there is no key of this name")

    async def for_user(self, name: str) -> str:
        """Return the secret of a link that signs a user in.

        Raises:
            InvalidOptionError: There is no such user.
        """
        user = await self._app.backend().access.find_user(name)
        if user is None:
            raise InvalidOptionError(f"name={name!r}: there is no user of this name")
        return await self._keep("user", name, user.stamp)

    async def use(self, connection: HTTPConnection, secret: str) -> SignedIn:
        """Begin the session that a link is for. The link is worth nothing from then on.

        Raises:
            Unauthenticated: It was used, has expired, or never was one; which is not said.
            Throttled: Too many have been none.
            CrossOrigin: A page of another site asks.
        """
        refuse_cross_origin(connection, self._sessions.trusted)
        digest = digest_of(secret[:200])
        access = self._app.backend().access

        async def find() -> SessionRecord | None:
            found = await access.find_session(digest)
            good = found is not None and found.kind.startswith(PREFIX)
            # Of several that use it at once, one removes it.
            return found if good and await access.remove_session(digest) else None

        found = await self._ring.counted(connection, digest, find)
        principal = found and await self._sessions.whose(
            found.kind.removeprefix(PREFIX), found.name, found.stamp
        )
        if not found or not principal:
            raise Unauthenticated("the link was used, or has expired")
        return await self._sessions.begin(connection, principal, found.stamp)

    async def _keep(self, kind: str, name: str, stamp: str) -> str:
        backend = self._app.backend()
        secret = secrets.token_urlsafe(24)
        expires_ms = backend.clock.now_ms() + LASTS_S * 1000
        await backend.access.add_session(
            SessionRecord(digest_of(secret), f"{PREFIX}{kind}", name, stamp, expires_ms)
        )
        return secret
