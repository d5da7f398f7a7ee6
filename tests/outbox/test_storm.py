"""Jobs are commits, exactly, while relays are killed. The long form is `tests/outbox/storm.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.outbox.conftest import Database
from tests.outbox.storm import check, left_in, storm


@pytest.mark.parametrize("driver", ["aiosqlite", "psycopg"])
async def test_jobs_are_commits_exactly_while_relays_are_killed(
    database: Database, engine: AsyncEngine, store_url: str, tmp_path: Path
) -> None:
    seen = await storm(
        outbox=database.plain_url,
        engine=engine,
        store=store_url,
        folder=tmp_path,
        transactions=400,
        kills=4,
    )

    check(seen, *left_in(database.plain_url))
    assert seen.kills == 4
    assert seen.rolled_back > 60
