"""What tests of every room may ask for."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import hypothesis
import pytest
import sqlalchemy as sa
from tests.support.children import remembered_children
from tests.support.order import place, turned
from tests.support.postgres import running_postgres
from tests.support.redis_servers import COMMON, RedisServer, Software
from tests.support.waiting import wait_until_sync

from toril.backends.sqlite import connection
from toril.testing.clock import ManualClock

# A busy machine is no failure: how long an example takes says nothing here.
hypothesis.settings.register_profile(
    "toril", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("toril")

# Nor that the disk stands still for a while, with another process in the middle of its commit.
connection.BUSY_S = 60.0


def pytest_configure(config: pytest.Config) -> None:
    """Read files in another order in each process; `pytest_collection_modifyitems` mends it."""
    if process := getattr(config, "workerinput", None):
        number = int(process["workerid"].removeprefix("gw"))
        config.args[:] = turned(config.args, number, process["workercount"])


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around whoever shuffles: what is alike stays so
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Begin with the files that take long; in each process in the same order."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0])
    yield
    items.sort(key=lambda item: place(item.nodeid))


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
def children_before() -> Iterator[None]:
    """Let `own_children` name what one test has started, and nothing of those before it.

    To look at every process of the machine takes a millisecond or more: for tests that ask alone.
    """
    with remembered_children():
        yield


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread of ours behind: it did not close what it opened."""
    before = set(threading.enumerate())
    yield
    wait_until_sync(
        lambda: (
            not [
                thread
                for thread in threading.enumerate()
                if thread not in before and thread.name.startswith("toril-")
            ]
        ),
        what="every toril-* thread to end",
    )


@pytest.fixture(scope="session")
def common_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis server for all tests that do it no harm. Starts with the first that asks."""
    with RedisServer.start(tmp_path_factory.mktemp("redis"), software="redis") as server:
        yield server


@pytest.fixture(scope="session")
def common_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The same of Valkey."""
    with RedisServer.start(tmp_path_factory.mktemp("valkey"), software="valkey") as server:
        yield server


@pytest.fixture
def software() -> Software:
    """Whose server `redis_server` is. A test for several has it as a parameter."""
    return COMMON


@pytest.fixture
def redis_server(request: pytest.FixtureRequest, software: Software) -> RedisServer:
    """The common server."""
    server: RedisServer = request.getfixturevalue(f"common_{software}")
    return server


@pytest.fixture
def redis_prefix(redis_server: RedisServer) -> Iterator[str]:
    """A prefix that no other test uses; its keys go with the test."""
    prefix = f"t{secrets.token_hex(6)}"
    yield prefix
    redis_server.remove_keys(prefix)


@pytest.fixture
def redis_url(redis_server: RedisServer, redis_prefix: str) -> str:
    """The URL of an empty store on the common server."""
    return f"{redis_server.url}?prefix={redis_prefix}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a database on a PostgreSQL server. Starts, and is installed, with the first test
    that asks; a test leaves no table behind that another may have."""
    with running_postgres(options=("-c", "fsync=off")) as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"t{secrets.token_hex(6)}"
    server = sa.create_engine(
        postgres_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield f"{postgres_url.rpartition('/')[0]}/{name}"
    with server.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()
