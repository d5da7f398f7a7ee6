"""Subscriptions in SQLite or PostgreSQL, by SQLAlchemy.

One table, made when it is first needed. The database is asked in threads.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable, Mapping, Sequence

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, moment
from toril.core.errors import InvalidOptionError
from toril.services.push.port import Subscription
from toril.services.push.subscriptions import StoredSubscription, subscription_id

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import IntegrityError
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("subscriptions in a database need SQLAlchemy", "push") from error

from toril.services.media.sql_records import make_table, open_engine

_METADATA = sa.MetaData()
_SUBSCRIPTIONS = sa.Table(
    "toril_push_subscriptions",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("p256dh", sa.Text, nullable=False),
    sa.Column("auth", sa.Text, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Index("toril_push_subscriptions_by_user", "user_id", "created_at_ms"),
)
_USERS_A_QUERY = 500
_ByUser = dict[str, list[StoredSubscription]]
_MEMORY = re.compile(r"sqlite(\+\w+)?:/{0,3}(:memory:)?")


class SqlSubscriptions:
    """A `SubscriptionStore` in a database, which is opened when it is first asked.

    Parameters:
        url: `sqlite:///push.db` or `postgresql://user:password@host/database`.
        clock: Where `created_at` comes from.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The database would end with this process.
    """

    def __init__(self, url: str, *, clock: Clock | None = None, file_mode: int = 0o600) -> None:
        if _MEMORY.fullmatch(url):
            raise InvalidOptionError(
                "database_url has to outlive the process that writes it: expected"
                " sqlite:///push.db or postgresql://host/database; or take MemorySubscriptions"
            )
        self._url = url
        self._file_mode = file_mode
        self._clock = clock or SystemClock()
        self._opened: sa.Engine | None = None
        self._opening = threading.Lock()
        self._asked: list[tuple[list[str], asyncio.Future[_ByUser]]] = []
        """Users that are asked for, and where the answer goes."""
        self._answering: asyncio.Task[None] | None = None

    async def add(self, user_id: str, subscription: Subscription) -> StoredSubscription:
        """Store a subscription."""
        return await asyncio.to_thread(self._add, user_id, subscription)

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
        return await asyncio.to_thread(self._remove, _SUBSCRIPTIONS.c.id == subscription_id)

    async def remove_endpoint(self, user_id: str, endpoint: str) -> bool:
        """Remove a user's subscription."""
        this = _SUBSCRIPTIONS.c.id == subscription_id(endpoint)
        return await asyncio.to_thread(self._remove, this & (_SUBSCRIPTIONS.c.user_id == user_id))

    async def page(
        self, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredSubscription]:
        """Return the next subscriptions."""
        require(limit >= 1, "limit", limit, "an integer from 1")
        query = sa.select(_SUBSCRIPTIONS).order_by(_SUBSCRIPTIONS.c.id).limit(limit)
        if after is not None:
            query = query.where(_SUBSCRIPTIONS.c.id > after)
        return await asyncio.to_thread(self._found, query)

    async def close(self) -> None:
        """Close all connections. It may be used again."""
        with self._opening:
            engine, self._opened = self._opened, None
        if engine is not None:
            await asyncio.to_thread(engine.dispose)

    def _engine(self) -> sa.Engine:
        with self._opening:
            if self._opened is None:
                engine = open_engine(self._url, self._file_mode)
                make_table(engine, _SUBSCRIPTIONS)
                self._opened = engine
            return self._opened

    def _add(self, user_id: str, subscription: Subscription) -> StoredSubscription:
        try:
            return self._replace(user_id, subscription)
        except IntegrityError:
            # Somebody added the same id between our update and our insert: now it can be updated.
            return self._replace(user_id, subscription)

    def _replace(self, user_id: str, subscription: Subscription) -> StoredSubscription:
        found = subscription_id(subscription.endpoint)
        this = _SUBSCRIPTIONS.c.id == found
        values = {
            "user_id": user_id,
            "endpoint": subscription.endpoint,
            "p256dh": subscription.p256dh,
            "auth": subscription.auth,
        }
        with self._engine().begin() as connection:
            # The write comes first: in SQLite a transaction that has read cannot wait to write.
            updated = connection.execute(sa.update(_SUBSCRIPTIONS).where(this).values(values))
            if updated.rowcount == 0:
                new = {"id": found, "created_at_ms": self._clock.now_ms(), **values}
                connection.execute(sa.insert(_SUBSCRIPTIONS).values(new))
            return _stored(connection.execute(sa.select(_SUBSCRIPTIONS).where(this)).one())

    async def _answer_all(self) -> None:
        """Answer all that asked, with one query for those that came while the last one ran."""
        while self._asked:
            together, self._asked = self._asked, []
            user_ids = [user_id for asked, _ in together for user_id in asked]
            try:
                found = await asyncio.to_thread(self._of_users, user_ids)
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

    def _of_users(self, user_ids: list[str]) -> _ByUser:
        found: _ByUser = {user_id: [] for user_id in user_ids}
        asked = list(found)
        for start in range(0, len(asked), _USERS_A_QUERY):
            some = asked[start : start + _USERS_A_QUERY]
            query = (
                sa.select(_SUBSCRIPTIONS)
                .where(_SUBSCRIPTIONS.c.user_id.in_(some))
                .order_by(_SUBSCRIPTIONS.c.created_at_ms, _SUBSCRIPTIONS.c.id)
            )
            for stored in self._found(query):
                found[stored.user_id].append(stored)
        return found

    def _found(self, query: sa.Select[tuple[object, ...]]) -> list[StoredSubscription]:
        with self._engine().connect() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def _remove(self, which: sa.ColumnElement[bool]) -> bool:
        with self._engine().begin() as connection:
            return connection.execute(sa.delete(_SUBSCRIPTIONS).where(which)).rowcount > 0


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
