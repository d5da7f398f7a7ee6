"""The page of keys and users: added, shown once, limited, removed; for administrators only."""

from __future__ import annotations

import re

import pytest
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


async def test_rights_of_a_user_are_changed_while_it_is_signed_in(app: App) -> None:
    access = await guarded(app)
    async with site(app, access=access) as pages, site(app, access=access) as theirs:
        await enter(pages, "admin")
        await enter(theirs, "operator")
        (link,) = [
            each["href"] for each in (await pages.read("/access")).all("a")
            if each.get("href", "").startswith("/access?user=operator")  # type: ignore[union-attr] # links have one
        ]  # fmt: skip
        form = await pages.read(str(link).partition("#")[0])
        assert checked(form, "operator")
        (version,) = [one["value"] for one in form.all("input", name="version")]
        assert "Rights of operator" in form.text

        given = {
            "do": "rights", "name": "operator", "version": version, "role": "viewer",
            "queues": "mail*\r\n video \n", "payloads": "false", "reason": "a new team",
        }  # fmt: skip
        answer = await pages.post("/access", given)
        assert (answer.status_code, answer.headers["location"]) == (303, "/access")
        found = await pages.read("/access")
        assert "User operator has these rights from now on." in found.text
        assert "operator viewer mail* video no" in found.text
        page = await theirs.act("pause_queue", queue="mail")
        assert "may not do this" in page.text, page.text
        (entry,) = (await app.audit.page(verb="users.change")).entries
        assert (entry.actor, entry.reason) == ("user:admin", "a new team")

        stale = await pages.post("/access", {**given, "role": "admin", "queues": ""})
        assert stale.status_code == 200
        shown = Reader(stale.text)
        assert "somebody has changed these rights meanwhile" in shown.text
        assert checked(shown, "admin"), "what was typed is there still"
        (fresh,) = [one["value"] for one in shown.all("input", name="version")]
        everything = {**given, "role": "admin", "queues": " \n", "version": fresh}
        everything["payloads"] = "true"
        assert (await pages.post("/access", everything)).status_code == 303
        assert "operator admin all yes" in (await pages.read("/access")).text


def checked(page: Reader, role: str) -> bool:
    """Whether one form has chosen a role; those that add something begin with viewer."""
    return ["checked" in one for one in page.all("input", name="role", value=role)].count(True) == 1


async def test_last_administrator_is_told_so(app: App) -> None:
    access = await guarded(app)
    async with site(app, access=access) as pages:
        await enter(pages, "admin")
        given = {"do": "rights", "name": "admin", "role": "viewer", "queues": ""}
        answer = await pages.post("/access", given)
        assert "&#39;admin&#39; is the last one who is an administrator" in answer.text
        page = await pages.act("remove_user", name="admin")
        assert "is the last one who is an administrator" in page.text
    (user,) = [one for one in await access.users.list() if one.name == "admin"]
    assert user.role == "admin"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": HOSTILE}, "no user"),
        ({"name": ""}, "no user"),
        ({"role": "king"}, "role"),
        ({"queues": "a:b"}, "names of queues"),
        ({"payloads": "perhaps"}, "payloads"),
    ],
)
async def test_rights_that_make_no_sense_are_refused_in_the_form(
    app: App, changed: dict[str, str], said: str
) -> None:
    access = await guarded(app)
    async with site(app, access=access) as pages:
        await enter(pages, "admin")
        before = await access.users.list()
        given = {"do": "rights", "name": "viewer", "role": "operator", "queues": "mail"}
        answer = await pages.post("/access", given | changed)

        assert answer.status_code == 200
        assert HOSTILE not in answer.text
        (alert,) = Reader(answer.text).all("p", role="alert")
        assert said in Reader(answer.text).text
        assert alert["class"] == "error"
        assert await access.users.list() == before


async def test_form_of_somebody_who_is_not_there_is_not_shown(app: App, pages: Site) -> None:
    found = await pages.read("/access?user=nobody")

    assert not found.all("input", name="version")


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
            form = {"do": "rights", "name": who, "role": "admin", "queues": ""}
            assert (await pages.post("/access", form)).status_code == 403
        assert {one.name for one in await access.users.list()} >= {"admin", "viewer"}
        assert await access.keys.list() == []
        await enter(pages, "admin")
        assert "Your session admin" in (await pages.read("/access")).text
