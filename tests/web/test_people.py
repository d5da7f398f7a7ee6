"""People at the interface: rights that change while they work, and browsers that are signed out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx2
import msgspec
import pytest
from tests.support.waiting import wait_until
from tests.web.access.calling import PASSWORD, control, cookie_of
from tests.web.support import Served, serve

from toril import App
from toril.client import ApiError, AsyncClient
from toril.rest.answers import SessionLine
from toril.web.access.control import AccessControl

OWN = {"sec-fetch-site": "same-origin"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def access(app: App) -> AccessControl:
    return control(app)


@pytest.fixture
async def guarded(app: App, access: AccessControl) -> AsyncIterator[Served]:
    await app.queue("mail").add("send", {"to": "jo"})
    await access.users.add("jo", PASSWORD, role="operator", payloads=True)
    await access.users.add("ann", PASSWORD, role="admin")
    async with serve(app, access=access) as served:
        served.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield served


@pytest.fixture
async def admin(access: AccessControl, guarded: Served) -> AsyncIterator[AsyncClient]:
    """The generated client, with the key of an administrator."""
    key = await access.keys.add("ops", role="admin")
    async with AsyncClient(guarded.url, key) as client:
        yield client


async def enter(served: Served, name: str, agent: str = "curl/8") -> dict[str, str]:
    """Sign somebody in, and return what the browser sends from then on."""
    headers = {**OWN, "user-agent": agent}
    given = {"name": name, "password": PASSWORD}
    begun = await served.ask("POST", "/session", json=given, headers=headers)
    assert begun.status_code == 200, begun.text
    return {"cookie": cookie_of(begun.headers["set-cookie"]), **OWN}


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_rights_change_while_somebody_works(
    app: App, guarded: Served, admin: AsyncClient
) -> None:
    jo = await enter(guarded, "jo")
    assert (await guarded.ask("POST", "/queues/mail/pause", json={}, headers=jo)).is_success

    changed = await admin.change_user("jo", role="viewer", payloads=False, reason="a new team")

    assert (changed.role, changed.queues, changed.payloads) == ("viewer", None, False)
    refused = await guarded.ask("POST", "/queues/mail/resume", json={}, headers=jo)
    assert error_of(refused) == (403, "forbidden")
    assert error_of(await guarded.ask("GET", "/queues/mail/jobs/1/data", headers=jo))[0] == 403
    (listed,) = [user for user in (await admin.list_users()).items if user.name == "jo"]
    assert listed == changed
    (entry,) = (await app.audit.page(verb="users.change")).entries
    assert (entry.actor, entry.reason) == ("key:ops", "a new team")
    assert entry.before == {"role": "operator", "queues": None, "payloads": True}
    assert entry.after == {"role": "viewer", "queues": None, "payloads": False}


async def test_queues_are_limited_and_unlimited_again(admin: AsyncClient, guarded: Served) -> None:
    jo = await enter(guarded, "jo")

    limited = await admin.change_user("jo", queues=["shop-*"])
    assert limited.queues == ["shop-*"]
    assert error_of(await guarded.ask("GET", "/queues/mail", headers=jo)) == (403, "forbidden")
    free = await admin.change_user("jo", queues=None)

    assert (free.queues, free.role) == (None, "operator")
    assert (await guarded.ask("GET", "/queues/mail", headers=jo)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "invalid", "role"),
        ({"role": "king"}, 422, "invalid", "role"),
        ({"role": None}, 422, "invalid", "role"),
        ({"queues": []}, 422, "invalid", "queues"),
        ({"queues": ["a:b"]}, 422, "invalid", "queues"),
        ({"queues": [7]}, 422, "invalid", "queues[0]"),
        ({"payloads": "yes"}, 422, "invalid", "payloads"),
        ({"rolle": "viewer"}, 422, "unknown_field", "rolle"),
        ({"role": "viewer", "version": "another"}, 409, "changed_meanwhile", None),
    ],
)
async def test_rights_that_cannot_be_given_are_refused_by_name(
    guarded: Served, admin: AsyncClient, body: dict[str, Any], status: int, code: str,
    field: str | None,
) -> None:  # fmt: skip
    ann = await enter(guarded, "ann")
    before = await admin.list_users()

    answer = await guarded.ask("PATCH", "/users/jo", json=body, headers=ann)

    assert error_of(answer) == (status, code), answer.text
    assert answer.json()["error"].get("field") == field
    assert await admin.list_users() == before


async def test_change_that_would_undo_another_is_refused(admin: AsyncClient) -> None:
    (seen,) = [user for user in (await admin.list_users()).items if user.name == "jo"]
    await admin.change_user("jo", queues=["mail"], version=seen.version)

    with pytest.raises(ApiError, match="somebody has changed these rights") as raised:
        await admin.change_user("jo", role="admin", version=seen.version)

    assert (raised.value.status, raised.value.code) == (409, "changed_meanwhile")
    with pytest.raises(ApiError) as raised:
        await admin.change_user("nobody", role="admin")
    assert (raised.value.status, raised.value.code) == (404, "user_not_found")


async def test_last_administrator_stays_one(guarded: Served, admin: AsyncClient) -> None:
    ann = await enter(guarded, "ann")

    for body in ({"role": "viewer"}, {"queues": ["mail"]}):
        answer = await guarded.ask("PATCH", "/users/ann", json=body, headers=ann)
        assert error_of(answer) == (409, "last_administrator"), answer.text
        assert "'ann' is the last one" in answer.text
    answer = await guarded.ask("DELETE", "/users/ann", headers=ann)
    assert error_of(answer) == (409, "last_administrator")

    await admin.change_user("jo", role="admin")
    answer = await guarded.ask("PATCH", "/users/ann", json={"role": "viewer"}, headers=ann)
    assert answer.json()["role"] == "viewer"
    assert error_of(await guarded.ask("GET", "/users", headers=ann)) == (403, "forbidden")
    assert (await admin.remove_user("jo", last=True)).count == 1


async def test_who_is_no_administrator_changes_nobody(guarded: Served, admin: AsyncClient) -> None:
    jo = await enter(guarded, "jo")

    for method, path in (
        ("PATCH", "/users/jo"), ("GET", "/sessions"), ("DELETE", "/sessions?name=ann"),
        ("DELETE", "/sessions/0123456789abcdef"),
    ):  # fmt: skip
        body = {"json": {"role": "admin"}} if method == "PATCH" else {}
        answer = await guarded.ask(method, path, headers=jo, **body)
        assert error_of(answer) == (403, "forbidden"), path
    (found,) = [user for user in (await admin.list_users()).items if user.name == "jo"]
    assert found.role == "operator"


ENDINGS = ["rights", "password", "session", "all sessions", "own session", "user"]


@pytest.mark.parametrize("what", ENDINGS)
async def test_stream_that_is_open_ends_with_what_it_was_allowed_by(
    guarded: Served, admin: AsyncClient, what: str
) -> None:
    """It looked again once in half a minute, and told a queue's events until then."""
    jo = await enter(guarded, "jo")
    (one,) = (await admin.list_sessions(name="jo")).items

    async def listen() -> None:
        url = f"{guarded.url}/api/v1/stream?topics=queue:mail"
        async with guarded.http.stream("GET", url, headers=jo) as answer:
            assert answer.status_code == 200
            async for _ in answer.aiter_lines():
                pass

    listening = asyncio.ensure_future(listen())
    await wait_until(lambda: guarded.interface.live.open == 1)

    if what == "rights":
        await admin.change_user("jo", queues=["shop"])
    elif what == "password":
        await admin.set_password("jo", "another good password")
    elif what == "session":
        await admin.end_session(one.id)
    elif what == "all sessions":
        await admin.end_sessions("jo")
    elif what == "own session":
        answer = await guarded.ask("DELETE", f"/me/sessions/{one.id}", headers=jo)
        assert answer.is_success
    else:
        await admin.remove_user("jo")

    await asyncio.wait_for(listening, 10)


