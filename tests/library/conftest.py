from __future__ import annotations

from pathlib import Path

import pytest

from toril.library.images.settings import MediaSettings


@pytest.fixture
def settings(tmp_path: Path) -> MediaSettings:
    return MediaSettings(
        media_root=tmp_path / "public",
        temp_dir=tmp_path / "uploads",
        database_url=f"sqlite:///{tmp_path}/media.db",
    )


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of jobs, on SQLite and on Redis."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/jobs.db"
