"""Users with passwords: people who sign in with a browser."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from toril.app import App
from toril.core.clock import moment
from toril.core.errors import InvalidOptionError
from toril.engine.contract import UserRecord
from toril.web.access.grants import check_name, composed, grant, role_of
from toril.web.access.passwords import Passwords
from toril.web.access.port import Principal, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo:
    """A user without the password."""

    name: str
    role: str
    queues: tuple[str, ...] | None
    payloads: bool
    created_at: datetime


class Users:
    """The users of a store."""

    def __init__(self, app: App, passwords: Passwords | None = None) -> None:
        self._app = app
        self._passwords = passwords or Passwords()

    async def list(self) -> list[UserInfo]:
        """Return all users, by name."""
        return [
            UserInfo(
                name=user.name,
                role=user.grant.role,
                queues=user.grant.queues,
                payloads=user.grant.payloads,
                created_at=moment(user.created_ms),
            )
            for user in await self._app.backend().access.users()
        ]

    async def add(
        self,
        name: str,
        password: str,
        *,
        role: Role | str,
        queues: Iterable[str] | None = None,
        payloads: bool = False,
    ) -> None:
        """Add a user.

        Parameters:
            name: Who signs in.
            password: 12 characters or more.
            role: What the user may do.
            queues: Only these: names, or patterns with `*`. None: all.
            payloads: Whether the user may see what jobs carry.

        Raises:
            InvalidOptionError: An argument makes no sense, or there is a user of this name.
        """
        name = check_name(name)
        given = grant(role, queues, payloads)
        hashed = await self._passwords.hash(password)
        backend = self._app.backend()
        user = UserRecord(name, hashed, new_stamp(), given, backend.clock.now_ms())
        async with self._app.operating(
            "users.add", name=name, role=given.role, queues=given.queues, payloads=given.payloads
        ) as doing:
            doing.changed = await backend.access.add_user(user)
        if not doing.changed:
            raise InvalidOptionError(
                f"name={name!r}: there is a user of this name; remove it first, or choose another"
            )

    async def set_password(self, name: str, password: str) -> bool:
        """Give a user another password; return whether there is one. All its sessions end."""
        hashed = await self._passwords.hash(password)
        async with self._app.operating("users.password", name=name) as doing:
            doing.changed = await self._app.backend().access.set_password(
                composed(name), password=hashed, stamp=new_stamp()
            )
        return doing.changed

    async def remove(self, name: str) -> bool:
        """Forget a user; return whether it was there. All its sessions end."""
        async with self._app.operating("users.remove", name=name) as doing:
            doing.changed = await self._app.backend().access.remove_user(composed(name))
        return doing.changed


def new_stamp() -> str:
    """Return what sessions of a password are known by."""
    return secrets.token_hex(16)


def principal_of(user: UserRecord) -> Principal | None:
    """Return who a user is; None if this version does not know the role."""
    role = role_of(user.grant)
    if role is None:
        return None
    return Principal(user.name, "user", role, user.grant.queues, user.grant.payloads)
