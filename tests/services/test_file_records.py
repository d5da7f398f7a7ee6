"""Files' records: one suite for memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from toril.services.media.file_records import FileRecord, MemoryFileRecords
from toril.services.media.sql_file_records import SqlFileRecords
from toril.services.records.records import Records

pytestmark = pytest.mark.timeout(600)  # PostgreSQL may have to be installed first

_TABLES = "toril_media, toril_files, toril_media_version"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def records(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MemoryFileRecords | SqlFileRecords]:
    if request.param == "memory":
        yield MemoryFileRecords()
        return
    url = f"sqlite:///{tmp_path}/files.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Records(url)
    yield SqlFileRecords(database)
    if request.param == "postgresql":
        async with database.begin() as connection:
            await connection.execute(sa.text(f"DROP TABLE {_TABLES}"))
    await database.close()


async def test_record_is_found_until_it_is_removed(
    records: MemoryFileRecords | SqlFileRecords,
) -> None:
    record = FileRecord(file_id="f1", path="uploads/ä.jpg")

    assert await records.find("f1") is None
    await records.add(record)
    assert await records.find("f1") == record
    await records.remove("f1")
    assert await records.find("f1") is None
    await records.remove("f1")


async def test_processed_adds_its_urls(records: MemoryFileRecords | SqlFileRecords) -> None:
    await records.add(FileRecord(file_id="f1", path="a.jpg", urls={"old": "/o", "both": "/1"}))
    await records.add(FileRecord(file_id="f2"))

    assert await records.save_processed("f1", {"both": "/2", "new": "/n"})

    urls = {"old": "/o", "both": "/2", "new": "/n"}
    whole = FileRecord(file_id="f1", path="a.jpg", processed=True, urls=urls)
    assert await records.find("f1") == whole
    assert await records.find("f2") == FileRecord(file_id="f2")


async def test_record_that_is_gone_is_not_made(records: MemoryFileRecords | SqlFileRecords) -> None:
    assert not await records.save_processed("f1", {"a": "/a"})
    assert await records.find("f1") is None


async def test_work_on_one_file_at_the_same_time_keeps_all_urls(
    records: MemoryFileRecords | SqlFileRecords,
) -> None:
    await records.add(FileRecord(file_id="f1"))

    saves = [records.save_processed("f1", {f"u{at}": f"/{at}"}) for at in range(8)]
    assert all(await asyncio.gather(*saves))

    found = await records.find("f1")
    assert found is not None
    assert found.urls == {f"u{at}": f"/{at}" for at in range(8)}
