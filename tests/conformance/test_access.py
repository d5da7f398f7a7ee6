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

    assert await backend.access.remove_user("jo") == "done"
    assert await backend.access.remove_user("jo") == "missing"

    assert await backend.access.users() == [user("ann")]
    assert not await backend.access.set_password("jo", password="new", stamp="2")


async def test_rights_are_changed_and_nothing_else(backend: Backend) -> None:
    await backend.access.add_user(user())

    assert await backend.access.change_user("jo", ANYWHERE, expected=LIMITED) == "done"

    assert await backend.access.find_user("jo") == user(grant=ANYWHERE)
    assert await backend.access.users() == [user(grant=ANYWHERE)]
    back = await backend.access.change_user("jo", LIMITED, expected=ANYWHERE)
    assert (back, await backend.access.find_user("jo")) == ("done", user())


async def test_rights_that_are_no_longer_the_expected_ones_stay(backend: Backend) -> None:
    await backend.access.add_user(user())

    for expected in (
        ANYWHERE,
        Grant("submitter", ("mail", "shop-*"), payloads=False),
        Grant("submitter", ("mail",), payloads=True),
        Grant("submitter", None, payloads=True),
        Grant("viewer", ("mail", "shop-*"), payloads=True),
    ):
        answer = await backend.access.change_user("jo", ANYWHERE, expected=expected)
        assert answer == "outdated", expected
    assert await backend.access.change_user("ann", ANYWHERE, expected=ANYWHERE) == "missing"

    assert await backend.access.users() == [user()]


LESS = [Grant("viewer"), Grant("admin", ("mail",)), Grant("operator", None, payloads=True)]


@pytest.mark.parametrize("less", LESS)
async def test_last_of_a_role_for_all_queues_keeps_it_where_one_has_to(
    backend: Backend, less: Grant
) -> None:
    change, remove = backend.access.change_user, backend.access.remove_user
    for one in (user(grant=ANYWHERE), user("part", Grant("admin", ("mail",))), user("low")):
        await backend.access.add_user(one)

    assert await change("jo", less, expected=ANYWHERE, keep_one="admin") == "last"
    assert await remove("jo", keep_one="admin") == "last"
    assert await backend.access.find_user("jo") == user(grant=ANYWHERE)

    seeing = Grant("admin", None, payloads=True)
    assert await change("jo", seeing, expected=ANYWHERE, keep_one="admin") == "done"
    assert await remove("part", keep_one="admin") == "done"
    assert await change("low", ANYWHERE, expected=LIMITED, keep_one="admin") == "done"
    assert await change("jo", less, expected=seeing, keep_one="admin") == "done"
    assert await remove("jo", keep_one="admin") == "done"
    assert await remove("jo", keep_one="admin") == "missing"
    assert await remove("low", keep_one="admin") == "last"
    assert await change("low", less, expected=ANYWHERE) == "done"
    assert await remove("low") == "done"


async def test_two_administrators_cannot_take_the_role_from_each_other_at_once(
    backend: Backend, open_another: Callable[[], Backend], kind: str
) -> None:
    other = backend if kind == "memory" else open_another()
    for _ in range(10):
        for name in ("jo", "ann"):
            await backend.access.add_user(user(name, ANYWHERE))

        done = await asyncio.gather(
            backend.access.change_user("jo", LESS[0], expected=ANYWHERE, keep_one="admin"),
            other.access.change_user("ann", LESS[0], expected=ANYWHERE, keep_one="admin"),
        )

        assert sorted(done) == ["done", "last"]
        for name in ("jo", "ann"):
            await backend.access.remove_user(name)


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


def session(digest: str, name: str = "jo", kind: str = "user", *, ends_ms: int) -> SessionRecord:
    return SessionRecord(
        digest, kind, name, "stamp", ends_ms, ends_ms - 9_000, ends_ms - 8_000, "192.0.2.1", "Fox/1"
    )


async def listed(backend: Backend, *people: tuple[str, str]) -> list[str]:
    """Return the digests of the sessions of some people."""
    return sorted(one.digest for one in await backend.access.sessions(people))


