"""Browsers at the interface: they sign in, work, and are no tool of other sites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx2
import pytest
from tests.web.access.calling import PASSWORD, control, cookie_of
from tests.web.support import Served, serve

from toril import App
from toril.web.access.control import AccessControl

OWN = {"sec-fetch-site": "same-origin"}
FOREIGN = [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}]


@pytest.fixture
def access(app: App) -> AccessControl:
    return control(app)


@pytest.fixture
async def guarded(app: App, access: AccessControl) -> AsyncIterator[Served]:
    await app.queue("mail").add("send", {"to": "jo"})
    await access.users.add("jo", PASSWORD, role="operator", payloads=True)
    async with serve(app, access=access) as served:
        served.http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield served


async def sign_in(served: Served, **given: Any) -> httpx2.Response:
    return await served.ask("POST", "/session", json=given, headers=OWN)


async def test_user_signs_in_works_and_signs_out(app: App, guarded: Served) -> None:
    begun = await sign_in(guarded, name="jo", password=PASSWORD)
    assert (begun.status_code, begun.json()["name"], begun.json()["kind"]) == (200, "jo", "user")
    assert begun.headers["cache-control"] == "no-store"
    cookie = {"cookie": cookie_of(begun.headers["set-cookie"])}

    seen = await guarded.ask("GET", "/queues/mail/jobs", headers=cookie)
    paused = await guarded.ask("POST", "/queues/mail/pause", json={}, headers=cookie | OWN)
    ended = await guarded.ask("POST", "/session/end", json={}, headers=cookie | OWN)
    after = await guarded.ask("GET", "/queues/mail/jobs", headers=cookie)

    assert seen.json()["items"][0]["data_preview"] == '{"to":"jo"}'
    assert (paused.status_code, ended.status_code, after.status_code) == (200, 200, 401)
    assert "max-age=0" in ended.headers["set-cookie"].lower()
    (entry,) = (await app.audit.page(verb="pause")).entries
    assert entry.actor == "user:jo"


@pytest.mark.parametrize("foreign", FOREIGN, ids=["fetch metadata", "origin", "neither"])
async def test_page_of_another_site_changes_nothing(
    app: App, guarded: Served, foreign: dict[str, str]
) -> None:
    begun = await sign_in(guarded, name="jo", password=PASSWORD)
    cookie = {"cookie": cookie_of(begun.headers["set-cookie"])}

    pause = await guarded.ask("POST", "/queues/mail/pause", json={}, headers=cookie | foreign)
    remove = await guarded.ask("DELETE", "/queues/mail/jobs/1", headers=cookie | foreign)
    login = await guarded.ask(
        "POST", "/session", json={"name": "jo", "password": PASSWORD},
        headers={"sec-fetch-site": "cross-site"},
    )  # fmt: skip

    for answer in (pause, remove, login):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_origin")
    info = await app.queue("mail").info()
    assert info is not None
    assert (info.paused, info.waiting) == (False, 1)


async def test_session_begun_with_a_key_ends_with_it(
    guarded: Served, access: AccessControl
) -> None:
    key = await access.keys.add("laptop", role="viewer")

    begun = await sign_in(guarded, key=key)
    cookie = {"cookie": cookie_of(begun.headers["set-cookie"])}
    before = await guarded.ask("GET", "/me", headers=cookie)
    await access.keys.remove("laptop")
    after = await guarded.ask("GET", "/me", headers=cookie)

    assert (before.json()["name"], before.json()["role"]) == ("laptop", "viewer")
    assert (after.status_code, after.json()["error"]["code"]) == (401, "unauthenticated")


async def test_stolen_session_ends_with_the_password(
    guarded: Served, access: AccessControl
) -> None:
    begun = await sign_in(guarded, name="jo", password=PASSWORD)
    cookie = {"cookie": cookie_of(begun.headers["set-cookie"])}
    key = await access.keys.add("chief", role="admin")
    other = {"password": "another horse battery"}

    by_jo = await guarded.ask("PUT", "/users/jo/password", json=other, headers=cookie | OWN)
    before = await guarded.ask("GET", "/me", headers=cookie)
    by_chief = await guarded.ask(
        "PUT", "/users/jo/password", json=other, headers={"authorization": f"Bearer {key}"}
    )
    after = await guarded.ask("GET", "/me", headers=cookie)

    assert by_jo.status_code == 403  # an operator manages no users
    assert (before.status_code, by_chief.status_code, after.status_code) == (200, 200, 401)


async def test_guesses_are_told_when_to_come_back_and_tell_nothing(guarded: Served) -> None:
    answers = [await sign_in(guarded, name="jo", password=f"a wrong guess {n}") for n in range(7)]
    nobody = await sign_in(guarded, name="nobody", password="a wrong guess 0")

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) > 1
    assert nobody.json()["detail"] == answers[0].json()["detail"]
    assert "set-cookie" not in answers[0].headers


@pytest.mark.parametrize("body", [{}, {"name": "jo"}, {"password": PASSWORD}])
async def test_sign_in_without_what_it_needs_is_refused(guarded: Served, body: Any) -> None:
    answer = await sign_in(guarded, **body)

    assert answer.status_code == 422
    assert "give name and password, or a key" in answer.json()["detail"]
