"""Stores files that users send, each with its record, so that media work finds them."""

from __future__ import annotations

import secrets
from typing import Protocol

from toril.services.media.file_records import FileRecord
from toril.services.objects.port import ObjectStore


class NewRecords(Protocol):
    """A store of files' records that takes new ones."""

    async def add(self, record: FileRecord) -> None:
        """Keep a record; it replaces the one of the same id."""
        ...


class Uploads:
    """Stores files under ids that nobody can guess: `uploads/{file_id}`.

    Parameters:
        objects: The storage.
        records: Files' records.
        folder: What stands before a file's id in its key.
    """

    def __init__(
        self, objects: ObjectStore, records: NewRecords, *, folder: str = "uploads"
    ) -> None:
        self._objects = objects
        self._records = records
        self._folder = folder

    async def add(self, content: bytes, *, content_type: str | None = None) -> FileRecord:
        """Store a file, then its record, so that no record names a file that is not there.

        Raises:
            ObjectError: The storage.
        """
        file_id = secrets.token_hex(8)
        record = FileRecord(file_id=file_id, path=f"{self._folder}/{file_id}")
        await self._objects.put(f"{self._folder}/{file_id}", content, content_type=content_type)
        await self._records.add(record)
        return record
