"""Sessions: who is signed in since when and from where, and how others are signed out."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing

import msgspec
import pytest
from tests.web.access.calling import PASSWORD, call, control, cookie_of, own

from toril import App, Settings, acting
from toril.core.clock import moment
from toril.engine.contract import SessionRecord
from toril.testing.clock import ManualClock
from toril.web.access.control import AccessControl
from toril.web.access.port import Unauthenticated
from toril.web.access.session_list import SessionInfo, SessionList

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
async def sessions(app: App, access: AccessControl) -> SessionList:
    for name in ("jo", "ann"):
        await access.users.add(name, PASSWORD, role="viewer")
    return SessionList(app)


async def enter(access: AccessControl, name: str, **more: str) -> str:
    """Sign somebody in, and return the cookie."""
    return cookie_of((await access.sessions.sign_in(own(**more), name, PASSWORD)).set_cookie)


async def known(access: AccessControl, cookie: str) -> bool:
    try:
        await access.identify(call(cookie=cookie))
    except Unauthenticated:
        return False
    return True


def names(found: list[SessionInfo]) -> list[tuple[str, str]]:
    return sorted((one.kind, one.name) for one in found)


async def test_session_says_since_when_and_from_where(
    access: AccessControl, sessions: SessionList, clock: ManualClock
) -> None:
    begun_at = moment(clock.now_ms())
    cookie = await enter(access, "jo", user_agent=FIREFOX, place="2001:db8:1:2:3::4")

    (found,) = await sessions.list()

    assert (found.kind, found.name, found.current) == ("user", "jo", False)
    assert (found.begun_at, found.seen_at) == (begun_at, begun_at)
    assert (found.expires_at - begun_at).total_seconds() == 12 * 3600
    assert (found.place, found.browser) == ("2001:db8:1:2::/64", "Firefox 140, Linux")
    assert found.agent == FIREFOX
    current = access.sessions.current(call(cookie=cookie))
    assert [one.current for one in await sessions.list("user", "jo", current=current)] == [True]
    with_key = call(cookie=cookie, key="a key")
    assert access.sessions.current(with_key) is None
    assert access.sessions.current(call()) is None


async def test_last_use_is_written_down_once_a_minute_and_not_with_each_request(
    access: AccessControl, sessions: SessionList, clock: ManualClock
) -> None:
    """A write with every request would cost more than the request."""
    cookie = await enter(access, "jo", user_agent=FIREFOX)
    begun_ms = clock.now_ms()

    async def seen_after(seconds: float, **more: str) -> tuple[float, str, str]:
        """Return when a session was seen last, since its begin in seconds, from where, by what."""
        clock.advance(seconds)
        several = [call(cookie=cookie, **more) for _ in range(5)]
        await asyncio.gather(*map(access.identify, several))
        (found,) = await sessions.list("user", "jo")
        assert found.begun_at == moment(begun_ms)
        assert found.seen_at is not None
        return (found.seen_at - found.begun_at).total_seconds(), found.place, found.browser

    assert await seen_after(30, place="192.0.2.9") == (0, "192.0.2.1", "Firefox 140, Linux")
    assert await seen_after(29.9) == (0, "192.0.2.1", "Firefox 140, Linux")
    phone = (60, "192.0.2.9", "Safari 18, iPhone")
    assert await seen_after(0.1, place="192.0.2.9", user_agent=PHONE) == phone
    assert await seen_after(59) == phone
    assert await seen_after(1) == (120, "192.0.2.1", "")


async def test_store_that_cannot_be_written_lets_who_is_signed_in_go_on(
    app: App, access: AccessControl, sessions: SessionList, clock: ManualClock, kind: str,
    url: str, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    cookie = await enter(access, "jo")
    if kind == "redis":
        await left(app, "SET", "sessions:user:jo", "no list")
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON access_sessions"
                " BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
    clock.advance(61)

    with caplog.at_level(logging.WARNING):
        assert await known(access, cookie)
        assert await known(access, cookie)

    assert caplog.text.count("that a session is used could not be written down") == 1


async def left(app: App, *command: str) -> None:
    """Change a key of access behind the store's back."""
    store = app.backend().access
    verb, part, *rest = command
    await store._client.call(verb, store._keys.access(part), *rest)  # type: ignore[attr-defined] # Redis's


async def test_sessions_are_listed_of_all_of_a_kind_and_of_one(
    app: App, access: AccessControl, sessions: SessionList, clock: ManualClock
) -> None:
    key = await access.keys.add("jo", role="viewer")
    for name in ("jo", "ann", "jo"):
        await enter(access, name)
        clock.advance(1)
    await access.sessions.sign_in_with_key(own(), key)
    await access.links.for_user("ann")

    assert names(await sessions.list()) == [
        ("key", "jo"), ("user", "ann"), ("user", "jo"), ("user", "jo"),
    ]  # fmt: skip
    assert names(await sessions.list("key")) == [("key", "jo")]
    assert names(await sessions.list("user", "jo")) == [("user", "jo")] * 2
    assert names(await sessions.list(None, "jo")) == [("key", "jo"), *[("user", "jo")] * 2]
    assert await sessions.list("user", "nobody") == []
    assert await sessions.list("host", "jo") == []
    seen = [one.seen_at for one in await sessions.list() if one.seen_at]
    assert seen == sorted(seen, reverse=True)


