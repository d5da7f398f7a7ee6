"""The frame of every page: headers, files, mounting, sign-in, refusals, preferences."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.web.dashboard.support import SAME, Reader, Site, said, site

from toril import App
from toril.core.errors import InvalidOptionError
from toril.web.access.control import AccessControl
from toril.web.access.passwords import Passwords
from toril.web.dashboard import Dashboard, static_files
from toril.web.dashboard.page import pages as all_pages

VENDOR = static_files.FOLDER / "vendor"
CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_every_page_comes_with_a_policy_that_allows_nothing_inline(pages: Site) -> None:
    for page in all_pages():
        if "{" in page.path:
            continue
        answer = await pages.get(page.path)

        assert answer.status_code == 200, (page.name, said(answer.text))
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        found = Reader(answer.text)
        assert [script for script in found.all("script") if not script.get("src")] == []
        assert found.all("style") == []
        odd = [
            (tag, name) for tag, attrs in found.elements for name, value in attrs.items()
            if name == "style" or name.startswith("on") or (value or "").startswith("javascript:")
        ]  # fmt: skip
        assert odd == [], page.name


async def test_every_page_has_landmarks_and_one_heading(pages: Site) -> None:
    for page in all_pages():
        if "{" in page.path:
            continue
        found = await pages.read(page.path)

        assert len(found.all("h1")) == 1, page.name
        assert len(found.all("main", id="main")) == 1
        assert found.all("a", href="#main"), "a way past the navigation"
        assert found.all("nav", **{"aria-label": "Main"})
        ids = [attrs["id"] for _, attrs in found.elements if attrs.get("id")]
        assert len(ids) == len(set(ids)), page.name


async def test_files_are_kept_for_good_and_come_compressed(pages: Site) -> None:
    found = await pages.read("/")
    links = [each["href"] for each in found.all("link", rel="stylesheet")]
    links += [each["src"] for each in found.all("script")]

    assert len(links) >= 4
    for link in links:
        answer = await pages.http.get(f"{pages.base}{link}")
        assert answer.status_code == 200, link
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        plain = await pages.http.get(f"{pages.base}{link}", headers={"accept-encoding": "identity"})
        assert plain.content == answer.content
        assert "content-encoding" not in plain.headers
    old = await pages.get("/static/000000000000/css/toril.css")
    assert old.status_code == 200
    assert old.headers["cache-control"] == "no-cache"
    for outside in ("/static/x/../page.py", "/static/x/vendor/SHA256SUMS", "/static/x"):
        assert (await pages.get(outside)).status_code == 404


def test_vendored_files_are_those_that_were_published() -> None:
    lines = [line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    files = {path.name for path in VENDOR.iterdir()} - {"SHA256SUMS"}

    assert set(sums) == files
    for name, digest in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    for library in ("htmx-4.0.1", "uPlot-1.6.32"):
        assert f"{library}.LICENSE" in files


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in static_files.FOLDER.rglob("*")) < 400_000


async def test_first_visit_is_small_and_later_ones_are_smaller(app: App, pages: Site) -> None:
    await app.queue("mail", existing=True).add("send", {"to": "jo"})
    page = await pages.get("/", headers={"accept-encoding": "gzip"})
    found = Reader(page.text)
    links = [each["href"] for each in found.all("link")] + [
        each["src"] for each in found.all("script")
    ]
    whole = len(gzip.compress(page.content, 5))
    assert whole < 25_000
    for name in re.findall(r'"\./(\w+\.js)"', (static_files.FOLDER / "js/main.js").read_text()):
        links.append(f"/static/x/js/{name}")
    for link in dict.fromkeys(links):
        answer = await pages.http.get(f"{pages.base}{link}", headers={"accept-encoding": "gzip"})
        whole += int(answer.headers["content-length"])
    assert whole < 80_000


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
async def test_it_can_be_mounted_at_any_path(app: App, framework: str) -> None:
    def within(dashboard: Dashboard) -> Any:
        if framework == "fastapi":
            whole = FastAPI()
            whole.mount("/admin/jobs here", dashboard)
            return whole
        return Starlette(routes=[Mount("/admin/jobs here", app=dashboard)])

    await app.queue("a/b", existing=True).add("send", {})
    async with site(app, within=within, path="/admin/jobs%20here") as pages:
        found = await pages.read("/queues")
        links = [a["href"] or "" for a in found.all("a")] + [
            link["href"] or "" for link in found.all("link")
        ]
        assert "/admin/jobs%20here/queues/a%2Fb" in links
        assert all(link.startswith(("/admin/jobs%20here/", "#")) for link in links), links
        assert (await pages.get("/api/v1/queues")).json()["items"][0]["name"] == "a/b"
        after = await pages.act("pause_queue", queue="a/b")
        assert "a/b is paused" in after.text
        for link in found.all("link", rel="stylesheet"):
            assert (await pages.http.get(f"{pages.base}{link['href']}")).status_code == 200
        short = await pages.get("", follow_redirects=True)
        assert short.status_code == 200
        assert Reader(short.text).all("main")


def test_interface_cannot_be_where_the_pages_are(app: App) -> None:
    with pytest.raises(InvalidOptionError, match=r"path='/'"):
        Dashboard(app, path="/")


async def test_what_is_not_there_is_said_in_the_frame(pages: Site) -> None:
    answer = await pages.get("/nowhere/at/all")

    assert answer.status_code == 404
    found = Reader(answer.text)
    assert "Not found" in found.text
    assert found.all("nav", **{"aria-label": "Main"})
    assert (await pages.http.put(f"{pages.url}/queues")).status_code == 405
    slash = await pages.get("/queues/")
    assert slash.status_code == 308
    assert slash.headers["location"] == "/queues"


async def test_program_that_sends_no_text_as_a_path_is_answered_as_a_program(pages: Site) -> None:
    """It got a page, which is nothing that a program can read."""
    asked = await pages.http.post(f"{pages.url}/api/v1/queues/%ff/jobs", json={"name": "send"})
    page = await pages.http.get(f"{pages.url}/queues/%ff")

    assert (asked.status_code, page.status_code) == (400, 400)
    assert asked.headers["content-type"] == "application/problem+json"
    assert asked.json()["error"]["code"] == "path_unreadable"
    assert page.headers["content-type"].startswith("text/html")


async def test_preferences_are_kept_and_shown(pages: Site) -> None:
    assert (await pages.read("/")).all("html", **{"data-theme": "auto", "lang": "en"})

    answer = await pages.post("/preferences", {"theme": "dark", "next": "/queues"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/queues"
    assert (await pages.read("/")).all("html", **{"data-theme": "dark"})
    await pages.post("/preferences", {"language": "de", "theme": "pink"})
    found = await pages.read("/queues")
    assert found.all("html", **{"data-theme": "dark", "lang": "de"})
    assert "Warteschlangen" in found.text
    for odd in ("//evil.example", "https://evil.example", "/\\evil", "/ x", "javascript:alert(1)"):
        answer = await pages.post("/preferences", {"next": odd})
        assert answer.headers["location"] == "/"


async def test_browser_language_counts_until_one_is_chosen(pages: Site) -> None:
    for accepted, language in (("de-CH,de;q=0.9,en;q=0.5", "de"), ("fr,en;q=0.1", "en"),
                               ("*;q=zz", "en"), ("en;q=0.2, de;q=0.9", "de")):  # fmt: skip
        found = await pages.read("/", headers={"accept-language": accepted})
        assert found.all("html", lang=language), accepted


async def test_moments_are_shown_in_the_zone_of_the_reader(pages: Site) -> None:
    cookies = {"cookie": "toril_zone=local; toril_tz=Asia/Tokyo"}
    for headers in (cookies, {"cookie": "toril_zone=local; toril_tz=No/Such"}):
        assert (await pages.get("/", headers=headers)).status_code == 200


async def test_forms_of_other_sites_are_refused(app: App, pages: Site) -> None:
    await app.queue("mail", existing=True).add("send", {})
    for headers in (
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none", "origin": "null"}, {"origin": "https://evil.example"},
    ):  # fmt: skip
        answer = await pages.http.post(
            f"{pages.url}/act/pause_queue", data={"queue": "mail"}, headers=headers
        )
        assert answer.status_code == 403, headers
        info = await app.queue("mail", existing=True).info()
        assert info is not None
        assert not info.paused
    for path in ("/preferences",):
        answer = await pages.http.post(
            f"{pages.url}{path}", data={"theme": "dark"}, headers={"sec-fetch-site": "cross-site"}
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_an_action_leads_back_and_says_so_once(app: App, pages: Site) -> None:
    await app.queue("mail", existing=True).add("send", {})
    answer = await pages.post("/act/pause_queue", {"queue": "mail", "next": "/queues?sort=name"})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/queues?sort=name"
    assert "mail is paused" in (await pages.read("/queues")).text
    assert "mail is paused" not in (await pages.read("/queues")).text
    assert "mail goes on" in (await pages.act("resume_queue", queue="mail")).text
    wrong = await pages.act("pause_queue", queue="mial")
    assert "no queue 'mial': did you mean 'mail'?" in wrong.text
    assert (await pages.post("/act/get_queue", {"queue": "mail"})).status_code == 404
    assert (await pages.post("/act/nothing")).status_code == 404


async def test_script_leads_a_page_elsewhere_by_a_header(app: App, pages: Site) -> None:
    """A script that follows the answer itself would show another page under this address."""
    await app.queue("mail", existing=True).add("send", {})
    headers = {"hx-request": "true", "hx-current-url": f"{pages.url}/queues/mail"}
    form = {"queue": "mail", "next": "/queues"}
    answer = await pages.post("/act/pause_queue", form, headers=headers)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/queues")
    headers["hx-current-url"] = f"{pages.url}/queues?q=x"
    answer = await pages.post("/act/pause_queue", form, headers=headers)
    assert answer.status_code == 303


async def guarded(app: App) -> AccessControl:
    """Return access control with a user of each role."""
    access = AccessControl(app, passwords=CHEAP)
    for role in ("viewer", "submitter", "operator", "admin"):
        await access.users.add(role, f"{role} has a password", role=role, payloads=True)
    return access


async def enter(pages: Site, who: str, to: str = "/") -> None:
    """Sign in as a user of a role."""
    answer = await pages.post(
        "/login", {"name": who, "password": f"{who} has a password", "next": to}
    )
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == to


async def test_signing_in_leads_to_where_somebody_wanted_to_go(app: App) -> None:
    async with site(app, access=await guarded(app)) as pages:
        asked = await pages.get("/queues?sort=name")
        assert asked.status_code == 303
        form = await pages.http.get(f"{pages.base}{asked.headers['location']}")
        (to,) = (each["value"] for each in Reader(form.text).all("input", name="next")[:1])
        assert to == "/queues?sort=name"
        wrong = await pages.post("/login", {"name": "viewer", "password": "no", "next": to})
        assert wrong.status_code == 401
        assert "That did not work" in Reader(wrong.text).text
        assert "no-store" in wrong.headers["cache-control"]

        await enter(pages, "viewer", to or "")
        assert "viewer" in (await pages.read("/queues")).text
        left = await pages.post("/logout")
        assert left.status_code == 303
        assert (await pages.get("/queues")).status_code == 303


async def test_signing_in_leads_to_no_other_site(app: App) -> None:
    async with site(app, access=await guarded(app)) as pages:
        form = {"name": "viewer", "password": "viewer has a password"}
        for odd in ("//evil.example", "https://evil.example/", "/\\evil.example", ""):
            answer = await pages.post("/login", {**form, "next": odd})
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
        foreign = await pages.http.post(
            f"{pages.url}/login", data=form, headers={"sec-fetch-site": "cross-site"}
        )
        assert foreign.status_code == 401
        assert "set-cookie" not in foreign.headers


async def test_signing_in_with_a_key(app: App) -> None:
    access = AccessControl(app)
    key = await access.keys.add("night", role="operator")
    async with site(app, access=access) as pages:
        answer = await pages.post("/login", {"key": f" {key} ", "next": "/"})
        assert answer.status_code == 303
        assert "night" in (await pages.read("/")).text


async def test_link_signs_in_once(app: App) -> None:
    access = await guarded(app)
    await access.keys.add("first", role="admin")
    async with site(app, access=access) as pages:
        for secret in (await access.links.for_key("first"), await access.links.for_user("viewer")):
            shown = await pages.get(f"/login?link={secret}")
            assert shown.status_code == 200
            assert (
                await pages.get(f"/login?link={secret}")
            ).status_code == 200  # looking uses nothing

            used = await pages.post("/login", {"link": secret})
            again = await pages.post("/login", {"link": secret})

            assert used.status_code == 303
            assert again.status_code == 401
            await pages.post("/logout")
        assert (await pages.post("/login", {"link": "made-up"})).status_code == 401
        with pytest.raises(InvalidOptionError, match="no key of this name"):
            await access.links.for_key("nobody")
        with pytest.raises(InvalidOptionError, match="no user of this name"):
            await access.links.for_user("nobody")


async def test_link_is_no_session(app: App) -> None:
    access = await guarded(app)
    secret = await access.links.for_user("admin")
    async with site(app, access=access) as pages:
        answer = await pages.get("/queues", headers={"cookie": f"toril={secret}"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")
        assert (await pages.post("/login", {"link": secret})).status_code == 303


async def test_link_ends_with_the_user_that_it_is_for(app: App) -> None:
    access = await guarded(app)
    secret = await access.links.for_user("viewer")
    await access.users.set_password("viewer", "another password")
    async with site(app, access=access) as pages:
        assert (await pages.post("/login", {"link": secret})).status_code == 401


async def test_session_that_ends_in_the_middle_of_an_action_changes_nothing(app: App) -> None:
    await app.queue("mail", existing=True).add("send", {})
    access = await guarded(app)
    async with site(app, access=access) as pages:
        await enter(pages, "operator")
        await access.users.set_password("operator", "operator has another")
        answer = await pages.post(
            "/act/pause_queue", {"queue": "mail", "next": "/queues?sort=name"}
        )
        assert answer.status_code == 303
        asked = await pages.http.get(f"{pages.base}{answer.headers['location']}")
        found = Reader(asked.text)
        assert "nothing was changed" in found.text
        assert found.all("input", name="next", value="/queues?sort=name")
        info = await app.queue("mail", existing=True).info()
        assert info is not None
        assert not info.paused
        refreshed = await pages.get("/queues", headers={"x-toril-refresh": "1"})
        assert refreshed.status_code == 204
        assert refreshed.headers["x-toril-session"] == "ended"


@pytest.mark.parametrize(
    ("role", "may"), [("viewer", False), ("submitter", False), ("operator", True), ("admin", True)]
)
async def test_roles_hide_what_one_may_not_do_and_the_server_refuses_it(
    app: App, role: str, may: bool
) -> None:
    await app.queue("mail", existing=True).add("send", {})
    async with site(app, access=await guarded(app)) as pages:
        await enter(pages, role)
        found = await pages.read("/queues")
        assert bool(found.all("form", action="/act/pause_queue")) is may

        after = await pages.act("pause_queue", queue="mail")

        assert ("mail is paused" in after.text) is may
        assert ("may not do this" in after.text) is not may
        info = await app.queue("mail", existing=True).info()
        assert info is not None
        assert info.paused is may


async def test_caller_limited_to_queues_sees_no_others(app: App) -> None:
    for name in ("mail", "secret"):
        await app.queue(name, existing=True).add("send", {})
        await app.queue(name, existing=True).pause()
    access = AccessControl(app, passwords=CHEAP)
    await access.users.add("jo", "jo has a password", role="operator", queues=["mail"])
    async with site(app, access=access) as pages:
        await enter(pages, "jo")
        for path in ("/", "/queues"):
            for headers in ({}, {"x-toril-refresh": "1"}):
                page = await pages.get(path, headers=headers)
                assert page.status_code == 200
                assert "mail" in page.text
                assert "secret" not in page.text, path
        refused = await pages.act("pause_queue", queue="secret")
        assert "may not do this" in refused.text


async def test_without_access_only_this_machine_is_answered(pages: Site) -> None:
    answer = await pages.get("/", headers={"x-forwarded-for": "10.1.2.3"})
    assert answer.status_code == 401
    assert "only callers on this machine" in said(answer.text)
    assert "content-security-policy" in answer.headers
    foreign = await pages.get("/", headers={"host": "evil.example"})
    assert foreign.status_code == 403


async def test_catalogue_of_words_is_read_as_gettext_writes_it(tmp_path: Path) -> None:
    from toril.web.dashboard.messages import read_po

    text = (
        'msgid ""\nmsgstr "Content-Type: text/plain\\n"\n\n'
        '# note\n#: a.html:3\nmsgid "one"\nmsgstr "eins"\n\n'
        'msgid "two "\n"lines"\nmsgstr ""\n"zwei "\n"Zeilen \\"so\\""\n\n'
        'msgid "%(num)s job"\nmsgid_plural "%(num)s jobs"\nmsgstr[0] "%(num)s Job"\n'
        'msgstr[1] "%(num)s Jobs"\n\n#, fuzzy\nmsgid "unsure"\nmsgstr "unsicher"\n'
    )
    assert read_po(text) == {
        "one": ("eins",),
        "two lines": ('zwei Zeilen "so"',),
        "%(num)s job": ("%(num)s Job", "%(num)s Jobs"),
    }


def test_words_of_the_live_indicator_are_json() -> None:
    frame = (static_files.FOLDER.parent / "templates/frame.html").read_text()
    found = re.search(r"data-words='(.*?)'", frame)
    assert found is not None
    json.loads(re.sub(r'\{\{ _\("(.*?)"\) \}\}', r"\1", found[1]))
    assert SAME
