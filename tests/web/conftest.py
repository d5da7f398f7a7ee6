"""A server of the REST interface over a store of each kind, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.web.support import Served, serve

from toril import App
from toril.client import AsyncClient
from toril.web.options import ServerOptions

Serve = Callable[..., Awaitable[Served]]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    """An app on it."""
    async with App(url) as app:
        yield app


@pytest.fixture
async def served(app: App) -> AsyncIterator[Served]:
    """A server that listens on a free port, and whom to ask."""
    async with serve(app, ServerOptions(tick_s=0.05, heartbeat_s=0.5)) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[AsyncClient]:
    """A client of it."""
    async with AsyncClient(served.url) as client:
        yield client
