"""Keys, users and sessions behind a server."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec

from toril.client import ApiError, AsyncClient
from toril.rest.answers import Done, SessionLine, UserLine
from toril.web.access.keys import KeyInfo
from toril.web.access.session_list import SessionInfo
from toril.web.access.users import UserInfo


class RemoteKeys:
    """The keys behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> list[KeyInfo]:
        """Return all keys, by name."""
        return [
            KeyInfo(
                name=key.name,
                role=key.role,
                queues=None if key.queues is None else tuple(key.queues),
                payloads=key.payloads,
                created_at=key.created_at,
                expires_at=key.expires_at,
                expired=key.expired,
            )
            for key in (await self._client.list_keys()).items
        ]

    async def add(
        self,
        name: str,
        *,
        role: Any,
        queues: Iterable[str] | None,
        payloads: bool,
        expires: float | None,
    ) -> str:
        """Make a key and return it."""
        made = await self._client.add_key(
            name,
            role,
            queues=None if queues is None else [*queues],
            payloads=payloads,
            expires_s=expires,
        )
        return made.key

    async def remove(self, name: str) -> bool:
        """Forget a key."""
        return await _was_there(self._client.remove_key(name))


class RemoteUsers:
    """The users behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> list[UserInfo]:
        """Return all users, by name."""
        return [_user(line) for line in (await self._client.list_users()).items]

    async def add(
        self, name: str, password: str, *, role: Any, queues: Iterable[str] | None, payloads: bool
    ) -> None:
        """Add a user."""
        limited = None if queues is None else [*queues]
        await self._client.add_user(name, password, role, queues=limited, payloads=payloads)

    async def change(self, name: str, *, role: Any, queues: Any, payloads: Any) -> UserInfo | None:
        """Give a user other rights; None: there is no such user."""
        limited = [*queues] if isinstance(queues, tuple) else queues
        try:
            line = await self._client.change_user(
                name, role=role, queues=limited, payloads=payloads
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return _user(line)

    async def set_password(self, name: str, password: str) -> bool:
        """Give a user another password."""
        return await _was_there(self._client.set_password(name, password))

    async def remove(self, name: str, *, last: bool) -> bool:
        """Forget a user."""
        return await _was_there(self._client.remove_user(name, last=last))


class RemoteSessions:
    """The sessions behind a server."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self, kind: Any, name: str | None, *, mine: bool = False) -> list[SessionInfo]:
        """Return sessions, the one seen last first; `mine`: those of the key that asks."""
        if mine:
            found = await self._client.list_my_sessions()
        else:
            found = await self._client.list_sessions(kind=kind, name=name)
        return [_session(line) for line in found.items]

    async def end(self, session_id: str) -> bool:
        """End a session."""
        return await _was_there(self._client.end_session(session_id))

    async def end_all(self, kind: Any, name: str) -> int | None:
        """End all sessions of somebody; None: there is no such user or key."""
        try:
            return (await self._client.end_sessions(name, kind=kind)).count
        except ApiError as error:
            if error.status == 404:
                return None
            raise


def _user(line: UserLine) -> UserInfo:
    return UserInfo(
        name=line.name,
        role=line.role,
        queues=None if line.queues is None else tuple(line.queues),
        payloads=line.payloads,
        created_at=line.created_at,
        version=line.version,
    )


def _session(line: SessionLine) -> SessionInfo:
    return SessionInfo(**msgspec.structs.asdict(line))


async def _was_there(answer: Awaitable[Done]) -> bool:
    """Whether something was there to be changed."""
    try:
        await answer
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True
