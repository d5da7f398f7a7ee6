"""A Redis server of the test's own, which it may take away, and apps with a spool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.redis_server import RedisServer

from toril import App, Fallback

QUICK = {"silence_s": 1.0, "steady_s": 0.3}
"""Quick, and yet a busy machine is not taken for a server that is away."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer.start(tmp_path / "redis", options=options) as server:
        yield server


@pytest.fixture
def spool(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/spool.db"


@pytest.fixture
async def make_app(server: RedisServer, spool: str) -> AsyncIterator[Callable[..., App]]:
    """Make apps on the server and the spool; they are closed with the test."""
    made: list[App] = []

    def make(url: str | None = None, **options: Any) -> App:
        fallback = Fallback(spool, **{**QUICK, **options})
        app = App(url or server.url, fallback=fallback)
        made.append(app)
        return app

    yield make
    for app in made:
        await app.close()


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """An app whose process does not work the spool."""
    return make_app(work=False)
