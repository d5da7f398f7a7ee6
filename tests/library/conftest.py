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
