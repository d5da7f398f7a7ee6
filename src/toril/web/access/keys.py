"""Keys for programs: random, shown once, and kept as their SHA-256.

A key has 256 random bits, so that a fast hash will do: nobody can try them out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from toril.app import App
from toril.core.checks import require
from toril.core.clock import moment, moment_or_none
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.engine.contract import Grant, KeyRecord
from toril.web.access.grants import check_name, composed, grant, role_of
from toril.web.access.port import Principal, Role

KEY_PREFIX = "toril_"
"""By it scanners for secrets, and our own masks, know a key."""
FIRST_NAME = "admin"
MAX_KEY_CHARS = 512
SETTINGS_NAME = "TORIL_ADMIN_KEY"
"""The name of the key that the settings bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """A key without its secret."""

    name: str
    role: str
    queues: tuple[str, ...] | None
    payloads: bool
    created_at: datetime
    expires_at: datetime | None
    expired: bool


class Keys:
    """The keys of a store."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def list(self) -> list[KeyInfo]:
        """Return all keys, by name. The one of the settings is not among them."""
        backend = self._app.backend()
        now_ms = backend.clock.now_ms()
        return [
            KeyInfo(
                name=key.name,
                role=key.grant.role,
                queues=key.grant.queues,
                payloads=key.grant.payloads,
                created_at=moment(key.created_ms),
                expires_at=moment_or_none(key.expires_ms),
                expired=is_expired(key, now_ms),
            )
            for key in await backend.access.keys()
        ]

    async def add(
        self,
        name: str,
        *,
        role: Role | str,
        queues: Iterable[str] | None = None,
        payloads: bool = False,
        expires: float | timedelta | None = None,
    ) -> str:
        """Make a key and return it. It cannot be shown again.

        Parameters:
            name: What it is called in the audit log.
            role: What it may do.
            queues: Only these: names, or patterns with `*`. None: all.
            payloads: Whether it may see what jobs carry.
            expires: After how long it ends, in seconds or as a timedelta. None: never.

        Raises:
            InvalidOptionError: An argument makes no sense, or there is a key of this name.
        """
        name = check_name(name)
        require(name != SETTINGS_NAME, "name", name, "another name: the settings' key has this one")
        given = grant(role, queues, payloads)
        expires_s = None if expires is None else seconds(expires, "expires")
        require(expires_s is None or expires_s > 0, "expires", expires, "more than 0")
        key = new_key()
        if not await self._keep(key, name, given, expires_s, only_first=False):
            raise InvalidOptionError(
                f"name={name!r}: there is a key of this name; remove it first, or choose another"
            )
        return key

    async def remove(self, name: str) -> bool:
        """Forget a key; return whether it was there. Its next request is refused."""
        async with self._app.operating("keys.remove", name=name) as doing:
            doing.changed = await self._app.backend().access.remove_key(composed(name))
        return doing.changed

    async def first(self) -> str | None:
        """Make a key of an administrator if nobody could sign in otherwise, and return it.

        Of several processes that start at once, one makes a key.

        Returns:
            The key, to be printed once. None: there are keys or users, or the settings have a key.
        """
        if self._app.settings.admin_key is not None:
            return None
        key = new_key()
        given = grant(Role.ADMIN, None, True)
        made = await self._keep(key, FIRST_NAME, given, None, only_first=True)
        return key if made else None

    async def _keep(
        self, key: str, name: str, given: Grant, expires_s: float | None, *, only_first: bool
    ) -> bool:
        backend = self._app.backend()
        now_ms = backend.clock.now_ms()
        record = KeyRecord(
            name,
            digest_of(key),
            given,
            now_ms,
            None if expires_s is None else now_ms + round(expires_s * 1000),
        )
        async with self._app.operating(
            "keys.add",
            name=name,
            role=given.role,
            queues=given.queues,
            payloads=given.payloads,
            expires_s=expires_s,
        ) as doing:
            doing.changed = await backend.access.add_key(record, only_first=only_first)
        return doing.changed


def new_key() -> str:
    """Return a key that nobody has."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return the SHA-256 by which a key or a session is kept, as hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two digests are the same, in a time that does not depend on where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def is_expired(key: KeyRecord, now_ms: int) -> bool:
    """Whether a key has ended."""
    return key.expires_ms is not None and key.expires_ms <= now_ms


def principal_of(key: KeyRecord) -> Principal | None:
    """Return who a key is; None if this version does not know its role."""
    role = role_of(key.grant)
    if role is None:
        return None
    return Principal(key.name, "key", role, key.grant.queues, key.grant.payloads)