async def test_sessions_of_people_are_listed_as_they_were_begun(
    backend: Backend, clock: ManualClock
) -> None:
    later_ms = clock.now_ms() + 60_000
    one, two = session("one", ends_ms=later_ms), session("two", ends_ms=later_ms + 1)
    of_key = session("key", "jo", "key", ends_ms=later_ms)
    odd = session("odd", "ü:ser {access} '\"", ends_ms=later_ms)
    link = session("link", kind="link-user", ends_ms=later_ms)
    for each in (one, two, of_key, odd, link):
        await backend.access.add_session(each)

    found = await backend.access.sessions([("user", "jo")])
    assert sorted(found, key=lambda each: each.digest) == [one, two]
    assert await backend.access.sessions([("key", "jo")]) == [of_key]
    assert await backend.access.sessions([("user", odd.name)]) == [odd]
    assert await listed(backend, ("user", "jo"), ("user", odd.name)) == ["odd", "one", "two"]
    assert await listed(backend, ("user", "ann"), ("key", "ann")) == []
    assert await listed(backend) == []


async def test_session_that_ended_or_expired_is_not_listed(
    backend: Backend, clock: ManualClock
) -> None:
    now_ms = clock.now_ms()
    for digest, lasts_ms in (("short", 5_000), ("long", 60_000), ("ended", 60_000)):
        await backend.access.add_session(session(digest, ends_ms=now_ms + lasts_ms))

    await backend.access.remove_session("ended")
    clock.advance(5)

    assert await listed(backend, ("user", "jo")) == ["long"]
    await backend.access.add_session(session("next", ends_ms=now_ms + 90_000))
    assert await listed(backend, ("user", "jo")) == ["long", "next"]
    clock.advance(60)
    assert await listed(backend, ("user", "jo")) == ["next"]


async def test_last_use_of_a_session_is_written_down(backend: Backend, clock: ManualClock) -> None:
    begun = session("one", ends_ms=clock.now_ms() + 60_000)
    await backend.access.add_session(begun)
    seen = msgspec.structs.replace(
        begun, seen_ms=clock.now_ms(), place="2001:db8::/64", agent="Bär/2"
    )

    assert await backend.access.see_session(seen)

    assert await backend.access.find_session("one") == seen
    assert await backend.access.sessions([("user", "jo")]) == [seen]
    clock.advance(60)
    assert await backend.access.find_session("one") is None, "it ends when it would have"


async def test_session_that_was_ended_is_not_brought_back_by_its_last_use(
    backend: Backend, clock: ManualClock
) -> None:
    """Its request was found to be good a moment before."""
    begun = session("one", ends_ms=clock.now_ms() + 60_000)
    await backend.access.add_session(begun)
    await backend.access.remove_session("one")

    assert not await backend.access.see_session(begun)

    assert await backend.access.find_session("one") is None
    assert await listed(backend, ("user", "jo")) == []


async def test_all_sessions_of_somebody_end_and_no_others(
    backend: Backend, clock: ManualClock
) -> None:
    later_ms = clock.now_ms() + 60_000
    for digest in ("one", "two", "three"):
        await backend.access.add_session(session(digest, ends_ms=later_ms))
    await backend.access.add_session(session("key", kind="key", ends_ms=later_ms))
    await backend.access.add_session(session("ann", "ann", ends_ms=later_ms))

    assert await backend.access.remove_sessions("user", "jo", keep="two") == 2
    assert await listed(backend, ("user", "jo")) == ["two"]
    assert await backend.access.find_session("one") is None
    assert await backend.access.remove_sessions("user", "jo") == 1
    assert await backend.access.remove_sessions("user", "jo") == 0

    assert await listed(backend, ("user", "jo"), ("key", "jo"), ("user", "ann")) == ["ann", "key"]


async def test_more_sessions_than_one_command_takes_are_listed_and_ended(
    backend: Backend, clock: ManualClock
) -> None:
    later_ms = clock.now_ms() + 60_000
    for number in range(1_101):
        await backend.access.add_session(session(f"{number:04}", ends_ms=later_ms))

    assert len(await listed(backend, ("user", "jo"))) == 1_101
    assert await backend.access.remove_sessions("user", "jo", keep="0500") == 1_100

    assert await listed(backend, ("user", "jo")) == ["0500"]


async def test_nothing_of_access_is_a_queue(backend: Backend) -> None:
    """On Redis all keys lie in one space."""
    await backend.access.add_key(key())
    await backend.access.add_user(user())
    later_ms = backend.clock.now_ms() + 60_000
    await backend.access.add_session(SessionRecord("digest", "user", "jo", "s", later_ms))
    await backend.audit.append("{}", keep=5)

    assert await backend.counts.queues(search=True) == []
    assert (await backend.lifecycle.check()).ok
