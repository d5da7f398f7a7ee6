"""What every store of subscriptions promises, on every adapter."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.push_endpoint import Browser

from toril import InvalidOptionError
from toril.core.clock import moment
from toril.services.push.memory_subscriptions import MemorySubscriptions
from toril.services.push.sql_subscriptions import SqlSubscriptions
from toril.services.push.subscriptions import SubscriptionStore
from toril.services.records.engines import PoolOptions
from toril.services.records.records import Records
from toril.testing.clock import ManualClock


def browser() -> Browser:
    return Browser(f"https://push.example/{secrets.token_hex(8)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def lasting_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database, which several objects may open. On PostgreSQL it is shared between tests."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/push.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[SubscriptionStore]:
    made: SubscriptionStore
    if request.param == "memory":
        made = MemorySubscriptions(clock=clock)
    elif request.param == "sqlite":
        made = SqlSubscriptions(f"sqlite:///{tmp_path}/push.db", clock=clock)
    else:
        made = SqlSubscriptions(request.getfixturevalue("postgres_url"), clock=clock)
    yield made
    await made.close()


@pytest.fixture
def user() -> str:
    """A user that no other test has."""
    return f"u-{secrets.token_hex(6)}"


async def test_subscription_is_found_by_its_user(
    store: SubscriptionStore, user: str, clock: ManualClock
) -> None:
    one = browser()

    stored = await store.add(user, one.subscription)

    assert await store.of_user(user) == [stored]
    assert stored.user_id == user
    assert stored.created_at == moment(clock.now_ms())
    assert (stored.endpoint, stored.p256dh, stored.auth) == (
        one.subscription.endpoint,
        one.subscription.p256dh,
        one.subscription.auth,
    )


async def test_user_without_any_has_none(store: SubscriptionStore, user: str) -> None:
    assert list(await store.of_user(user)) == []


async def test_oldest_comes_first(store: SubscriptionStore, user: str, clock: ManualClock) -> None:
    added = []
    for _ in range(5):
        added.append(await store.add(user, browser().subscription))
        clock.advance(1)

    assert list(await store.of_user(user)) == added


async def test_same_browser_again_has_its_new_keys_and_its_old_id(
    store: SubscriptionStore, user: str, clock: ManualClock
) -> None:
    one = browser()
    first = await store.add(user, one.subscription)
    clock.advance(60)

    again = await store.add(user, Browser(one.endpoint).subscription)

    assert again.id == first.id
    assert again.created_at == first.created_at
    assert again.p256dh != first.p256dh
    assert await store.of_user(user) == [again]


async def test_browser_belongs_to_who_signed_in_last(store: SubscriptionStore, user: str) -> None:
    one = browser()
    await store.add(user, one.subscription)

    stored = await store.add(f"{user}-2", one.subscription)

    assert list(await store.of_user(user)) == []
    assert await store.of_user(f"{user}-2") == [stored]


async def test_several_users_are_looked_up_at_once(store: SubscriptionStore, user: str) -> None:
    first = await store.add(f"{user}-a", browser().subscription)
    second = await store.add(f"{user}-b", browser().subscription)
    await store.add(f"{user}-z", browser().subscription)
    many = [f"{user}-{number}" for number in range(1200)]

    found = await store.of_users([f"{user}-a", f"{user}-b", f"{user}-c", *many])

    assert found[f"{user}-a"] == [first]
    assert found[f"{user}-b"] == [second]
    assert found[f"{user}-c"] == []
    assert len(found) == 1203


async def test_subscription_is_removed_by_its_id_once(store: SubscriptionStore, user: str) -> None:
    gone, stays = browser(), browser()
    stored = await store.add(user, gone.subscription)
    await store.add(user, stays.subscription)

    assert await store.remove(stored.id)
    assert not await store.remove(stored.id)

    assert [one.endpoint for one in await store.of_user(user)] == [stays.endpoint]


async def test_only_its_user_removes_an_endpoint(store: SubscriptionStore, user: str) -> None:
    one = browser()
    await store.add(user, one.subscription)

    assert not await store.remove_endpoint(f"{user}-2", one.endpoint)
    assert len(await store.of_user(user)) == 1
    assert await store.remove_endpoint(user, one.endpoint)
    assert not await store.remove_endpoint(user, one.endpoint)
    assert list(await store.of_user(user)) == []


async def test_pages_have_each_subscription_once(store: SubscriptionStore, user: str) -> None:
    added = {(await store.add(user, browser().subscription)).id for _ in range(7)}
    found: list[str] = []
    after = None

    while page := await store.page(after=after, limit=3):
        assert len(page) <= 3
        found += [one.id for one in page]
        after = found[-1]

    assert found == sorted(found)
    assert added <= set(found)
    assert len(set(found)) == len(found)
    with pytest.raises(InvalidOptionError, match="limit=0"):
        await store.page(limit=0)


async def test_texts_of_any_alphabet_are_kept(store: SubscriptionStore, user: str) -> None:
    odd = f"{user}-Ünï'\"; DROP TABLE x; --"

    stored = await store.add(odd, browser().subscription)

    assert await store.of_user(odd) == [stored]


async def test_store_may_be_used_again_after_it_was_closed(lasting_url: str, user: str) -> None:
    store = SqlSubscriptions(lasting_url)
    stored = await store.add(user, browser().subscription)
    await store.close()

    assert await store.of_user(user) == [stored]
    await store.close()


async def test_adding_at_once_loses_none(lasting_url: str, user: str) -> None:
    databases = [Records(lasting_url, pool=PoolOptions(size=3, overflow=0)) for _ in range(3)]
    stores = [SqlSubscriptions(database) for database in databases]
    same = browser()

    await asyncio.gather(
        *(store.add(user, browser().subscription) for store in stores for _ in range(10)),
        *(store.add(user, same.subscription) for store in stores),
    )

    assert len(await stores[0].of_user(user)) == 31
    for store in stores:
        await store.close()  # the database is not its own
    assert len(await stores[0].of_user(user)) == 31
    for database in databases:
        await database.close()


async def test_lookups_at_once_each_get_their_own(lasting_url: str, user: str) -> None:
    store = SqlSubscriptions(lasting_url)
    added = [await store.add(f"{user}-{n % 10}", browser().subscription) for n in range(20)]

    found = await asyncio.gather(*(store.of_user(f"{user}-{n % 12}") for n in range(60)))

    for number, mine in enumerate(found):
        assert {one.id for one in mine} == {
            one.id for one in added if one.user_id == f"{user}-{number % 12}"
        }
    await store.close()


async def test_lookup_that_is_given_up_harms_no_other(lasting_url: str, user: str) -> None:
    store = SqlSubscriptions(lasting_url)
    stored = await store.add(user, browser().subscription)

    lookups = [asyncio.ensure_future(store.of_user(user)) for _ in range(10)]
    await asyncio.sleep(0)
    lookups[0].cancel()
    found = await asyncio.gather(*lookups, return_exceptions=True)

    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [[stored]] * 9
    await store.close()


async def test_database_that_is_away_is_an_error_of_each_lookup(tmp_path: Path, user: str) -> None:
    store = SqlSubscriptions(f"sqlite:///{tmp_path}/push.db")
    (tmp_path / "push.db").mkdir()

    found = await asyncio.gather(*(store.of_user(user) for _ in range(3)), return_exceptions=True)
    (tmp_path / "push.db").rmdir()

    assert {type(one).__name__ for one in found} == {"OperationalError"}
    assert list(await store.of_user(user)) == []
    await store.close()


async def test_file_of_subscriptions_is_its_users_alone(tmp_path: Path, user: str) -> None:
    store = SqlSubscriptions(f"sqlite:///{tmp_path}/push.db")
    await store.add(user, browser().subscription)
    await store.close()

    assert os.stat(tmp_path / "push.db").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///"])
def test_database_that_ends_with_its_process_is_refused(url: str) -> None:
    with pytest.raises(InvalidOptionError, match="has to outlive the process"):
        SqlSubscriptions(url)


async def test_errors_do_not_repeat_an_endpoint(tmp_path: Path, user: str) -> None:
    store = SqlSubscriptions(f"sqlite:///{tmp_path}")
    secret = replace(browser().subscription, endpoint="https://push.example/secret")

    with pytest.raises(Exception, match="unable to open") as failed:
        await store.add(user, secret)

    assert "secret" not in str(failed.value)
    await store.close()
