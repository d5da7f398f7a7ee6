from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from toril.services.records.records import Records


@pytest.fixture(params=["sqlite", "postgresql", "postgresql+asyncpg"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/records.db"
    found = str(request.getfixturevalue("postgres_database"))
    return found.replace("postgresql:", f"{request.param}:")


@pytest.fixture
async def records(url: str) -> AsyncIterator[Records]:
    made = Records(url)
    yield made
    await made.close()
