"""Keys, users and sessions, kept in tables of their own."""

from __future__ import annotations

from typing import Any

import msgspec

from toril.backends.sqlite.reader import Reader
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.core.reading import read_list
from toril.engine.contract.access import Grant, KeyRecord, SessionRecord, UserRecord


class SqliteAccessRecords:
    """The role `AccessRecords`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def keys(self) -> list[KeyRecord]:
        return [_key(row) for row in await self._reader.ask(lambda view: view.run("access_keys"))]

    async def find_key(self, digest: str) -> KeyRecord | None:
        rows = await self._reader.ask(lambda view: view.run("access_key_get", digest))
        return _key(rows[0]) if rows else None

    async def add_key(self, key: KeyRecord, *, only_first: bool = False) -> bool:
        return await self._writer.run(
            lambda transaction: (
                transaction.changed(
                    "access_key_add",
                    key.name,
                    key.digest,
                    *_columns(key.grant),
                    key.created_ms,
                    key.expires_ms,
                    int(only_first),
                )
                > 0
            )
        )

    async def remove_key(self, name: str) -> bool:
        return await self._writer.run(
            lambda transaction: transaction.changed("access_key_remove", name) > 0
        )

    async def users(self) -> list[UserRecord]:
        return [_user(row) for row in await self._reader.ask(lambda view: view.run("access_users"))]

    async def find_user(self, name: str) -> UserRecord | None:
        rows = await self._reader.ask(lambda view: view.run("access_user_get", name))
        return _user(rows[0]) if rows else None

    async def add_user(self, user: UserRecord) -> bool:
        return await self._writer.run(
            lambda transaction: (
                transaction.changed(
                    "access_user_add",
                    user.name,
                    user.password,
                    user.stamp,
                    *_columns(user.grant),
                    user.created_ms,
                )
                > 0
            )
        )

    async def set_password(
        self, name: str, *, password: str, stamp: str, expected: str | None = None
    ) -> bool:
        return await self._writer.run(
            lambda transaction: (
                transaction.changed("access_user_password", password, stamp, name, expected) > 0
            )
        )

    async def remove_user(self, name: str) -> bool:
        return await self._writer.run(
            lambda transaction: transaction.changed("access_user_remove", name) > 0
        )

    async def find_session(self, digest: str) -> SessionRecord | None:
        rows = await self._reader.ask(
            lambda view: view.run("access_session_get", digest, self._clock.now_ms())
        )
        return SessionRecord(*rows[0]) if rows else None

    async def add_session(self, session: SessionRecord) -> None:
        def transition(transaction: Transaction) -> None:
            transaction.run("access_sessions_trim", transaction.now_ms)
            transaction.run("access_session_add", *msgspec.structs.astuple(session))

        await self._writer.run(transition)

    async def remove_session(self, digest: str) -> bool:
        return await self._writer.run(
            lambda transaction: transaction.changed("access_session_remove", digest) > 0
        )


def _columns(grant: Grant) -> tuple[str, str | None, int]:
    queues = None if grant.queues is None else msgspec.json.encode(grant.queues).decode()
    return grant.role, queues, int(grant.payloads)


def _grant(role: str, queues: str | None, payloads: int) -> Grant:
    patterns = None if queues is None else tuple(map(str, read_list(queues)))
    return Grant(role, patterns, bool(payloads))


def _key(row: tuple[Any, ...]) -> KeyRecord:
    name, digest, role, queues, payloads, created_ms, expires_ms = row
    return KeyRecord(name, digest, _grant(role, queues, payloads), created_ms, expires_ms)


def _user(row: tuple[Any, ...]) -> UserRecord:
    name, password, stamp, role, queues, payloads, created_ms = row
    return UserRecord(name, password, stamp, _grant(role, queues, payloads), created_ms)
