"""A chat that runs, on each store: started with the first test that asks for it."""

from __future__ import annotations

import importlib
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.examples.chat.deployment import ROOT, Deployment, deployed

from toril import App

SCHEMA = ROOT / "examples" / "chat" / "schema.sql"


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Where jobs are."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def servers(
    request: pytest.FixtureRequest, store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The servers around a chat, and its settings: nothing of the chat runs yet."""
    folder = tmp_path_factory.mktemp(f"chat-{store}")
    if store == "sqlite":
        with deployed(folder, store) as made:
            yield made
        return
    redis = request.getfixturevalue("common_redis")
    prefix = f"t{secrets.token_hex(6)}"
    url = f"{redis.url}?prefix={prefix}"
    postgres = request.getfixturevalue("postgres_url")
    with deployed(folder, store, redis_url=url, postgres_url=postgres) as made:
        yield made
    redis.remove_keys(prefix)


@pytest.fixture(scope="session")
def chat(servers: Deployment) -> Deployment:
    """A chat with one worker."""
    servers.start_api()
    servers.start_worker()
    return servers


@pytest.fixture
async def app(servers: Deployment) -> AsyncIterator[App]:
    """The store of the chat's jobs, without its tasks."""
    async with App(servers.store_url) as app:
        yield app


@pytest.fixture
async def services(servers: Deployment, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """The module of the chat's services, in this process, with the settings of the servers."""
    forget_chat()
    for name, value in servers.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(servers.folder)
    module: Any = importlib.import_module("examples.chat.services")
    async with module.services.open(SCHEMA)():
        yield module
    await module.queues.app.close()
    forget_chat()


def forget_chat() -> None:
    """Let the next import of the chat read its settings anew."""
    for name in [name for name in sys.modules if name.startswith("examples.chat")]:
        del sys.modules[name]
    logging.getLogger("chat").handlers.clear()
