"""The page of keys and users: added, shown once, limited, removed; for administrators only."""

from __future__ import annotations

import re

from tests.web.dashboard.support import Reader, Site, site
from tests.web.dashboard.test_frame import CHEAP, enter, guarded

from toril import App
from toril.web.access.control import AccessControl

HOSTILE = "<script>alert(1)</script>"


async def test_key_is_made_shown_once_and_removed(app: App) -> None:
    access = await guarded(app)
    async with site(app, access=access) as pages:
        await enter(pages, "admin")
        form = {
            "do": "key", "name": "deploy", "role": "operator", "queues": "mail*\r\n\r\n video \n",
            "payloads": ["false", "true"], "days": "30",
        }  # fmt: skip
        answer = await pages.post("/access", form)
        assert answer.status_code == 200
        (secret,) = re.findall(r"toril_[\w-]+", Reader(answer.text).text)[:1]
        assert "It is shown this once" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        (key,) = [one for one in await access.keys.list() if one.name == "deploy"]
        assert (key.role, key.queues, key.payloads) == ("operator", ("mail*", "video"), True)
        assert key.expires_at is not None
        assert round((key.expires_at - key.created_at).total_seconds()) == 30 * 86_400

        found = await pages.read("/access")
        assert secret not in found.text
        assert "deploy operator mail* video yes" in found.text
        headers = {"authorization": f"Bearer {secret}"}
        assert (await pages.http.get(f"{pages.url}/api/v1/me", headers=headers)).status_code == 200
        page = await pages.act("remove_key", name="deploy")
        assert "Key deploy is gone" in page.text
        assert (await pages.http.get(f"{pages.url}/api/v1/me", headers=headers)).status_code == 401


async def test_key_that_never_ends_and_sees_no_payloads(app: App, pages: Site) -> None:
    form = {"do": "key", "name": "k", "role": "viewer", "queues": "", "payloads": "false",
            "days": ""}  # fmt: skip
    assert (await pages.post("/access", form)).status_code == 200
    (key,) = await AccessControl(app).keys.list()
    assert (key.queues, key.payloads, key.expires_at) == (None, False, None)
    found = await pages.read("/access")
    assert "k viewer all no" in found.text
    assert "never" in found.text


async def test_form_is_shown_again_with_what_is_wrong(app: App, pages: Site) -> None:
    form = {"do": "key", "name": HOSTILE, "role": "king", "queues": "a\nb", "days": "90"}
    answer = await pages.post("/access", form)

    assert answer.status_code == 200
    found = Reader(answer.text)
    assert "role" in found.text
    assert found.all("input", name="name", value=HOSTILE)
    assert "a\nb" in answer.text
    assert HOSTILE not in answer.text
    assert await AccessControl(app).keys.list() == []
    short = {"do": "user", "name": "jo", "password": "short", "role": "viewer"}
    answer = await pages.post("/access", short)
    assert "password" in Reader(answer.text).text
    assert 'value="short"' not in answer.text
    assert await AccessControl(app).users.list() == []


async def test_user_is_added_gets_another_password_and_is_removed(app: App) -> None:
    access = await guarded(app)
    async with site(app, access=access) as pages:
        await enter(pages, "admin")
        form = {"do": "user", "name": "jo", "password": "jo has a password", "role": "viewer",
                "queues": "mail"}  # fmt: skip
        answer = await pages.post("/access", form)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/access"
        found = await pages.read("/access")
        assert "User jo can sign in now." in found.text
        assert "jo viewer mail no" in found.text
        assert "admin you" in found.text
        again = await pages.post("/access", form)
        assert "there is a user of this name" in again.text

        page = await pages.act("set_password", name="jo", password="another good password")
        assert "User jo has another password" in page.text
        other = AccessControl(app, passwords=CHEAP)
        async with site(app, access=other) as theirs:
            form = {"name": "jo", "password": "another good password", "next": "/"}
            assert (await theirs.post("/login", form)).status_code == 303
            assert (await theirs.get("/queues")).status_code == 200
            page = await pages.act("remove_user", name="jo")
            assert "User jo is gone, with all sessions." in page.text
            assert (await theirs.get("/queues")).status_code == 303


async def test_only_administrators_see_it(app: App) -> None:
    access = await guarded(app)
    await access.users.add("part", "part has a password", role="admin", queues=["mail"])
    async with site(app, access=access) as pages:
        for who in ("viewer", "submitter", "operator", "part"):
            await enter(pages, who)
            assert (await pages.get("/access")).status_code == 403, who
            assert not (await pages.read("/")).all("a", href="/access"), who
            form = {"do": "key", "name": "mine", "role": "admin", "days": ""}
            assert (await pages.post("/access", form)).status_code == 403
            page = await pages.act("remove_user", name="admin")
            assert "may not" in page.text or "not allowed" in page.text, page.text
        assert {one.name for one in await access.users.list()} >= {"admin", "viewer"}
        assert await access.keys.list() == []
        await enter(pages, "admin")
        assert "Your session admin" in (await pages.read("/access")).text
