"""The interface of a store of files' records: one row a file, owned by the application.

Media work reads where a file lies, and writes what became of it. An application with a table of its
own fulfils this with a few lines; `sql_file_records.py` has a table ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file, as far as media work needs it."""

    file_id: str
    path: str | None = None
    """Its key in the storage. None: whoever asks for work has to say it."""
    processed: bool = False
    urls: Mapping[str, str] = field(default_factory=dict)
    """What was made of it, such as `compressedUrl`."""


class FileRecords(Protocol):
    """A store of files' records."""

    async def find(self, file_id: str) -> FileRecord | None:
        """Return the record of a file; None if there is none."""
        ...

    async def save_processed(self, file_id: str, urls: Mapping[str, str]) -> bool:
        """Set a file's `processed`, and add `urls` to those that it has, in one transaction.

        Returns:
            False: there is no such record, and none was made.
        """
        ...


class MemoryFileRecords:
    """Files' records in the memory of this process: for tests."""

    def __init__(self, records: Mapping[str, FileRecord] | None = None) -> None:
        self.records = dict(records or {})

    async def add(self, record: FileRecord) -> None:
        """Keep a record; it replaces the one of the same id."""
        self.records[record.file_id] = record

    async def remove(self, file_id: str) -> None:
        """Remove a record, if it is there."""
        self.records.pop(file_id, None)

    async def find(self, file_id: str) -> FileRecord | None:
        """Return the record of a file."""
        return self.records.get(file_id)

    async def save_processed(self, file_id: str, urls: Mapping[str, str]) -> bool:
        """Set a file's `processed` and its URLs."""
        record = self.records.get(file_id)
        if record is None:
            return False
        self.records[file_id] = replace(record, processed=True, urls={**record.urls, **urls})
        return True
