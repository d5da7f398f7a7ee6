"""Passwords that expire: a function is asked for each new connection."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.backends.redis.conftest import Connect
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.backends import open_backend
from toril.backends.redis.client.urls import parse
from toril.core.errors import BackendError, InvalidOptionError, StoreUnreachableError

SECRET = "p4ss-w0rd"


class Tokens:
    """Where a program gets its passwords from."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.now = ""
        self.asked = 0
        self.threads: set[int] = set()
        self.renew("first")

    def renew(self, token: str) -> None:
        """Let the server take another one, and hang up on all who came with the last."""
        words = ("on", "resetpass", f">{token}", "~*", "&*", "+@all")
        self.server.command("ACL", "SETUSER", "jobs", *words)
        self.now = token
        self.server.command("CLIENT", "KILL", "USER", "jobs")

    def plain(self) -> tuple[str, str]:
        self.asked += 1
        self.threads.add(threading.get_ident())
        return "jobs", self.now

    async def coroutine(self) -> tuple[str, str]:
        await asyncio.sleep(0)
        return self.plain()


@pytest.fixture
def tokens(own_server: RedisServer) -> Tokens:
    return Tokens(own_server)


def connections(server: RedisServer) -> list[str]:
    """Return the ids of those of the user whose password changes."""
    listed: str = server.command("CLIENT", "LIST")
    return [line.split(" ")[0] for line in listed.splitlines() if " user=jobs " in line]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_worker_goes_on_when_its_password_was_renewed(tokens: Tokens, kind: str) -> None:
    """With a password of the URL it would be locked out by the first reconnection."""
    server = tokens.server
    async with App(server.url, redis_credentials=getattr(tokens, kind)) as app:

        @app.task(queue="mail", name="greet")
        async def greet(name: str) -> str:
            return f"Dear {name}"

        async with app.worker(queues=["mail"]):
            assert await (await greet.enqueue(name="Jo")).result(timeout_s=60) == "Dear Jo"
            # Calls, beats, the wait for jobs, the worker's name, the wait for the result.
            await wait_until(lambda: len(connections(server)) >= 4)
            before, asked = connections(server), tokens.asked
            assert asked >= len(before)

            tokens.renew("second")
            # All of them, so that no call of the test is under way on one that was killed.
            await wait_until(lambda: len(set(connections(server)) - set(before)) >= 3)

            assert await (await greet.enqueue(name="Al")).result(timeout_s=60) == "Dear Al"
            assert tokens.asked > asked
    if kind == "plain":
        assert threading.get_ident() not in tokens.threads, "it may block"


async def test_open_connections_outlive_their_password(tokens: Tokens, connect: Connect) -> None:
    """Who renews a password need not hang up on anybody."""
    address = replace(parse(tokens.server.url), credentials=tokens.coroutine)
    client = connect(address)
    await client.call("SET", "a", 1)

    tokens.server.command("ACL", "SETUSER", "jobs", "resetpass", ">second")
    tokens.now = "second"

    assert await client.call("GET", "a") == "1"
    assert tokens.asked == 1
    assert await (await client.open_blocking("a")).call("PING", timeout_s=1) == "PONG"
    assert tokens.asked == 2


async def test_password_without_a_user_is_the_default_users(
    own_server: RedisServer, connect: Connect
) -> None:
    own_server.command("CONFIG", "SET", "requirepass", SECRET)
    address = replace(parse(own_server.url), credentials=lambda: SECRET)

    assert await connect(address).call("PING") == "PONG"


async def test_user_of_the_url_goes_with_a_password_alone(tokens: Tokens, connect: Connect) -> None:
    url = parse(f"redis://jobs@127.0.0.1:{tokens.server.port}")

    client = connect(replace(url, credentials=lambda: tokens.now))

    assert await client.call("ACL", "WHOAMI") == "jobs"


async def test_function_that_only_returns_a_coroutine_is_awaited(
    tokens: Tokens, connect: Connect
) -> None:
    asking: Callable[[], object] = functools.partial(lambda get: get(), tokens.coroutine)

    client = connect(replace(parse(tokens.server.url), credentials=asking))

    assert await client.call("ACL", "WHOAMI") == "jobs"


async def test_password_that_expired_on_the_way_is_asked_for_again(
    tokens: Tokens, connect: Connect
) -> None:
    said = iter(["expired", "expired"])

    def late() -> tuple[str, str]:
        return "jobs", next(said, tokens.now)

    client = connect(replace(parse(tokens.server.url), credentials=late))

    assert await client.call("ACL", "WHOAMI") == "jobs"
    assert next(said, None) is None


async def test_password_that_stays_wrong_is_told_and_not_shown(
    tokens: Tokens, connect: Connect
) -> None:
    address = parse(f"{tokens.server.url}?connect_timeout_s=2")

    with pytest.raises(StoreUnreachableError, match="'jobs' was not let in") as refused:
        await connect(replace(address, credentials=lambda: ("jobs", SECRET))).call("PING")

    assert "redis_credentials" in str(refused.value)
    assert SECRET not in str(refused.value)
    assert not refused.value.sent


async def test_function_that_raises_is_named_without_its_words(
    tokens: Tokens, connect: Connect
) -> None:
    def fails() -> str:
        raise OSError(SECRET)

    address = parse(f"{tokens.server.url}?connect_timeout_s=2")

    with pytest.raises(StoreUnreachableError, match="redis_credentials raised OSError") as away:
        await connect(replace(address, credentials=fails)).call("PING")
    assert SECRET not in str(away.value)
    assert not away.value.sent


async def test_function_that_hangs_is_given_up(tokens: Tokens, connect: Connect) -> None:
    async def hangs() -> str:
        await asyncio.Event().wait()
        return ""

    address = parse(f"{tokens.server.url}?connect_timeout_s=2")

    with pytest.raises(StoreUnreachableError, match=r"cannot be reached") as away:
        await connect(replace(address, credentials=hangs)).call("PING")
    assert not away.value.sent


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (None, "NoneType"),
        ("", "an empty text"),
        (b"pw", "bytes"),
        (("jobs",), r"a tuple of \(str\)"),
        (("jobs", None), r"a tuple of \(str, NoneType\)"),
        (("jobs", ""), r"a tuple of \(str, str\)"),
    ],
)
async def test_nonsense_is_refused_at_once(
    server: RedisServer, connect: Connect, said: object, shown: str
) -> None:
    client = connect(replace(parse(server.url), credentials=lambda: said))

    with pytest.raises(InvalidOptionError, match=f"it returned {shown}; expected a password"):
        await client.call("PING")


def test_function_and_password_of_the_url_are_refused() -> None:
    with pytest.raises(InvalidOptionError, match="has a password already") as refused:
        open_backend(f"redis://:{SECRET}@127.0.0.1", redis_credentials=lambda: "other")
    assert SECRET not in str(refused.value)


def test_function_for_a_file_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="only for a Redis server"):
        open_backend("sqlite://:memory:", redis_credentials=lambda: "other")


def test_what_is_no_function_is_refused_and_not_shown() -> None:
    text: object = SECRET

    with pytest.raises(InvalidOptionError, match="redis_credentials") as refused:
        open_backend("redis://127.0.0.1", redis_credentials=text)  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)
    assert "expected a function" in str(refused.value)


async def test_wrong_password_of_the_url_is_still_final(tokens: Tokens, connect: Connect) -> None:
    with pytest.raises(BackendError) as refused:
        await connect(f"redis://jobs:{SECRET}@127.0.0.1:{tokens.server.port}").call("PING")
    assert not isinstance(refused.value, StoreUnreachableError)
