"""Stores in files, opened and closed by the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from toril.backends import open_backend
from toril.engine.contract import Backend

Opener = Callable[..., Backend]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "toril.db"


@pytest.fixture
async def opener(path: Path, no_thread_left: None) -> AsyncIterator[Opener]:
    """Open stores, by default at `path`; all are closed after the test."""
    opened: list[Backend] = []

    def open_it(place: Path | str = path, **options: Any) -> Backend:
        opened.append(open_backend(str(place), **options))
        return opened[-1]

    yield open_it
    for backend in opened:
        await backend.lifecycle.close()
