"""Sessions of browsers: a random cookie, of which the store keeps the SHA-256 until it expires.

A session begins with a sign-in and never before, and always with a cookie that the browser did not
have: one that somebody has planted there is worth nothing. It ends with the sign-out, with the
password or the key that it began with, with the user, and in any case after some hours.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from starlette.requests import HTTPConnection

from toril.app import App
from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract import SessionRecord, UserRecord
from toril.engine.operations import acting
from toril.web.access.browsers import kept_agent
from toril.web.access.grants import MAX_NAME_CHARS
from toril.web.access.keyring import KeyRing
from toril.web.access.keys import digest_of, same
from toril.web.access.origins import refuse_cross_origin
from toril.web.access.passwords import Passwords
from toril.web.access.port import Principal, Throttled, Unauthenticated
from toril.web.access.throttle import Throttle, place_of
from toril.web.access.users import principal_of

log = logger("toril.access")

COOKIE = "toril"
SECURE_COOKIE = "__Host-toril"
"""Over TLS. Of a cookie of this kind a browser knows that this very host has set it."""
MAX_COOKIE_CHARS = 100
SEEN_EVERY_MS = 60_000
"""How often it is written down that a session is used."""
NOTED = 2_000
"""Of how many sessions a process remembers when it last wrote that down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session that has begun."""

    principal: Principal
    set_cookie: str
    """The header `Set-Cookie` of the answer."""


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(
        self,
        app: App,
        ring: KeyRing,
        passwords: Passwords,
        *,
        lifetime_s: float,
        trusted_origins: Collection[str],
        secure: bool | None,
    ) -> None:
        """Make them.

        Parameters:
            app: Whose store keeps them.
            ring: Finds keys, and counts wrong ones.
            passwords: Checks passwords.
            lifetime_s: After how long a session ends.
            trusted_origins: As in `refuse_cross_origin`.
            secure: Whether browsers reach the server by TLS. None: what each request says.
        """
        self._app = app
        self._ring = ring
        self._passwords = passwords
        self._lifetime_s = lifetime_s
        self.trusted = trusted_origins
        """Other origins whose pages may change something."""
        self._secure = secure
        clock = app.backend().clock
        # Somebody who guesses is slowed down for a name from one place, at a place for all names,
        # and for a name from all places; the last so gently that it locks nobody out for long.
        self._by_both = Throttle(clock, burst=5, every_s=60)
        self._by_place = Throttle(clock, burst=20, every_s=15)
        self._by_name = Throttle(clock, burst=50, every_s=30)
        # The store keeps each session for hours: nobody may fill it.
        self._begun = Throttle(clock, burst=100, every_s=30)
        self._noted_ms: OrderedDict[str, int] = OrderedDict()

    async def sign_in(self, connection: HTTPConnection, name: str, password: str) -> SignedIn:
        """Begin a session of a user.

        Raises:
            Unauthenticated: There is no such user, or it is another password; which is not said.
            Throttled: Too many were wrong.
            CrossOrigin: A page of another site asks.
        """
        refuse_cross_origin(connection, self.trusted)
        name = unicodedata.normalize("NFC", name)
        counts = self._counts(connection, name)
        waits = [throttle.wait_s(who) for throttle, who in counts]
        if max(waits) > 0:
            raise Throttled(max(waits))
        for throttle, who in counts:  # before it is checked: many may be checked at once
            throttle.charge(who)
        try:
            user, fits = await self._check(name, password)
        except Throttled:
            for throttle, who in counts:
                throttle.give_back(who)
            raise
        principal = principal_of(user) if user is not None and fits else None
        if user is None or principal is None:
            # A name that nobody has may be a password, typed into the wrong field.
            whom = "a name that nobody has" if user is None else repr(user.name)
            log.warning("a sign-in with %s was refused, from %s", whom, place_of(connection))
            raise Unauthenticated("there is no such user, or the password is another one")
        for throttle, who in counts:
            throttle.give_back(who)
        return await self.begin(connection, principal, user.stamp)

    async def sign_in_with_key(self, connection: HTTPConnection, key: str) -> SignedIn:
        """Begin a session of a key; errors as `sign_in`."""
        refuse_cross_origin(connection, self.trusted)
        principal = await self._ring.principal(connection, key)
        return await self.begin(connection, principal, digest_of(key))

    async def sign_out(self, connection: HTTPConnection) -> str:
        """End the session that a request belongs to; return the header `Set-Cookie`.

        Raises:
            CrossOrigin: A page of another site asks.
        """
        refuse_cross_origin(connection, self.trusted)
        await self._end(connection)
        return self._cookie(connection, "", 0)

    def cookie(self, connection: HTTPConnection) -> str | None:
        """Return what a request's cookie says; None if it has none."""
        return connection.cookies.get(self._name(connection))

    async def principal(self, connection: HTTPConnection, cookie: str) -> Principal | None:
        """Return whose session a cookie is; None if it is none, or none any more."""
        if not 0 < len(cookie) <= MAX_COOKIE_CHARS:
            return None
        digest = digest_of(cookie)
        access = self._app.backend().access
        session = await access.find_session(digest)
        if session is None or not same(session.digest, digest):
            return None
        found = await self.whose(session.kind, session.name, session.stamp)
        if found is not None:
            await self._note(connection, session)
        return found

    def current(self, connection: HTTPConnection) -> str | None:
        """Return the digest of the session that a request comes from; None if it has a key."""
        cookie = self.cookie(connection)
        if not cookie or len(cookie) > MAX_COOKIE_CHARS or "authorization" in connection.headers:
            return None
        return digest_of(cookie)

    async def whose(self, kind: str, name: str, stamp: str) -> Principal | None:
        """Return who a session or a link is for; None if it is nobody, or nobody any more.

        Parameters:
            kind: `key` or `user`. Any other is nobody.
            name: Of the key or the user.
            stamp: As in `SessionRecord`.
        """
        if kind == "key":
            found = await self._ring.find(stamp)
            return found if found is not None and found.name == name else None
        if kind != "user":
            return None
        user = await self._app.backend().access.find_user(name)
        if user is None or not same(user.stamp, stamp):
            return None
        return principal_of(user)

    async def _check(self, name: str, password: str) -> tuple[UserRecord | None, bool]:
        """Return the user of a name, and whether it is its password. Nobody takes as long."""
        access = self._app.backend().access
        known = 0 < len(name) <= MAX_NAME_CHARS and name.isprintable()
        user = await access.find_user(name) if known else None
        fits = await self._passwords.verify(user.password if user else None, password)
        if user is not None and fits and self._passwords.is_outdated(user.password):
            hashed = await self._passwords.hash(password)
            await access.set_password(
                name, password=hashed, stamp=user.stamp, expected=user.password
            )
        return user, fits

    async def begin(self, connection: HTTPConnection, principal: Principal, stamp: str) -> SignedIn:
        """Begin a session of somebody who has proved who it is.

        Parameters:
            connection: The request; the session that it belongs to ends.
            principal: Who.
            stamp: As in `SessionRecord`.

        Raises:
            Throttled: Too many sessions have begun.
        """
        if (wait_s := self._begun.wait_s(principal.actor)) > 0:
            raise Throttled(wait_s)
        self._begun.charge(principal.actor)
        await self._end(connection)
        backend = self._app.backend()
        now_ms = backend.clock.now_ms()
        token = secrets.token_urlsafe(32)
        session = SessionRecord(
            digest_of(token),
            principal.kind,
            principal.name,
            stamp,
            now_ms + round(self._lifetime_s * 1000),
            now_ms,
            now_ms,
            *_where(connection),
        )
        with acting(principal.actor):
            async with self._app.operating("sessions.begin", place=place_of(connection)):
                await backend.access.add_session(session)
        cookie = self._cookie(connection, token, round(self._lifetime_s))
        return SignedIn(principal=principal, set_cookie=cookie)

    async def _note(self, connection: HTTPConnection, session: SessionRecord) -> None:
        """Write down that a session is used, and from where, unless that was done a moment ago."""
        backend = self._app.backend()
        now_ms = backend.clock.now_ms()
        noted_ms = max(session.seen_ms or 0, self._noted_ms.get(session.digest, 0))
        if now_ms - noted_ms < SEEN_EVERY_MS:
            return
        # Before it is written: a page asks for several things at once, and one write will do.
        self._noted_ms[session.digest] = now_ms
        self._noted_ms.move_to_end(session.digest)
        if len(self._noted_ms) > NOTED:
            self._noted_ms.popitem(last=False)
        place, agent = _where(connection)
        seen = msgspec.structs.replace(session, seen_ms=now_ms, place=place, agent=agent)
        try:
            await backend.access.see_session(seen)
        except BackendError as error:  # a full disk is no reason to refuse who may only look
            log.warning("that a session is used could not be written down: %s", error)

    async def _end(self, connection: HTTPConnection) -> None:
        cookie = self.cookie(connection)
        if cookie is not None and len(cookie) <= MAX_COOKIE_CHARS:
            await self._app.backend().access.remove_session(digest_of(cookie))

    def _counts(self, connection: HTTPConnection, name: str) -> list[tuple[Throttle, object]]:
        place, short = place_of(connection), name[:MAX_NAME_CHARS]
        return [
            (self._by_both, (place, short)),
            (self._by_place, place),
            (self._by_name, short),
        ]

    def _is_secure(self, connection: HTTPConnection) -> bool:
        if self._secure is not None:
            return self._secure
        return connection.url.scheme in ("https", "wss")

    def _name(self, connection: HTTPConnection) -> str:
        return SECURE_COOKIE if self._is_secure(connection) else COOKIE

    def _cookie(self, connection: HTTPConnection, value: str, max_age_s: int) -> str:
        secure = "; Secure" if self._is_secure(connection) else ""
        return (
            f"{self._name(connection)}={value}; Path=/; Max-Age={max_age_s}; HttpOnly;"
            f" SameSite=Lax{secure}"
        )


def _where(connection: HTTPConnection) -> tuple[str, str]:
    """Return the address and the browser of a request, as they are kept."""
    return place_of(connection), kept_agent(connection.headers.get("user-agent", ""))
