"""Users with passwords: people who sign in with a browser."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from toril.app import App
from toril.core.clock import moment
from toril.core.errors import InvalidOptionError, UserConflictError
from toril.engine.contract import Grant, UserRecord
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
    version: str
    """Changes with the rights: give it to `Users.change` to change these and no others."""


class Users:
    """The users of a store."""

    def __init__(self, app: App, passwords: Passwords | None = None) -> None:
        self._app = app
        self._passwords = passwords or Passwords()

    async def list(self) -> list[UserInfo]:
        """Return all users, by name."""
        return [_info(user) for user in await self._app.backend().access.users()]

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

    async def change(
        self,
        name: str,
        *,
        role: Role | str | UnsetType = UNSET,
        queues: Iterable[str] | UnsetType | None = UNSET,
        payloads: bool | UnsetType = UNSET,
        version: str | None = None,
    ) -> UserInfo | None:
        """Give a user other rights, which its sessions have with their next request.

        Parameters:
            name: Whose. What is left out of the others stays as it is.
            role: What the user may do.
            queues: Only these: names, or patterns with `*`. None: all.
            payloads: Whether the user may see what jobs carry.
            version: Only if the rights are still those of this `UserInfo.version`. None: whatever
                they are.

        Returns:
            The user as it is now. None: there is none of this name.

        Raises:
            InvalidOptionError: An argument makes no sense, or none is given.
            UserConflictError: Somebody has changed them meanwhile; or it is the last user who is an
                administrator for all queues, and would be none.
        """
        if role is UNSET and queues is UNSET and payloads is UNSET:
            raise InvalidOptionError(
                "role=None: nothing to change: give at least one of role, queues and payloads"
            )
        access = self._app.backend().access
        user = await access.find_user(composed(name))
        if user is None:
            return None
        old = user.grant
        given = grant(
            old.role if role is UNSET else role,
            old.queues if queues is UNSET else queues,
            old.payloads if payloads is UNSET else payloads,
        )
        if version is not None and version != _version(old):
            raise _changed_meanwhile(user.name)
        async with self._app.operating("users.change", name=user.name) as doing:
            doing.before, doing.after = _facts(old), _facts(given)
            doing.changed = given != old
            answer = await access.change_user(
                user.name, given, expected=old, keep_one=str(Role.ADMIN)
            )
            if answer == "last":
                raise _last_one(user.name)
            if answer == "outdated":
                raise _changed_meanwhile(user.name)
            doing.changed &= answer == "done"
        changed = msgspec.structs.replace(user, grant=given)
        return _info(changed) if answer == "done" else None

    async def set_password(self, name: str, password: str) -> bool:
        """Give a user another password; return whether there is one. All its sessions end."""
        hashed = await self._passwords.hash(password)
        async with self._app.operating("users.password", name=name) as doing:
            doing.changed = await self._app.backend().access.set_password(
                composed(name), password=hashed, stamp=new_stamp()
            )
        return doing.changed

    async def remove(self, name: str, *, last: bool = False) -> bool:
        """Forget a user; return whether it was there. All its sessions end.

        Parameters:
            name: Whose.
            last: Also the last user who is an administrator for all queues.

        Raises:
            UserConflictError: It is that one, without `last`.
        """
        keep_one = None if last else str(Role.ADMIN)
        async with self._app.operating("users.remove", name=name) as doing:
            answer = await self._app.backend().access.remove_user(composed(name), keep_one=keep_one)
            if answer == "last":
                raise _last_one(name)
            doing.changed = answer == "done"
        return doing.changed


def _info(user: UserRecord) -> UserInfo:
    return UserInfo(
        name=user.name,
        role=user.grant.role,
        queues=user.grant.queues,
        payloads=user.grant.payloads,
        created_at=moment(user.created_ms),
        version=_version(user.grant),
    )


def _version(kept: Grant) -> str:
    return hashlib.sha256(msgspec.json.encode(kept)).hexdigest()[:16]


def _facts(kept: Grant) -> Mapping[str, Any]:
    """Return what the audit log says of rights."""
    return {"role": kept.role, "queues": kept.queues, "payloads": kept.payloads}


def _changed_meanwhile(name: str) -> UserConflictError:
    return UserConflictError(
        f"user {name!r}: somebody has changed these rights meanwhile, so they stay as they are now:"
        " look at them, then change them again",
        code="changed_meanwhile",
    )


def _last_one(name: str) -> UserConflictError:
    return UserConflictError(
        f"user {name!r} is the last one who is an administrator for all queues, and stays so: make"
        " another user one first",
        code="last_administrator",
    )


def new_stamp() -> str:
    """Return what sessions of a password are known by."""
    return secrets.token_hex(16)


def principal_of(user: UserRecord) -> Principal | None:
    """Return who a user is; None if this version does not know the role."""
    role = role_of(user.grant)
    if role is None:
        return None
    return Principal(user.name, "user", role, user.grant.queues, user.grant.payloads)
