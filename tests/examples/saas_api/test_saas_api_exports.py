"""Large exports of the SaaS API: from PostgreSQL into S3, read back by other readers."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import sqlalchemy as sa
from python_calamine import CalamineWorkbook
from tests.examples.saas_api.conftest import Start
from tests.support.s3_server import S3Server
from tests.support.waiting import wait_until

from toril.services.objects.opening import objects_from_environment

pytestmark = pytest.mark.timeout(900)
ROWS = 1_000_000
MIB = 1024 * 1024


@pytest.fixture
def database(postgres_database: str) -> str:
    """A database with a million rows."""
    engine = sa.create_engine(postgres_database.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(
            sa.text("CREATE TABLE orders (id int PRIMARY KEY, name text, total int)")
        )
        connection.execute(
            sa.text(
                "INSERT INTO orders SELECT n, 'customer ' || n, n % 1000"
                f" FROM generate_series(1, {ROWS}) AS n"
            )
        )
    engine.dispose()
    return postgres_database


class Peak:
    """The most memory that any process below one has held."""

    def __init__(self, pid: int) -> None:
        self.bytes = 0
        self._process = psutil.Process(pid)
        self._over = threading.Event()

    def watch(self) -> None:
        while not self._over.wait(0.02):
            for child in self._process.children(recursive=True):
                try:
                    self.bytes = max(self.bytes, child.memory_info().rss)
                except psutil.Error:
                    continue

    def end(self) -> None:
        self._over.set()


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    peak = Peak(pid)
    thread = threading.Thread(target=peak.watch)
    thread.start()
    try:
        yield peak
    finally:
        peak.end()
        thread.join()


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_million_rows_go_to_the_storage_in_each_format(
    start: Start, database: str, storage: S3Server, storage_environment: dict[str, str]
) -> None:
    system = await start(
        workers=0,
        DATABASE_URL=database,
        EXPORT_TABLE="orders:id,name,total",
        **storage_environment,
    )
    worker = await system.worker(QUEUE_CONCURRENCY="1")
    objects = objects_from_environment(storage_environment)
    found = {}
    seen: list[int] = []
    with watched(worker.pid) as peak:
        for kind in ("csv", "json", "xlsx"):
            job_id = await system.submit("DATA_EXPORT", {"exportType": kind, "filters": {}})

            async def is_over(job_id: str = job_id) -> bool:
                job = await system.job(job_id)
                seen.append(job["progress"])
                time.sleep(0.1)
                return bool(job["state"] in ("completed", "failed"))

            await wait_until(is_over, deadline_s=400, what=f"the export as {kind}")
            job = await system.job(job_id)
            assert job["state"] == "completed", job["failedReason"]
            found[kind] = job["result"]

    content = {}
    for kind, result in found.items():
        assert set(result) == {"key", "url", "rows", "bytes", "exportType"}
        assert (result["rows"], result["exportType"]) == (ROWS, kind)
        async with await objects.get(result["key"]) as stream:
            content[kind] = b"".join([part async for part in stream])
        assert len(content[kind]) == result["bytes"]
    rows = list(csv.reader(io.StringIO(content["csv"].decode())))
    assert (rows[0], len(rows)) == (["id", "name", "total"], ROWS + 1)
    assert all(row == [str(n), f"customer {n}", str(n % 1000)] for n, row in enumerate(rows[1:], 1))
    items = json.loads(content["json"])
    assert len(items) == ROWS
    assert items[41] == {"id": 42, "name": "customer 42", "total": 42}
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(content["xlsx"])).get_sheet_by_index(0)
    assert sheet.height == ROWS + 1
    assert len({step for step in seen if 0 < step < 100}) >= 5
    assert peak.bytes < 200 * MIB, peak.bytes // MIB
    assert storage.unfinished_uploads(storage_environment["S3_BUCKET"]) == 0
    await objects.close()
