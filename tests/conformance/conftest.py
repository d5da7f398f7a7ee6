"""One empty backend of each kind for every test of the contract."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.contract import HandWorker, check_counts
from tests.support.redis_clock import RedisClock
from tests.support.redis_servers import SOFTWARE

from toril.backends import open_backend
from toril.engine.contract import Backend
from toril.testing.clock import ManualClock

BACKENDS = ("sqlite", "memory", *SOFTWARE)
GAPS: dict[str, dict[str, str]] = tomllib.loads(
    (Path(__file__).parent / "gaps.toml").read_text("utf-8")
)


@pytest.fixture(params=BACKENDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which backend."""
    return str(request.param)


@pytest.fixture
def software(kind: str) -> str:
    """Whose server, for a kind that has one."""
    return kind


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    """Where the backend is."""
    if kind in SOFTWARE:
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db" if kind == "sqlite" else "sqlite://:memory:"


@pytest.fixture
def clock(request: pytest.FixtureRequest, kind: str) -> ManualClock:
    """Time that stands still until the test moves it, for the store as well."""
    if kind in SOFTWARE:
        server = request.getfixturevalue("redis_server")
        return RedisClock([server], [request.getfixturevalue("redis_prefix")])
    return ManualClock()


@pytest.fixture
async def open_another(
    url: str, clock: ManualClock, no_thread_left: None
) -> AsyncIterator[Callable[[], Backend]]:
    """Open the same store once more, as another process would. Closed after the test."""
    opened: list[Backend] = []

    def open_it() -> Backend:
        opened.append(open_backend(url, durability="normal", clock=clock))
        return opened[-1]

    yield open_it
    for backend in opened:
        await backend.lifecycle.close()


@pytest.fixture
async def backend(
    request: pytest.FixtureRequest, kind: str, open_another: Callable[[], Backend]
) -> AsyncIterator[Backend]:
    """One empty backend. A test that needs more than every backend has says so by marker.

    After the test, the figures of every queue have to be what paging finds.
    """
    backend = open_another()
    needed = {mark.args[0] for mark in request.node.iter_markers("needs")}
    for capability in sorted(needed - backend.capabilities):
        reason = GAPS.get(kind, {}).get(capability)
        assert reason, f"undeclared gap: {kind} lacks {capability}"
        pytest.skip(reason)
    yield backend
    await check_counts(backend)


@pytest.fixture
def worker(backend: Backend) -> HandWorker:
    """A worker that does only what the test tells it to."""
    return HandWorker(backend)
