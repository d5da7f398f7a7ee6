"""Finds who a key is, and slows down those who send wrong ones.

A wrong key costs one look into the store, until its place has sent too many: then it costs none.
Keys that were right a moment ago go on from such a place, so that no neighbour locks them out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import HTTPConnection

from toril.app import App
from toril.core.loggers import logger
from toril.web.access.keys import (
    MAX_KEY_CHARS,
    SETTINGS_NAME,
    digest_of,
    is_expired,
    principal_of,
    same,
)
from toril.web.access.port import Principal, Role, Throttled, Unauthenticated
from toril.web.access.throttle import Throttle, place_of

log = logger("toril.access")

T = TypeVar("T")

WELL_KNOWN = 2_000
"""How many digests that were right are remembered."""
ANYWHERE = "anywhere"


class KeyRing:
    """The keys of an app's store, and the one of its settings."""

    def __init__(self, app: App) -> None:
        self._app = app
        clock = app.backend().clock
        own = app.settings.admin_key
        self._own_digest = None if own is None else digest_of(own)
        self._by_place = Throttle(clock, burst=10, every_s=6)
        self._in_all = Throttle(clock, burst=200, every_s=0.1)
        self._were_right: OrderedDict[str, None] = OrderedDict()

    async def principal(self, connection: HTTPConnection, key: str) -> Principal:
        """Return who a key is.

        Raises:
            Unauthenticated: Nobody: it is wrong, was removed or has expired, which is not said.
            Throttled: Too many were wrong.
        """
        digest = digest_of(key[: MAX_KEY_CHARS + 1])

        async def find() -> Principal | None:
            return None if len(key) > MAX_KEY_CHARS else await self.find(digest)

        found = await self.counted(connection, digest, find)
        if found is None:
            raise Unauthenticated(
                "the key is not known, or has expired: send 'Authorization: Bearer KEY' with one"
                " that `toril keys add` has made"
            )
        return found

    async def counted(
        self,
        connection: HTTPConnection,
        digest: str,
        find: Callable[[], Awaitable[T | None]],
    ) -> T | None:
        """Look somebody up, unless too many from there were nobody.

        Parameters:
            connection: The request.
            digest: Of the secret that it has sent.
            find: Looks it up.

        Raises:
            Throttled: Too many.
        """
        place = place_of(connection)
        if digest not in self._were_right:
            wait_s = max(self._by_place.wait_s(place), self._in_all.wait_s(ANYWHERE))
            if wait_s > 0:
                raise Throttled(wait_s)
        found = await find()
        if found is not None:
            self._were_right[digest] = None
            self._were_right.move_to_end(digest)
            if len(self._were_right) > WELL_KNOWN:
                self._were_right.popitem(last=False)
            return found
        self._were_right.pop(digest, None)
        self._by_place.charge(place)
        self._in_all.charge(ANYWHERE)
        if self._by_place.wait_s(place) > 0:
            log.warning("too many wrong keys from %s: no more are looked up for a while", place)
        return None

    async def find(self, digest: str) -> Principal | None:
        """Return who the key of a digest is; None if it is nobody, or nobody any more."""
        if self._own_digest is not None and same(self._own_digest, digest):
            return Principal(SETTINGS_NAME, "key", Role.ADMIN, None, True)
        backend = self._app.backend()
        key = await backend.access.find_key(digest)
        if key is None or not same(key.digest, digest) or is_expired(key, backend.clock.now_ms()):
            return None
        return principal_of(key)
