"""Keys, users and sessions, in keys of their own that no queue has.

A session is a key that expires. All others are fields of hashes: a record as JSON, by its digest or
its name.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.scripts import script
from toril.core.clock import Clock
from toril.engine.contract.access import Grant, KeyRecord, SessionRecord, UserRecord


class _User(msgspec.Struct, frozen=True):
    """What is kept of a user beside the password."""

    grant: Grant
    created_ms: int


T = TypeVar("T")

_KEYS = msgspec.json.Decoder(KeyRecord)
_SESSIONS = msgspec.json.Decoder(SessionRecord)
_USERS = msgspec.json.Decoder(_User)
_PASSWORDS = msgspec.json.Decoder(tuple[str, str])


class RedisAccessRecords:
    """The role `AccessRecords`."""

    def __init__(self, client: Client, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock

    async def keys(self) -> list[KeyRecord]:
        found = [
            one for text in await self._texts("digests") if (one := _read(_KEYS, text)) is not None
        ]
        return sorted(found, key=lambda one: one.name)

    async def find_key(self, digest: str) -> KeyRecord | None:
        text = await self._client.call("HGET", self._keys.access("digests"), digest)
        return _read(_KEYS, text)

    async def add_key(self, key: KeyRecord, *, only_first: bool = False) -> bool:
        return await self._change(
            "access_key_add",
            ["digests", "keys", "users"],
            key.name,
            key.digest,
            msgspec.json.encode(key).decode(),
            int(only_first),
        )

    async def remove_key(self, name: str) -> bool:
        return await self._change("access_key_remove", ["digests", "keys"], name)

    async def users(self) -> list[UserRecord]:
        users, passwords = await self._client.many(
            [["HGETALL", self._keys.access(each)] for each in ("users", "passwords")]
        )
        hashes = dict(zip(passwords[::2], passwords[1::2], strict=True))
        found = [
            user
            for name, text in zip(users[::2], users[1::2], strict=True)
            if (user := _user(name, text, hashes.get(name))) is not None
        ]
        return sorted(found, key=lambda user: user.name)

    async def find_user(self, name: str) -> UserRecord | None:
        text, password = await self._client.many(
            [["HGET", self._keys.access(each), name] for each in ("users", "passwords")]
        )
        return _user(name, text, password)

    async def add_user(self, user: UserRecord) -> bool:
        return await self._change(
            "access_user_add",
            ["users", "passwords"],
            user.name,
            msgspec.json.encode(_User(user.grant, user.created_ms)).decode(),
            _password(user.password, user.stamp),
        )

    async def set_password(
        self, name: str, *, password: str, stamp: str, expected: str | None = None
    ) -> bool:
        return await self._change(
            "access_user_password",
            ["users", "passwords"],
            name,
            _password(password, stamp),
            expected or "",
        )

    async def remove_user(self, name: str) -> bool:
        return await self._change("access_user_remove", ["users", "passwords"], name)

    async def find_session(self, digest: str) -> SessionRecord | None:
        text = await self._client.call("GET", self._keys.access(f"session:{digest}"))
        session = _read(_SESSIONS, text)
        if session is None or session.expires_ms <= self._clock.now_ms():
            return None
        return session

    async def add_session(self, session: SessionRecord) -> None:
        await self._client.call(
            "SET",
            self._keys.access(f"session:{session.digest}"),
            msgspec.json.encode(session).decode(),
            "PXAT",
            session.expires_ms,
        )

    async def remove_session(self, digest: str) -> bool:
        return bool(await self._client.call("DEL", self._keys.access(f"session:{digest}")))

    async def _texts(self, name: str) -> list[str]:
        flat: list[str] = await self._client.call("HGETALL", self._keys.access(name))
        return flat[1::2]

    async def _change(self, verb: str, names: list[str], *arguments: str | int) -> bool:
        keys = [self._keys.access(name) for name in names]
        return bool(await self._client.run(script(verb), keys, *arguments))


def _password(password: str, stamp: str) -> str:
    return msgspec.json.encode((password, stamp)).decode()


def _user(name: str, text: str | None, password: str | None) -> UserRecord | None:
    user, secret = _read(_USERS, text), _read(_PASSWORDS, password)
    if user is None or secret is None:
        return None
    return UserRecord(name, *secret, user.grant, user.created_ms)


def _read(decoder: msgspec.json.Decoder[T], text: str | None) -> T | None:
    """Return a record; None if there is none, or if somebody wrote there what is none.

    What cannot be read lets nobody in.
    """
    if text is None:
        return None
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return None
