"""An app on each store, with a clock that the tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.redis_clock import RedisClock
from tests.web.access.calling import control

from toril import App, Settings
from toril.testing.clock import ManualClock
from toril.web.access.control import AccessControl


@pytest.fixture(params=["sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which store."""
    return str(request.param)


@pytest.fixture
def clock(request: pytest.FixtureRequest, kind: str) -> ManualClock:
    """Time that stands still until the test moves it, for the store as well."""
    if kind == "sqlite":
        return ManualClock()
    server = request.getfixturevalue("redis_server")
    return RedisClock([server], [request.getfixturevalue("redis_prefix")])


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    """Where the store is."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/toril.db"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def app(url: str, clock: ManualClock, no_thread_left: None) -> AsyncIterator[App]:
    """An app on an empty store."""
    async with App(url, durability="normal", clock=clock, settings=Settings()) as app:
        yield app


@pytest.fixture
def access(app: App) -> AccessControl:
    """Access control of the app."""
    return control(app)
