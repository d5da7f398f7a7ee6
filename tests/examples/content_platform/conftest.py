"""A platform that runs, on each store: started with the first test that asks for it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.examples.content_platform.deployment import Deployment, deployed

from toril import App


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Where jobs are."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def platform(
    request: pytest.FixtureRequest, store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A platform with one worker."""
    folder = tmp_path_factory.mktemp(f"platform-{store}")
    if store == "sqlite":
        with deployed(folder, store) as made:
            made.start_api()
            made.start_worker()
            yield made
        return
    redis = request.getfixturevalue("common_redis")
    prefix = f"t{secrets.token_hex(6)}"
    url = f"{redis.url}?prefix={prefix}"
    postgres = request.getfixturevalue("postgres_url")
    with deployed(folder, store, redis_url=url, postgres_url=postgres) as made:
        made.start_api()
        made.start_worker()
        yield made
    redis.remove_keys(prefix)


@pytest.fixture
async def app(platform: Deployment) -> AsyncIterator[App]:
    """The store of the platform's jobs, without its tasks."""
    async with App(platform.store_url) as app:
        yield app
