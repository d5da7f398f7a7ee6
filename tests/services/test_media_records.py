from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from toril.core.errors import InvalidOptionError, MissingExtraError
from toril.services.media.records import MediaPlace, MediaRecord, MediaStatus, StoredVariant
from toril.services.media.sql_records import SqlMediaRecords

pytestmark = pytest.mark.timeout(600)  # PostgreSQL may have to be installed first

VARIANT = StoredVariant(
    name="small", path="default/m-1/small.webp", width_px=320, height_px=200, size_bytes=9_000
)
RECORD = MediaRecord(
    media_id="m-1",
    entity_type="default",
    original_filename="Frühling \U0001f337.jpg",
    user_id="u-1",
    metadata={"album": {"id": 3, "tags": ["a", None, True, 1.5]}},
    original_bytes=5_000_000_000,
    source_path="2026/a.jpg",
    variants=(VARIANT,),
)


class MovedClock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.at_ms

    def steady_ms(self) -> int:
        return self.at_ms


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new/media.db"


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    yield postgres_url
    engine = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE toril_media, toril_files, toril_media_version"))
    engine.dispose()


@pytest.fixture(params=["sqlite_url", "empty_postgres_url"])
def lasting_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["sqlite_url", "memory", "empty_postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    return "sqlite://" if request.param == "memory" else request.getfixturevalue(request.param)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def records(url: str, clock: MovedClock) -> Iterator[SqlMediaRecords]:
    records = SqlMediaRecords(url, clock=clock)
    yield records
    records.close()


def test_unknown_media_is_none(records: SqlMediaRecords) -> None:
    assert records.find("m-1") is None


def test_record_comes_back_as_saved(records: SqlMediaRecords) -> None:
    saved = records.save(RECORD)

    at = datetime.fromtimestamp(1_800_000_000, UTC)
    assert saved == replace(RECORD, created_at=at, updated_at=at)
    assert records.find("m-1") == saved


def test_saving_again_replaces_and_keeps_first_moment(
    records: SqlMediaRecords, clock: MovedClock
) -> None:
    first = records.save(RECORD)
    clock.at_ms += 1_500

    other = replace(VARIANT, name="large")
    second = records.save(replace(RECORD, user_id=None, metadata={}, variants=(other, VARIANT)))

    assert second.created_at == first.created_at
    assert second.updated_at is not None
    assert second.updated_at.timestamp() == 1_800_000_001.5
    assert (second.user_id, second.metadata, second.variants) == (None, {}, (other, VARIANT))
    assert records.find("m-1") == second


def test_soft_deleted_record_is_still_found(records: SqlMediaRecords) -> None:
    at = datetime(2026, 11, 22, 12, 30, 0, 250_000, tzinfo=UTC)

    records.save(replace(RECORD, status=MediaStatus.SOFT_DELETED, deleted_at=at))

    found = records.find("m-1")
    assert found is not None
    assert (found.status, found.deleted_at) == (MediaStatus.SOFT_DELETED, at)


def test_records_are_listed_by_kind_status_and_age(
    records: SqlMediaRecords, clock: MovedClock
) -> None:
    for number, kind in enumerate(("default", "default", "user_avatar", "default")):
        records.save(replace(RECORD, media_id=f"m-{number}", entity_type=kind))
    records.soft_delete("m-1")
    clock.at_ms += 1
    records.soft_delete("m-3")

    def ids(**which: Any) -> list[str]:
        return [record.media_id for record in records.list(**which)]

    assert ids() == ["m-0", "m-1", "m-2", "m-3"]
    assert ids(limit=2) == ["m-0", "m-1"]
    assert ids(after="m-1") == ["m-2", "m-3"]
    assert ids(entity_type="default") == ["m-0", "m-1", "m-3"]
    assert ids(status=MediaStatus.READY) == ["m-0", "m-2"]
    before = datetime.fromtimestamp(clock.at_ms / 1000, UTC)
    assert ids(status=MediaStatus.SOFT_DELETED, deleted_before=before) == ["m-1"]
    for limit in (0, 1001):
        with pytest.raises(InvalidOptionError, match="limit"):
            records.list(limit=limit)


def test_record_that_changed_meanwhile_is_neither_moved_nor_removed(
    records: SqlMediaRecords,
) -> None:
    first = records.save(RECORD)
    moved = records.move(first, MediaPlace.BOTH)
    assert moved == replace(first, place=MediaPlace.BOTH)

    assert records.move(first, MediaPlace.REMOTE) is None
    assert not records.remove(first)
    assert records.find("m-1") == moved
    assert moved is not None
    assert records.remove(moved)
    assert records.find("m-1") is None
    assert not records.remove(moved)
    assert records.move(moved, MediaPlace.LOCAL) is None


def test_soft_delete_keeps_the_first_moment(records: SqlMediaRecords, clock: MovedClock) -> None:
    records.save(RECORD)
    first = records.soft_delete("m-1")
    clock.at_ms += 1

    assert first is not None
    assert first.status is MediaStatus.SOFT_DELETED
    assert first.deleted_at == first.updated_at == datetime.fromtimestamp(1_800_000_000, UTC)
    assert records.soft_delete("m-1") == first
    assert records.soft_delete("m-2") is None


def test_records_do_not_touch_each_other(records: SqlMediaRecords) -> None:
    records.save(RECORD)
    records.save(replace(RECORD, media_id="m-2", user_id="u-2"))

    found = records.find("m-1")
    assert found is not None
    assert found.user_id == "u-1"


def test_records_outlive_their_connection(lasting_url: str) -> None:
    first = SqlMediaRecords(lasting_url)
    saved = first.save(RECORD)
    first.close()

    second = SqlMediaRecords(lasting_url)
    assert second.find("m-1") == saved
    second.close()


def test_threads_save_at_once(records: SqlMediaRecords) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for count in range(10):
                records.save(replace(RECORD, user_id=name, metadata={"count": count}))
                records.save(replace(RECORD, media_id=f"m-{name}-{count}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    found = [records.find(f"m-{name}-{count}") for name in "abcd" for count in range(10)]
    assert None not in found
    last = records.find("m-1")
    assert last is not None
    assert last.metadata == {"count": 9}


def test_processes_make_the_table_and_save_at_once(lasting_url: str) -> None:
    children = []
    for name in "abcd":
        child = os.fork()
        if child == 0:
            code = 1
            try:
                mine = SqlMediaRecords(lasting_url)
                for count in range(10):
                    mine.save(replace(RECORD, metadata={"count": count}))
                    mine.save(replace(RECORD, media_id=f"m-{name}-{count}"))
                mine.close()
                code = 0
            finally:
                os._exit(code)
        children.append(child)

    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert codes == [0, 0, 0, 0]
    records = SqlMediaRecords(lasting_url)
    found = [records.find(f"m-{name}-{count}") for name in "abcd" for count in range(10)]
    assert None not in found
    records.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "not an address with hunter2",
            "database_url cannot be read: expected sqlite:///records.db",
        ),
        ("mysql://root:hunter2@host/db", "database_url begins with 'mysql': expected sqlite:///"),
    ],
)
def test_unusable_address_is_refused_without_repeating_it(url: str, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message) as refused:
        SqlMediaRecords(url)

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_missing_driver_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"postgresql.* needs its driver"):
        SqlMediaRecords("postgresql+pg8000://host/db")


def test_errors_do_not_repeat_what_was_uploaded(tmp_path: Path) -> None:
    records = SqlMediaRecords(f"sqlite:///{tmp_path}/media.db")
    connection = sqlite3.connect(tmp_path / "media.db")
    connection.execute("DROP TABLE toril_media")
    connection.close()

    with pytest.raises(sa.exc.OperationalError) as failed:
        records.save(replace(RECORD, original_filename="private.jpg"))

    assert "private.jpg" not in str(failed.value)
    records.close()
