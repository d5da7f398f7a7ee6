"""Access control: who calls, by key, by session, or by what the host application says."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import msgspec
from starlette.requests import HTTPConnection

from toril.app import App
from toril.core.checks import require
from toril.core.durations import seconds
from toril.web.access.keyring import KeyRing
from toril.web.access.keys import Keys, digest_of
from toril.web.access.links import Links
from toril.web.access.origins import check_origins, refuse_cross_origin
from toril.web.access.passwords import Passwords
from toril.web.access.port import Principal, Unauthenticated
from toril.web.access.sessions import Sessions
from toril.web.access.users import Users

HostUsers = Callable[[HTTPConnection], Principal | Awaitable[Principal | None] | None]
"""Says who calls by what the host application knows. None: it does not know."""


class AccessControl:
    """Who may use a server: keys, users, sessions, and the host application's own users."""

    def __init__(
        self,
        app: App,
        *,
        host_users: HostUsers | None = None,
        session: float | timedelta = 12 * 3600.0,
        trusted_origins: Collection[str] = (),
        secure_cookies: bool | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        """Make it. The app's store is opened.

        Parameters:
            app: Whose store keeps keys, users and sessions.
            host_users: Asked first, with the ASGI connection: a plain or asynchronous function.
            session: After how long a browser has to sign in again, in seconds or as a timedelta.
            trusted_origins: Other origins whose pages may change something with the browser's
                session, such as `https://ops.example`.
            secure_cookies: Whether browsers come by TLS. None: what each request says; behind a
                proxy that does TLS, this needs its `X-Forwarded-Proto`.
            passwords: Other costs of a password's hash.

        Raises:
            InvalidOptionError: An argument makes no sense.
            BackendError: The store cannot be opened.
        """
        session_s = seconds(session, "session")
        require(60 <= session_s <= 90 * 86_400, "session", session, "a minute to 90 days")
        self._host_users = host_users
        self._trusted = check_origins(trusted_origins)
        self._ring = KeyRing(app)
        checked = passwords or Passwords()
        self.keys = Keys(app)
        self.users = Users(app, checked)
        self.sessions = Sessions(
            app,
            self._ring,
            checked,
            lifetime_s=session_s,
            trusted_origins=self._trusted,
            secure=secure_cookies,
        )

        self.links = Links(app, self._ring, self.sessions)

    async def identify(self, connection: HTTPConnection) -> Principal:
        """Return who calls; errors as `Access.identify`.

        A stream that stays open asks again every so often: a key or a session may end meanwhile.
        """
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer"
        host = await self._ask_host(connection)
        if host is not None:
            # A browser sends by itself all but a bearer token; and who knows which the host took.
            if not bearer or connection.cookies:
                refuse_cross_origin(connection, self._trusted, browsers_only=bearer)
            return host
        if bearer:
            return await self._ring.principal(connection, secret.strip())
        if scheme:
            raise Unauthenticated(
                "Authorization: expected 'Bearer KEY' with a key that `toril keys add` has made"
            )
        cookie = self.sessions.cookie(connection)
        if not cookie:
            raise Unauthenticated(
                "nobody is known: send 'Authorization: Bearer KEY' with a key that"
                " `toril keys add` has made, or sign in"
            )
        refuse_cross_origin(connection, self._trusted)
        found = await self._ring.counted(
            connection, digest_of(cookie), lambda: self.sessions.principal(connection, cookie)
        )
        if found is None:
            raise Unauthenticated("the session has ended: sign in again")
        return found

    async def _ask_host(self, connection: HTTPConnection) -> Principal | None:
        if self._host_users is None:
            return None
        answer = self._host_users(connection)
        principal = await answer if inspect.isawaitable(answer) else answer
        require(
            principal is None or isinstance(principal, Principal),
            "host_users",
            type(principal).__name__,
            "a function that returns a Principal, or None",
        )
        return None if principal is None else msgspec.structs.replace(principal, kind="host")