async def test_stream_of_somebody_else_goes_on(guarded: Served, admin: AsyncClient) -> None:
    ann = await enter(guarded, "ann")
    url = f"{guarded.url}/api/v1/stream?topics=queue:mail"
    async with guarded.http.stream("GET", url, headers=ann) as answer:
        lines = answer.aiter_lines()
        await wait_until(lambda: guarded.interface.live.open == 1)

        await admin.change_user("jo", role="viewer")
        await guarded.interface.app.queue("mail").add("send")

        async with asyncio.timeout(30):
            while "event: event" not in await anext(lines):
                pass


async def own_lines(served: Served, who: dict[str, str]) -> list[SessionLine]:
    answer = await served.ask("GET", "/me/sessions", headers=who)
    assert answer.status_code == 200, answer.text
    found: list[SessionLine] = [_line(item) for item in answer.json()["items"]]
    return found


def _line(item: dict[str, Any]) -> SessionLine:
    return msgspec.convert(item, SessionLine)


async def test_everybody_sees_own_sessions_and_ends_them(
    guarded: Served, admin: AsyncClient
) -> None:
    here = await enter(guarded, "jo", FIREFOX)
    there = await enter(guarded, "jo", "curl/8.14.1")
    ann = await enter(guarded, "ann")

    found = await own_lines(guarded, here)

    assert sorted((one.browser, one.current, one.name, one.kind) for one in found) == [
        ("Firefox 140, Linux", True, "jo", "user"), ("curl/8.14.1", False, "jo", "user"),
    ]  # fmt: skip
    assert {one.place for one in found} == {"127.0.0.1"}
    assert all(one.begun_at and one.seen_at and one.begun_at < one.expires_at for one in found)
    (other,) = [one for one in found if not one.current]
    ended = await guarded.ask("DELETE", f"/me/sessions/{other.id}", headers=here)
    assert ended.json()["count"] == 1
    assert (await guarded.ask("GET", "/me", headers=there)).status_code == 401
    again = await guarded.ask("DELETE", f"/me/sessions/{other.id}", headers=here)
    assert error_of(again) == (404, "session_not_found")
    assert (await guarded.ask("GET", "/me", headers=ann)).status_code == 200


