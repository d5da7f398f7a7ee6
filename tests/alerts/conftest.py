"""A store on a clock that the test moves, and three processes' worth of watches over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.alerts.watching import Outside
from tests.support.redis_clock import RedisClock

from toril.testing.clock import ManualClock

KINDS = ("sqlite", "redis")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which store."""
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    """Where it is."""
    if kind == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db"


@pytest.fixture
def clock(request: pytest.FixtureRequest, kind: str) -> ManualClock:
    """Time that stands still until the test moves it, for the store as well."""
    if kind == "redis":
        server = request.getfixturevalue("redis_server")
        return RedisClock([server], [request.getfixturevalue("redis_prefix")])
    return ManualClock(now_ms=1_900_000_000_000)


@pytest.fixture
async def outside(url: str, clock: ManualClock, no_thread_left: None) -> AsyncIterator[Outside]:
    """Three watches, each with a store of its own, and a channel that remembers."""
    made = Outside(url, clock)
    yield made
    await made.close()
