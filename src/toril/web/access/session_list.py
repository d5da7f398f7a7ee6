"""Who is signed in with which browser: the sessions that count, listed and ended.

How a session begins and who it is, `sessions.py` knows. Here no server has to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from toril.app import App
from toril.core.clock import moment, moment_or_none
from toril.engine.contract import SessionRecord
from toril.web.access.browsers import browser_name
from toril.web.access.grants import composed
from toril.web.access.keys import SETTINGS_NAME, digest_of, is_expired

ID_CHARS = 16
"""How much of a session's digest is its id: nobody has so many sessions that two would be alike."""

Person = tuple[str, str]
"""Kind and name: a user, or a key with which somebody has signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A browser that is signed in."""

    id: str
    """By which it is ended. It lets nobody in."""
    kind: str
    """`user` or `key`."""
    name: str
    """Of the user or the key."""
    begun_at: datetime | None
    """None: an earlier version began it."""
    seen_at: datetime | None
    """When it was last used, to about a minute. None: not since an earlier version."""
    expires_at: datetime
    place: str
    """From where it was last used: an address, in IPv6 the network of one. Empty: not known."""
    browser: str
    """Such as `Firefox 140, Linux`. Empty: not known."""
    agent: str
    """What the browser called itself."""
    current: bool
    """It is the session of the one who asks."""


class SessionList:
    """The sessions of a store."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def list(
        self, kind: str | None = None, name: str | None = None, *, current: str | None = None
    ) -> list[SessionInfo]:
        """Return the sessions that count, the one seen last first.

        Parameters:
            kind: Only those of users (`user`), or of keys (`key`). None: of both.
            name: Only those of this user or key. None: of all.
            current: The digest of the session that asks.
        """
        return [_info(one, current) for one in await _good(self._app, kind, name)]

    async def end(self, session_id: str, person: Person | None = None) -> bool:
        """End a session, whose next request is refused; return whether it was there.

        Parameters:
            session_id: `SessionInfo.id`.
            person: Only if it is this one's. None: whoever has it.
        """
        found = await _good(self._app, *(person or (None, None)))
        session = next((one for one in found if one.digest[:ID_CHARS] == session_id), None)
        if session is None:
            return False
        async with self._app.operating(
            "sessions.end", kind=session.kind, name=session.name, id=session_id
        ) as doing:
            doing.changed = await self._app.backend().access.remove_session(session.digest)
        return doing.changed

    async def end_all(self, kind: str, name: str, *, keep: str | None = None) -> int | None:
        """End all sessions of somebody; return how many. None: there is no such user or key.

        Parameters:
            kind: `user` or `key`.
            name: Of the user or the key.
            keep: The digest of one that goes on. None: none does.
        """
        name = composed(name)
        if not await _stamps(self._app, kind, name):
            return None
        async with self._app.operating(
            "sessions.end_all", kind=kind, name=name, others=keep is not None
        ) as doing:
            ended = await self._app.backend().access.remove_sessions(kind, name, keep=keep)
            doing.arguments["ended"] = ended
            doing.changed = ended > 0
        return ended


async def _good(app: App, kind: str | None, name: str | None) -> list[SessionRecord]:
    """Return sessions that let somebody in, the one seen last first.

    Not those of an old password, or of a key that has ended.
    """
    stamps = await _stamps(app, kind, None if name is None else composed(name))
    found = await app.backend().access.sessions(list(stamps))
    good = [one for one in found if stamps[one.kind, one.name] == one.stamp]
    return sorted(good, key=lambda one: (-(one.seen_ms or 0), one.digest))


async def _stamps(app: App, kind: str | None, name: str | None) -> Mapping[Person, str]:
    """Return what the good sessions of some people are known by."""
    backend = app.backend()
    stamps: dict[Person, str] = {}
    if kind in (None, "user"):
        if name is None:
            users = await backend.access.users()
        else:
            user = await backend.access.find_user(name)
            users = [] if user is None else [user]
        stamps |= {("user", user.name): user.stamp for user in users}
    if kind in (None, "key"):
        own = app.settings.admin_key
        now_ms = backend.clock.now_ms()
        keys = await backend.access.keys()
        stamps |= {("key", key.name): key.digest for key in keys if not is_expired(key, now_ms)}
        stamps |= {} if own is None else {("key", SETTINGS_NAME): digest_of(own)}
    return {person: stamp for person, stamp in stamps.items() if name in (None, person[1])}


def _info(session: SessionRecord, current: str | None) -> SessionInfo:
    return SessionInfo(
        id=session.digest[:ID_CHARS],
        kind=session.kind,
        name=session.name,
        begun_at=moment_or_none(session.begun_ms),
        seen_at=moment_or_none(session.seen_ms),
        expires_at=moment(session.expires_ms),
        place=session.place,
        browser=browser_name(session.agent),
        agent=session.agent,
        current=session.digest == current,
    )
