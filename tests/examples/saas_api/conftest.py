from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.examples.saas_api.saas import ADMIN, System
from tests.support.redis_servers import RedisServer
from tests.support.s3_server import S3Server, running_s3
from tests.support.smtp_server import Inbox, receiving

Start = Callable[..., Awaitable[System]]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A mail server."""
    with receiving() as found:
        yield found


@dataclass
class Shared:
    """A system that the tests of a file share, and the servers beside it."""

    system: System
    inbox: Inbox
    cache: str
    """With what keys begin."""


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """The API and a worker, which go on for all tests of a file."""
    folder = tmp_path_factory.mktemp("saas")
    server: RedisServer = request.getfixturevalue("common_redis")
    prefix = f"s{secrets.token_hex(6)}"
    store = f"sqlite:///{folder}/jobs.db"
    if request.param == "redis":
        store = f"{server.url}?prefix={prefix}"
    with receiving() as inbox:
        environment = {
            "SMTP_URL": inbox.url,
            "CACHE_URL": f"{server.url}?prefix={prefix}-cache:",
            "CACHE_PREFIX": f"{prefix}-cache:",
            "TORIL_ADMIN_KEY": ADMIN,
            "QUEUE_REMOVE_ON_COMPLETE": "1000",
        }
        system = System(folder, store, environment)
        try:
            system.start_api()
            system.start_worker()
            yield Shared(system, inbox, f"{prefix}-cache:")
        finally:
            system.close()
            server.remove_keys(prefix)


@pytest.fixture
def system(shared: Shared) -> System:
    """The system that the tests of this file share."""
    shared.inbox.mails.clear()
    shared.inbox.to.clear()
    shared.inbox.answer = "250 OK"
    return shared.system


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A storage of objects."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(storage: S3Server) -> str:
    name = f"b{secrets.token_hex(6)}"
    storage.make_bucket(name)
    return name


@pytest.fixture
def storage_environment(storage: S3Server, bucket: str) -> dict[str, str]:
    return {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT": storage.url,
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY": "access",
        "S3_SECRET_KEY": "secret",
    }


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    url: str = request.getfixturevalue("redis_url")
    return url


@pytest.fixture
async def start(store: str, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a system: the API, and as many workers."""
    made: list[System] = []

    async def begin(workers: int = 1, url: str = store, **environment: str) -> System:
        system = System(tmp_path, url, environment)
        made.append(system)
        await system.api()
        for _ in range(workers):
            await system.worker()
        return system

    yield begin
    for system in made:
        system.close()
