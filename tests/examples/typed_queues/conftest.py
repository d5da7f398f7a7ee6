"""The typed queues on each store: each test starts the processes that it needs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.examples.typed_queues.system import System
from tests.support.node import Node
from tests.support.smtp_server import Inbox, receiving

from toril import App

Start = Callable[..., Awaitable[System]]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A mail server."""
    with receiving() as found:
        yield found


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/jobs.db?durability=normal"
        return
    server = request.getfixturevalue("common_redis")
    prefix = f"q{secrets.token_hex(6)}"
    yield f"{server.url}?prefix={prefix}"
    server.remove_keys(prefix)


@pytest.fixture
async def start(store: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a system: the API, and a worker of each type that is named."""
    made: list[System] = []

    async def begin(*kinds: str, url: str = store, **environment: str) -> System:
        system = System(tmp_path, url, environment)
        made.append(system)
        await system.api()
        for kind in kinds:
            await system.worker(kind)
        return system

    yield begin
    for system in made:
        system.close()


@pytest.fixture
async def app(store: str) -> AsyncIterator[App]:
    """The store of the jobs, without any task."""
    async with App(store) as app:
        yield app


@pytest.fixture
async def node(store: str) -> AsyncIterator[Node]:
    """Node, on the same store, which has to be Redis."""
    async with await Node.start(store) as node:
        yield node
