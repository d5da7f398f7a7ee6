"""The page of sessions: one's own for everybody, all for administrators, and signing out."""

from __future__ import annotations

import pytest
from tests.web.dashboard.support import SAME, Reader, Site, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App
from toril.web.access.session_list import SessionList

HOSTILE = "<script>alert(1)</script> Windows"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def come(pages: Site, who: str, agent: str) -> None:
    """Sign somebody in with a browser."""
    pages.http.headers["user-agent"] = agent
    await enter(pages, who)


async def test_everybody_sees_where_they_are_signed_in_and_signs_out_there(app: App) -> None:
    access = await guarded(app)
    async with site(app, access=access) as here, site(app, access=access) as there:
        await come(here, "viewer", FIREFOX)
        await come(there, "viewer", HOSTILE)
        link = (await here.read("/queues")).all("a", href="/sessions")
        assert link, "the menu leads there"
        answer = await here.get("/sessions")
        found = Reader(answer.text)
        assert "Firefox 140, Linux this browser 127.0.0.1" in found.text
        assert "<script>alert(1)</script>, Windows 127.0.0.1" in found.text
        assert "<script>alert" not in answer.text
        assert "Everybody's" not in found.text
        (row,) = found.all("form", action="/act/end_my_session")
        assert row["method"] == "post"
        (session_id,) = [one["value"] for one in found.all("input", name="session_id")]

        page = await here.act("end_my_session", session_id=str(session_id), next="/sessions")
        assert "That browser is signed out." in page.text
        assert (await there.get("/queues")).status_code == 303
        assert (await here.get("/queues")).status_code == 200
        again = await here.act("end_my_session", session_id=str(session_id), next="/sessions")
        assert "no session" in again.text


async def test_all_others_are_signed_out_at_once(app: App) -> None:
    access = await guarded(app)
    async with (
        site(app, access=access) as here,
        site(app, access=access) as one,
        site(app, access=access) as two,
    ):
        for pages in (one, two, here):
            await enter(pages, "operator")
        form = (await here.read("/sessions")).all("form", action="/act/end_my_sessions")
        assert len(form) == 1

        page = await here.act("end_my_sessions", others="true", next="/sessions")

        assert "Browsers that were signed out: 2." in page.text
        assert not page.all("form", action="/act/end_my_sessions")
        assert [(await pages.get("/")).status_code for pages in (here, one, two)] == [200, 303, 303]


async def test_administrator_sees_all_and_signs_others_out(app: App) -> None:
    access = await guarded(app)
    key = await access.keys.add("board", role="viewer")
    async with (
        site(app, access=access) as pages,
        site(app, access=access) as theirs,
        site(app, access=access) as other,
    ):
        await come(theirs, "operator", FIREFOX)
        assert (await other.post("/login", {"key": key, "next": "/"})).status_code == 303
        await enter(pages, "admin")

        found = await pages.read("/sessions")
        assert "Everybody's" in found.text
        assert "operator Firefox 140, Linux 127.0.0.1" in found.text
        assert "board key" in found.text
        rights = await pages.read("/access?user=operator")
        assert rights.all("a", href="/sessions?user=operator#all")
        of_key = await pages.read("/sessions?key=board")
        assert "Sessions of key board" in of_key.text
        of_one = await pages.read("/sessions?user=operator")
        assert "Sessions of user operator" in of_one.text
        assert len(of_one.all("form", action="/act/end_sessions")) == 1

        page = await pages.act("end_sessions", kind="user", name="operator", next="/sessions")
        assert "Browsers that were signed out: 1." in page.text
        assert (await theirs.get("/")).status_code == 303
        (one,) = await SessionList(app).list("key", "board")
        page = await pages.act("end_session", session_id=one.id, next="/sessions")
        assert "That browser is signed out." in page.text
        assert (await other.get("/")).status_code == 303
        page = await pages.act("end_sessions", kind="user", name="nobody", next="/sessions")
        assert "no user" in page.text
        page = await pages.act("end_sessions", kind="user", name="", next="/sessions")
        assert "name is missing" in page.text
        nobody = await pages.read("/sessions?user=nobody")
        assert "Nobody is signed in." in nobody.text


@pytest.mark.parametrize("who", ["viewer", "submitter", "operator", "part"])
async def test_who_is_no_administrator_sees_and_ends_own_sessions_only(app: App, who: str) -> None:
    access = await guarded(app)
    await access.users.add("part", "part has a password", role="admin", queues=["mail"])
    async with site(app, access=access) as pages, site(app, access=access) as theirs:
        await enter(theirs, "admin")
        await enter(pages, who)
        (of_admin,) = await SessionList(app).list("user", "admin")

        for path in ("/sessions", "/sessions?user=admin"):
            found = await pages.read(path)
            assert "Everybody's" not in found.text
            assert of_admin.id not in found.text
            assert not found.all("form", action="/act/end_session")
        for route, fields in (
            ("end_session", {"session_id": of_admin.id}),
            ("end_my_session", {"session_id": of_admin.id}),
            ("end_sessions", {"kind": "user", "name": "admin"}),
        ):
            page = await pages.act(route, next="/sessions", **fields)
            assert "may not" in page.text or "no session" in page.text, route
        assert (await theirs.get("/")).status_code == 200


async def test_page_of_another_site_signs_nobody_out(app: App) -> None:
    async with site(app, access=await guarded(app)) as pages:
        await enter(pages, "viewer")
        foreign = {**SAME, "sec-fetch-site": "cross-site"}

        answer = await pages.post("/act/end_my_sessions", {"next": "/"}, headers=foreign)

        assert answer.status_code == 403
        assert (await pages.get("/")).status_code == 200


async def test_who_signs_the_own_browser_out_is_asked_to_sign_in(app: App) -> None:
    async with site(app, access=await guarded(app)) as pages:
        await enter(pages, "viewer")

        await pages.act("end_my_sessions", next="/sessions")

        answer = await pages.get("/sessions")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=%2Fsessions&why=ended")


async def test_server_that_asks_nobody_who_it_is_has_none(app: App, pages: Site) -> None:
    found = await pages.read("/sessions")

    assert "you are known by the application" in found.text
    assert "Nobody is signed in." in found.text
    assert not (await pages.read("/queues")).all("a", href="/sessions")


async def test_it_is_read_in_german(app: App) -> None:
    access = await guarded(app)
    async with site(app, access=access) as pages:
        await enter(pages, "admin")
        german = {"accept-language": "de"}

        mine = Reader((await pages.get("/sessions", headers=german)).text)
        rights = Reader((await pages.get("/access?user=admin", headers=german)).text)

    assert "Wo Sie angemeldet sind" in mine.text
    assert "dieser Browser" in mine.text
    assert "Rechte von admin" in rights.text
