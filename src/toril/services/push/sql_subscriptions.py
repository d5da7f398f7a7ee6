"""Subscriptions in SQLite or PostgreSQL, by SQLAlchemy.

One table, the family `push` of `services/records`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, moment
from toril.core.errors import InvalidOptionError
from toril.services.push.port import Subscription
from toril.services.push.subscriptions import StoredSubscription, subscription_id
from toril.services.push.tables import PUSH, TABLE

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("subscriptions in a database need SQLAlchemy", "push") from error

_USERS_A_QUERY = 500
_ByUser = dict[str, list[StoredSubscription]]
_MEMORY = re.compile(r"sqlite(\+\w+)?:/{0,3}(:memory:)?")


class SqlSubscriptions:
    """A `SubscriptionStore` in a database, which is opened when it is first asked.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///push.db` or `postgresql://user:password@host/database`.
        clock: Where `created_at` comes from.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or the database would end with this process.
    """

    def __init__(
        self, database: Records | str, *, clock: Clock | None = None, file_mode: int = 0o600
    ) -> None:
        if isinstance(database, str) and _MEMORY.fullmatch(database):
            raise InvalidOptionError(
                "database_url has to outlive the process that writes it: expected"
                " sqlite:///push.db or postgresql://host/database; or take MemorySubscriptions"
            )
        self._owns = isinstance(database, str)
        self._records = (
            Records(database, file_mode=file_mode) if isinstance(database, str) else database
        )
        self._clock = clock or SystemClock()
        self._asked: list[tuple[list[str], asyncio.Future[_ByUser]]] = []
        """Users that are asked for, and where the answer goes."""
        self._answering: asyncio.Task[None] | None = None

    async def add(self, user_id: str, subscription: Subscription) -> StoredSubscription:
        """Store a subscription."""
        values = {
            "id": subscription_id(subscription.endpoint),
            "user_id": user_id,
            "endpoint": subscription.endpoint,
            "p256dh": subscription.p256dh,
            "auth": subscription.auth,
            "created_at_ms": self._clock.now_ms(),
        }
        await self._records.prepare(PUSH)
        statement = self._records.upsert(TABLE, values, keep=("created_at_ms",))
        async with self._records.begin() as connection:
            return _stored((await connection.execute(statement.returning(*TABLE.c))).one())

    async def of_user(self, user_id: str) -> Sequence[StoredSubscription]:
        """Return a user's subscriptions."""
        return (await self.of_users([user_id]))[user_id]

    async def of_users(self, user_ids: Iterable[str]) -> Mapping[str, Sequence[StoredSubscription]]:
        """Return the subscriptions of several users."""
        asked = list(user_ids)
        answer: asyncio.Future[_ByUser] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, answer))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_all())
        found = await answer
        return {user_id: found[user_id] for user_id in asked}

    async def remove(self, subscription_id: str) -> bool:
        """Remove a subscription."""
        return await self._remove(TABLE.c.id == subscription_id)

    async def remove_endpoint(self, user_id: str, endpoint: str) -> bool:
        """Remove a user's subscription."""
        this = TABLE.c.id == subscription_id(endpoint)
        return await self._remove(this & (TABLE.c.user_id == user_id))

    async def page(
        self, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredSubscription]:
        """Return the next subscriptions."""
        require(limit >= 1, "limit", limit, "an integer from 1")
        query = sa.select(TABLE).order_by(TABLE.c.id).limit(limit)
        if after is not None:
            query = query.where(TABLE.c.id > after)
        return await self._found(query)

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()

    async def _answer_all(self) -> None:
        """Answer all that asked, with one query for those that came while the last one ran."""
        while self._asked:
            together, self._asked = self._asked, []
            user_ids = [user_id for asked, _ in together for user_id in asked]
            try:
                found = await self._of_users(user_ids)
            except BaseException as error:
                for _, answer in together:
                    if not answer.done():  # who asked may be gone
                        answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for _, answer in together:
                    if not answer.done():
                        answer.set_result(found)

    async def _of_users(self, user_ids: list[str]) -> _ByUser:
        found: _ByUser = {user_id: [] for user_id in user_ids}
        asked = list(found)
        for start in range(0, len(asked), _USERS_A_QUERY):
            some = asked[start : start + _USERS_A_QUERY]
            query = (
                sa.select(TABLE)
                .where(TABLE.c.user_id.in_(some))
                .order_by(TABLE.c.created_at_ms, TABLE.c.id)
            )
            for stored in await self._found(query):
                found[stored.user_id].append(stored)
        return found

    async def _found(self, query: sa.Select[tuple[object, ...]]) -> list[StoredSubscription]:
        await self._records.prepare(PUSH)
        async with self._records.reading() as connection:
            return [_stored(row) for row in (await connection.execute(query)).all()]

    async def _remove(self, which: sa.ColumnElement[bool]) -> bool:
        await self._records.prepare(PUSH)
        async with self._records.begin() as connection:
            return (await connection.execute(sa.delete(TABLE).where(which))).rowcount > 0


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredSubscription:
    held = row._mapping
    return StoredSubscription(
        id=held["id"],
        user_id=held["user_id"],
        endpoint=held["endpoint"],
        p256dh=held["p256dh"],
        auth=held["auth"],
        created_at=moment(held["created_at_ms"]),
    )
