"""Keys, users and sessions: hashes that are kept, found, and forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from toril.engine.contract import Backend, Grant, KeyRecord, SessionRecord, UserRecord
from toril.testing.clock import ManualClock

LIMITED = Grant("submitter", ("mail", "shop-*"), payloads=True)
ANYWHERE = Grant("admin")


def key(name: str = "deploy", digest: str | None = None, grant: Grant = LIMITED) -> KeyRecord:
    return KeyRecord(name, digest or f"digest of {name}", grant, 1_700_000_000_000)


def user(name: str = "jo", grant: Grant = LIMITED) -> UserRecord:
    return UserRecord(name, f"hash of {name}", "first", grant, 1_700_000_000_000)


@pytest.mark.parametrize("grant", [LIMITED, ANYWHERE, Grant("viewer", ())])
async def test_key_is_found_by_its_digest_as_it_was_added(backend: Backend, grant: Grant) -> None:
    added = msgspec.structs.replace(key(grant=grant), expires_ms=1_800_000_000_000)

    assert await backend.access.add_key(added)

    assert await backend.access.find_key(added.digest) == added
    assert await backend.access.find_key("digest of another") is None
    assert await backend.access.find_key(added.name) is None
    assert await backend.access.keys() == [added]


async def test_name_and_digest_of_a_key_are_its_own(backend: Backend) -> None:
    assert await backend.access.add_key(key())

    assert not await backend.access.add_key(key(digest="another"))
    assert not await backend.access.add_key(key("other", digest=key().digest))

    assert await backend.access.keys() == [key()]
    assert await backend.access.find_key("another") is None


async def test_keys_are_listed_by_name_and_forgotten_by_name(backend: Backend) -> None:
    for name in ("b", "a", "ü", "A"):
        assert await backend.access.add_key(key(name))
    assert [one.name for one in await backend.access.keys()] == ["A", "a", "b", "ü"]

    assert await backend.access.remove_key("a")
    assert not await backend.access.remove_key("a")

    assert await backend.access.find_key("digest of a") is None
    assert [one.name for one in await backend.access.keys()] == ["A", "b", "ü"]
    assert await backend.access.add_key(key("a"))


async def test_first_key_is_the_first_of_all(backend: Backend) -> None:
    assert await backend.access.add_key(key("admin"), only_first=True)
    assert not await backend.access.add_key(key("second"), only_first=True)
    assert await backend.access.add_key(key("third"))

    for name in ("admin", "third"):
        await backend.access.remove_key(name)
    assert await backend.access.add_user(user())
    assert not await backend.access.add_key(key("fourth"), only_first=True)

    await backend.access.remove_user("jo")
    assert await backend.access.add_key(key("fifth"), only_first=True)


async def test_of_many_first_keys_one_is_kept(
    backend: Backend, open_another: Callable[[], Backend], kind: str
) -> None:
    stores = [backend] if kind == "memory" else [backend, open_another(), open_another()]

    added = await asyncio.gather(
        *(
            stores[number % len(stores)].access.add_key(key(f"admin{number}"), only_first=True)
            for number in range(12)
        )
    )

    assert sum(added) == 1
    assert [one.name for one in await backend.access.keys()] == [f"admin{added.index(True)}"]


@pytest.mark.parametrize("grant", [LIMITED, ANYWHERE])
async def test_user_is_found_by_name_as_it_was_added(backend: Backend, grant: Grant) -> None:
    assert await backend.access.add_user(user(grant=grant))
    assert not await backend.access.add_user(user(grant=Grant("viewer")))

    assert await backend.access.find_user("jo") == user(grant=grant)
    assert await backend.access.find_user("Jo") is None
    assert await backend.access.users() == [user(grant=grant)]


async def test_password_is_changed_with_its_stamp_and_nothing_else(backend: Backend) -> None:
    await backend.access.add_user(user())

    assert await backend.access.set_password("jo", password="new", stamp="second")

    after = msgspec.structs.replace(user(), password="new", stamp="second")
    assert await backend.access.find_user("jo") == after
    assert await backend.access.users() == [after]
    assert not await backend.access.set_password("ann", password="new", stamp="second")
    assert await backend.access.find_user("ann") is None


async def test_password_is_changed_only_if_it_is_the_expected_one(backend: Backend) -> None:
    await backend.access.add_user(user())

    refused = await backend.access.set_password("jo", password="new", stamp="2", expected="old")
    assert not refused
    assert await backend.access.find_user("jo") == user()

    assert await backend.access.set_password("jo", password="new", stamp="2", expected="hash of jo")
    found = await backend.access.find_user("jo")
    assert found is not None
    assert (found.password, found.stamp) == ("new", "2")


async def test_users_are_forgotten_with_their_passwords(backend: Backend) -> None:
    for name in ("jo", "ann"):
        await backend.access.add_user(user(name))

    assert await backend.access.remove_user("jo")
    assert not await backend.access.remove_user("jo")

    assert await backend.access.users() == [user("ann")]
    assert not await backend.access.set_password("jo", password="new", stamp="2")


async def test_session_ends_at_its_moment_and_not_before(
    backend: Backend, clock: ManualClock
) -> None:
    session = SessionRecord("digest", "user", "jo", "first", clock.now_ms() + 5_000)
    await backend.access.add_session(session)

    clock.advance(4.999)
    assert await backend.access.find_session("digest") == session
    clock.advance(0.001)
    assert await backend.access.find_session("digest") is None


async def test_session_that_was_ended_is_gone(backend: Backend, clock: ManualClock) -> None:
    later_ms = clock.now_ms() + 60_000
    for digest in ("one", "two"):
        await backend.access.add_session(SessionRecord(digest, "key", "deploy", "s", later_ms))

    assert await backend.access.remove_session("one")
    assert not await backend.access.remove_session("one")

    assert await backend.access.find_session("one") is None
    assert await backend.access.find_session("two") is not None


async def test_nothing_of_access_is_a_queue(backend: Backend) -> None:
    """On Redis all keys lie in one space."""
    await backend.access.add_key(key())
    await backend.access.add_user(user())
    later_ms = backend.clock.now_ms() + 60_000
    await backend.access.add_session(SessionRecord("digest", "user", "jo", "s", later_ms))
    await backend.audit.append("{}", keep=5)

    assert await backend.counts.queues(search=True) == []
    assert (await backend.lifecycle.check()).ok
