"""Keys, users and sessions, in keys of their own that no queue has.

A session is a key that expires; sorted sets list those of each person. All others are fields of
hashes: a record as JSON, by its digest or its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.scripts import script
from toril.core.clock import Clock
from toril.engine.contract.access import Grant, KeyRecord, SessionRecord, UserAnswer, UserRecord


class _User(msgspec.Struct, frozen=True):
    """What is kept of a user beside the password."""

    grant: Grant
    created_ms: int


T = TypeVar("T")

AT_ONCE = 500
"""How many sessions or people are asked for with one command."""

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

    async def change_user(
        self, name: str, grant: Grant, *, expected: Grant, keep_one: str | None = None
    ) -> UserAnswer:
        text = await self._client.call("HGET", self._keys.access("users"), name)
        now = _read(_USERS, text)
        if now is None:
            return "missing"
        if now.grant != expected:
            return "outdated"
        # The script compares the text: what is written meanwhile makes it another one.
        record = msgspec.json.encode(_User(grant, now.created_ms)).decode()
        answer: UserAnswer = await self._run(
            "access_user_change", ["users"], name, record, text, keep_one or ""
        )
        return answer

    async def remove_user(self, name: str, *, keep_one: str | None = None) -> UserAnswer:
        answer: UserAnswer = await self._run(
            "access_user_remove", ["users", "passwords"], name, keep_one or ""
        )
        return answer

    async def find_session(self, digest: str) -> SessionRecord | None:
        text = await self._client.call("GET", self._keys.access(_session(digest)))
        session = _read(_SESSIONS, text)
        if session is None or session.expires_ms <= self._clock.now_ms():
            return None
        return session

    async def add_session(self, session: SessionRecord) -> None:
        await self._run(
            "access_session_add",
            [_session(session.digest), _list(session.kind, session.name)],
            session.digest,
            msgspec.json.encode(session).decode(),
            session.expires_ms,
            self._clock.now_ms(),
        )

    async def remove_session(self, digest: str) -> bool:
        return bool(await self._client.call("DEL", self._keys.access(_session(digest))))

    async def see_session(self, session: SessionRecord) -> bool:
        return await self._change(
            "access_session_see",
            [_session(session.digest), _list(session.kind, session.name)],
            session.digest,
            msgspec.json.encode(session).decode(),
            session.expires_ms,
        )

    async def sessions(self, people: Sequence[tuple[str, str]]) -> list[SessionRecord]:
        digests: list[str] = []
        for some in _parts(people):
            lists = [self._keys.access(_list(kind, name)) for kind, name in some]
            for listed in await self._client.many([["ZRANGE", each, 0, -1] for each in lists]):
                digests += listed
        texts: list[str | None] = []
        for part in _parts(digests):
            texts += await self._client.call(
                "MGET", *(self._keys.access(_session(digest)) for digest in part)
            )
        now_ms = self._clock.now_ms()
        return [
            one
            for text in texts
            if (one := _read(_SESSIONS, text)) is not None and one.expires_ms > now_ms
        ]

    async def remove_sessions(self, kind: str, name: str, *, keep: str | None = None) -> int:
        listed = await self._client.call("ZRANGE", self._keys.access(_list(kind, name)), 0, -1)
        ended = 0
        for part in _parts([digest for digest in listed if digest != keep]):
            keys = [_list(kind, name), *map(_session, part)]
            ended += await self._run("access_sessions_remove", keys, *part)
        return ended

    async def _texts(self, name: str) -> list[str]:
        flat: list[str] = await self._client.call("HGETALL", self._keys.access(name))
        return flat[1::2]

    async def _change(self, verb: str, names: list[str], *arguments: str | int) -> bool:
        return bool(await self._run(verb, names, *arguments))

    async def _run(self, verb: str, names: list[str], *arguments: str | int) -> Any:
        keys = [self._keys.access(name) for name in names]
        return await self._client.run(script(verb), keys, *arguments)


def _session(digest: str) -> str:
    return f"session:{digest}"


def _list(kind: str, name: str) -> str:
    return f"sessions:{kind}:{name}"


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield so many of some items as go into one call."""
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


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