async def test_session_that_lets_nobody_in_is_not_listed(
    access: AccessControl, sessions: SessionList, clock: ManualClock
) -> None:
    """It is kept until it expires, but its password or its key is another one by now."""
    for name in ("jo", "ann"):
        await enter(access, name)
    short = await access.keys.add("short", role="viewer", expires=600)
    gone = await access.keys.add("gone", role="viewer")
    for key in (short, gone):
        await access.sessions.sign_in_with_key(own(), key)
    assert len(await sessions.list()) == 4

    await access.users.set_password("jo", "another good password")
    await access.users.remove("ann")
    await access.users.add("ann", PASSWORD, role="viewer")
    await access.keys.remove("gone")
    await access.keys.add("gone", role="viewer")
    clock.advance(600)

    assert await sessions.list() == []
    assert await sessions.end_all("key", "short") is None


async def test_one_session_is_ended_and_the_others_go_on(
    app: App, access: AccessControl, sessions: SessionList
) -> None:
    stolen = await enter(access, "jo", user_agent=PHONE)
    kept = await enter(access, "jo", user_agent=FIREFOX)
    (one,) = [each for each in await sessions.list() if each.agent == PHONE]

    with acting("user:admin", "a lost phone"):
        assert await sessions.end(one.id)
        assert not await sessions.end(one.id)

    assert not await known(access, stolen)
    assert await known(access, kept)
    assert [each.agent for each in await sessions.list()] == [FIREFOX]
    (entry,) = (await app.audit.page(verb="sessions.end")).entries
    assert entry.arguments == {"kind": "user", "name": "jo", "id": one.id}
    assert (entry.actor, entry.reason) == ("user:admin", "a lost phone")


async def test_session_of_somebody_else_is_not_ended_as_ones_own(
    access: AccessControl, sessions: SessionList
) -> None:
    cookie = await enter(access, "jo")
    (one,) = await sessions.list()

    assert not await sessions.end(one.id, ("user", "ann"))
    assert not await sessions.end(one.id, ("key", "jo"))
    assert not await sessions.end(one.id, ("host", "jo"))

    assert await known(access, cookie)
    assert await sessions.end(one.id, ("user", "jo"))


@pytest.mark.parametrize("session_id", ["", "0" * 16, "x", "\n", "f" * 5_000])
async def test_session_that_is_none_is_not_ended(
    access: AccessControl, sessions: SessionList, session_id: str
) -> None:
    cookie = await enter(access, "jo")

    assert not await sessions.end(session_id)

    assert await known(access, cookie)


async def test_expired_session_is_neither_listed_nor_ended(
    access: AccessControl, sessions: SessionList, clock: ManualClock
) -> None:
    await enter(access, "jo")
    (one,) = await sessions.list()

    clock.advance(12 * 3600)

    assert await sessions.list() == []
    assert not await sessions.end(one.id)


async def test_all_sessions_of_somebody_end_or_all_but_one(
    app: App, access: AccessControl, sessions: SessionList
) -> None:
    jos = [await enter(access, "jo") for _ in range(4)]
    ann = await enter(access, "ann")
    keep = access.sessions.current(call(cookie=jos[0]))

    with acting("user:jo"):
        assert await sessions.end_all("user", "jo", keep=keep) == 3
        assert [await known(access, cookie) for cookie in jos] == [True, False, False, False]
        assert await sessions.end_all("user", "jo") == 1
        assert await sessions.end_all("user", "jo") == 0
        assert await sessions.end_all("user", "nobody") is None
        assert await sessions.end_all("host", "jo") is None

    assert not await known(access, jos[0])
    assert await known(access, ann)
    entries = (await app.audit.page(verb="sessions.end_all")).entries
    assert [entry.arguments for entry in entries] == [
        {"kind": "user", "name": "jo", "others": False, "ended": 1},
        {"kind": "user", "name": "jo", "others": True, "ended": 3},
    ]


async def test_ended_session_stays_ended_while_its_requests_are_under_way(
    access: AccessControl, sessions: SessionList, clock: ManualClock
) -> None:
    """What writes down its last use must not bring it back."""
    cookie = await enter(access, "jo")
    (one,) = await sessions.list()
    clock.advance(61)

    await asyncio.gather(
        *(access.identify(call(cookie=cookie)) for _ in range(5)),
        sessions.end(one.id),
        return_exceptions=True,
    )

    assert not await known(access, cookie)
    assert await sessions.list() == []


async def test_session_of_the_settings_key_is_listed(url: str, clock: ManualClock) -> None:
    own_key = "k" * 40
    settings = Settings(admin_key=own_key)
    async with App(url, durability="normal", clock=clock, settings=settings) as app:
        access = control(app)
        begun = await access.sessions.sign_in_with_key(own(), own_key)

        (one,) = await SessionList(app).list("key", begun.principal.name)

        assert await SessionList(app).end(one.id)
        assert not await known(access, cookie_of(begun.set_cookie))


async def test_session_of_an_earlier_version_is_known_and_listed_from_its_next_use(
    app: App, access: AccessControl, sessions: SessionList, kind: str, clock: ManualClock
) -> None:
    """It has neither a moment nor a place, and on Redis no list names it."""
    cookie = await enter(access, "jo")
    store = app.backend().access
    digest = access.sessions.current(call(cookie=cookie))
    assert digest is not None
    new = await store.find_session(digest)
    assert new is not None
    old = SessionRecord(*msgspec.structs.astuple(new)[:5])
    await store.remove_session(digest)
    await store.add_session(old)
    if kind == "redis":
        await left(app, "DEL", "sessions:user:jo")

    assert await known(access, cookie)

    (found,) = await sessions.list()
    assert (found.begun_at, found.seen_at) == (None, moment(clock.now_ms()))
    assert found.place == "192.0.2.1"
    assert await sessions.end_all("user", "jo") == 1
    assert not await known(access, cookie)
