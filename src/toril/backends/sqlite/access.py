"""Keys, users and sessions, kept in tables of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.reader import Reader
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.core.reading import read_list
from toril.engine.contract.access import Grant, KeyRecord, SessionRecord, UserAnswer, UserRecord


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

    async def change_user(
        self, name: str, grant: Grant, *, expected: Grant, keep_one: str | None = None
    ) -> UserAnswer:
        def transition(transaction: Transaction) -> UserAnswer:
            rows = transaction.run("access_user_get", name)
            if not rows:
                return "missing"
            now = _user(rows[0]).grant
            if now != expected:
                return "outdated"
            if not _has(grant, keep_one) and _is_last(transaction, name, now, keep_one):
                return "last"
            transaction.run("access_user_change", *_columns(grant), name)
            return "done"

        return await self._writer.run(transition)

    async def remove_user(self, name: str, *, keep_one: str | None = None) -> UserAnswer:
        def transition(transaction: Transaction) -> UserAnswer:
            rows = transaction.run("access_user_get", name)
            if not rows:
                return "missing"
            if _is_last(transaction, name, _user(rows[0]).grant, keep_one):
                return "last"
            transaction.run("access_user_remove", name)
            return "done"

        return await self._writer.run(transition)

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

    async def see_session(self, session: SessionRecord) -> bool:
        seen = session.seen_ms, session.place, session.agent, session.digest
        return await self._writer.run(
            lambda transaction: transaction.changed("access_session_see", *seen) > 0
        )

    async def sessions(self, people: Sequence[tuple[str, str]]) -> list[SessionRecord]:
        asked = msgspec.json.encode(people).decode()
        rows = await self._reader.ask(
            lambda view: view.run("access_sessions", asked, self._clock.now_ms())
        )
        return [SessionRecord(*row) for row in rows]

    async def remove_sessions(self, kind: str, name: str, *, keep: str | None = None) -> int:
        return await self._writer.run(
            lambda transaction: transaction.changed("access_sessions_remove", kind, name, keep)
        )


def _has(grant: Grant, role: str | None) -> bool:
    return grant.role == role and grant.queues is None


def _is_last(transaction: Transaction, name: str, grant: Grant, role: str | None) -> bool:
    """Whether a user is the only one who has a role for all queues."""
    return _has(grant, role) and transaction.value("access_user_others", role, name) == 0


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
