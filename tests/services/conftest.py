"""What the conformance suites of several services ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.engines import chosen

from toril.services.media.port import EngineKind


@pytest.fixture(params=list(EngineKind))
def each_engine(request: pytest.FixtureRequest) -> Iterator[EngineKind]:
    """Run a test of images once with every engine."""
    with chosen(request.param):
        yield request.param


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """The URL of an empty database of the test's own; None: in memory."""
    if request.param == "memory":
        return None
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rows.db"
    return str(request.getfixturevalue("postgres_database"))
