from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.examples.marketplace.market import Market
from tests.support.clamd import Clamd, running_clamd
from tests.support.s3_server import S3Server, running_s3
from tests.support.smtp_server import Inbox, receiving

Start = Callable[..., Awaitable[Market]]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A mail server."""
    with receiving() as found:
        yield found


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A storage of objects."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """A scanner that may be killed."""
    with running_clamd(tmp_path_factory.mktemp("clamd")) as found:
        yield found


@pytest.fixture(params=["sqlite", "redis"])
def environment(
    request: pytest.FixtureRequest, tmp_path: Path, inbox: Inbox
) -> Iterator[dict[str, str]]:
    """Jobs and records in files; or in Redis and PostgreSQL, with objects in an S3 server."""
    made = {"SMTP_URL": inbox.url}
    if request.param == "sqlite":
        yield {**made, "TORIL_URL": f"sqlite:///{tmp_path}/jobs.db"}
        return
    storage: S3Server = request.getfixturevalue("storage")
    bucket = f"b{secrets.token_hex(6)}"
    storage.make_bucket(bucket)
    yield {
        **made,
        "TORIL_URL": request.getfixturevalue("redis_url"),
        "DATABASE_URL": request.getfixturevalue("postgres_database"),
        "S3_BUCKET": bucket,
        "S3_ENDPOINT": storage.url,
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY": "access",
        "S3_SECRET_KEY": "secret",
    }


@pytest.fixture
async def start(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Start]:
    """Start a marketplace: the API, and as many workers."""
    made: list[Market] = []

    async def begin(workers: int = 1, api: bool = True, **more: str) -> Market:
        market = Market(tmp_path, environment["TORIL_URL"], {**environment, **more})
        made.append(market)
        if api:
            await market.api()
        for _ in range(workers):
            await market.worker()
        return market

    yield begin
    for market in made:
        await market.close()