async def test_session_of_somebody_else_is_not_found(guarded: Served, admin: AsyncClient) -> None:
    jo, ann = await enter(guarded, "jo"), await enter(guarded, "ann")
    (of_ann,) = await own_lines(guarded, ann)

    answer = await guarded.ask("DELETE", f"/me/sessions/{of_ann.id}", headers=jo)

    assert error_of(answer) == (404, "session_not_found")
    assert (await guarded.ask("GET", "/me", headers=ann)).status_code == 200


async def test_all_own_sessions_end_or_all_others(guarded: Served, access: AccessControl) -> None:
    browsers = [await enter(guarded, "jo") for _ in range(3)]
    ann = await enter(guarded, "ann")

    async def known() -> list[int]:
        asked = [await guarded.ask("GET", "/me", headers=one) for one in (*browsers, ann)]
        return [answer.status_code for answer in asked]

    others = await guarded.ask("DELETE", "/me/sessions?others=true", headers=browsers[1])
    assert (others.json()["count"], await known()) == (2, [401, 200, 401, 200])
    everywhere = await guarded.ask("DELETE", "/me/sessions", headers=browsers[1])
    assert (everywhere.json()["count"], await known()) == (1, [401, 401, 401, 200])


async def test_page_of_another_site_ends_no_session(guarded: Served) -> None:
    jo = await enter(guarded, "jo")

    answer = await guarded.ask(
        "DELETE", "/me/sessions", headers={**jo, "sec-fetch-site": "cross-site"}
    )

    assert error_of(answer) == (403, "cross_origin")
    assert (await guarded.ask("GET", "/me", headers=jo)).status_code == 200


async def test_key_sees_the_sessions_that_were_begun_with_it(
    guarded: Served, access: AccessControl, admin: AsyncClient
) -> None:
    key = await access.keys.add("board", role="viewer", queues=["mail"])
    begun = await guarded.ask("POST", "/session", json={"key": key}, headers=OWN)
    browser = {"cookie": cookie_of(begun.headers["set-cookie"])}
    async with AsyncClient(guarded.url, key) as client:
        (one,) = (await client.list_my_sessions()).items
        assert (one.kind, one.name, one.current) == ("key", "board", False)
        assert (await admin.list_my_sessions()).items == []

        assert (await client.end_my_sessions(others=True)).count == 1

    assert (await guarded.ask("GET", "/me", headers=browser)).status_code == 401
    assert (await admin.end_sessions("board", kind="key")).count == 0


async def test_administrator_sees_and_ends_the_sessions_of_others(
    app: App, guarded: Served, admin: AsyncClient
) -> None:
    jos = [await enter(guarded, "jo") for _ in range(3)]
    ann = await enter(guarded, "ann")

    assert [one.name for one in (await admin.list_sessions()).items].count("jo") == 3
    assert {one.name for one in (await admin.list_sessions(kind="user")).items} == {"jo", "ann"}
    assert (await admin.list_sessions(kind="key")).items == []
    found = (await admin.list_sessions(name="jo")).items
    assert len(found) == 3
    assert (await admin.end_session(found[0].id)).count == 1
    assert (await admin.end_sessions("jo")).count == 2

    asked = [await guarded.ask("GET", "/me", headers=one) for one in (*jos, ann)]
    assert [answer.status_code for answer in asked] == [401, 401, 401, 200]
    verbs = [entry.verb for entry in (await app.audit.page(actor="key:ops")).entries]
    assert verbs == ["sessions.end_all", "sessions.end"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/sessions/0123456789abcdef", 404, "session_not_found"),
        ("/sessions?name=nobody", 404, "user_not_found"),
        ("/sessions?name=nobody&kind=key", 404, "key_not_found"),
        ("/sessions", 422, "missing_field"),
        ("/sessions?name=jo&kind=host", 422, "invalid"),
        ("/sessions?name=", 422, "invalid"),
        ("/me/sessions?others=perhaps", 422, "invalid"),
        ("/me/sessions?all=true", 422, "unknown_parameter"),
        ("/users/jo?last=perhaps", 422, "invalid"),
    ],
)
async def test_session_or_person_that_is_none_is_named(
    guarded: Served, path: str, status: int, code: str
) -> None:
    ann = await enter(guarded, "ann")

    answer = await guarded.ask("DELETE", path, headers=ann)

    assert error_of(answer) == (status, code), answer.text
    assert (await guarded.ask("GET", "/me", headers=ann)).status_code == 200


async def test_server_without_access_control_has_no_sessions_of_its_own(
    app: App, served: Served
) -> None:
    await control(app).users.add("jo", PASSWORD, role="viewer")
    async with AsyncClient(served.url) as anybody:
        assert (await anybody.list_my_sessions()).items == []
        assert (await anybody.end_my_sessions()).count == 0
        assert (await anybody.list_sessions()).items == []
        with pytest.raises(ApiError, match="no session 'x'"):
            await anybody.end_my_session("x")
