"""Chats in SQLite or PostgreSQL, in the family `notices` of `services/records`."""

from __future__ import annotations

from toril.services.notices.tables import CHATS, NOTICES

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("chats in a database need SQLAlchemy", "records") from error


class SqlChats:
    """Fulfils `Chats`.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
    """

    def __init__(self, database: Records | str, *, file_mode: int = 0o600) -> None:
        self._owns = isinstance(database, str)
        self._records = (
            Records(database, file_mode=file_mode) if isinstance(database, str) else database
        )

    async def note(self, name: str, chat_id: str) -> None:
        """Note a chat: see `Chats.note`."""
        await self._records.prepare(NOTICES)
        row = {"name": name.lower(), "chat_id": chat_id}
        async with self._records.begin() as connection:
            await connection.execute(self._records.upsert(CHATS, row))

    async def find(self, name: str) -> str | None:
        """Return a chat: see `Chats.find`."""
        await self._records.prepare(NOTICES)
        query = sa.select(CHATS.c.chat_id).where(CHATS.c.name == name.lower())
        async with self._records.reading() as connection:
            found = (await connection.execute(query)).first()
        return None if found is None else str(found[0])

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()
