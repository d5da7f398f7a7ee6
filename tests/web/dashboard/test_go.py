"""Going anywhere by a few letters, and views that are saved under a name."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.web.dashboard.support import Reader, Site, site
from tests.web.dashboard.test_frame import enter, guarded

from toril import App
from toril.web.dashboard.pages.go import MOST, Way, best
from toril.web.dashboard.views import COOKIE
from toril.web.dashboard.views import MOST as MOST_VIEWS


def to(found: Reader) -> list[str | None]:
    """Return where the ways lead, in their order."""
    return [each["href"] for each in found.all("a", **{"class": "way"})]


async def test_ways_fit_what_is_typed(app: App, pages: Site) -> None:
    for name in ("mail", "mail.urgent", "video"):
        await app.queue(name, existing=True).add("send", {})

    found = await pages.read("/go?q=mail")
    assert to(found)[:2] == ["/queues/mail", "/queues/mail.urgent"]
    assert to(found)[-1] == "/jobs?q=mail"
    assert "/queues/mail/add" in to(found)
    assert "/queues/video" not in to(found)
    urgent = await pages.read("/go?q=urg")
    assert to(urgent)[0] == "/queues/mail.urgent"
    page = await pages.read("/go?q=worker")
    assert to(page)[0] == "/workers"
    nothing = await pages.read("/go?q=zzz+%3Cb%3E")
    assert to(nothing) == ["/jobs?q=zzz+%3Cb%3E"]
    assert "Search all jobs for zzz <b>" in nothing.text
    everything = await pages.read("/go")
    assert len(to(everything)) <= MOST
    assert "/queues" in to(everything)


async def test_queue_is_paused_and_resumed_from_there(app: App, pages: Site) -> None:
    await app.queue("mail", existing=True).add("send", {})

    found = await pages.read("/go?q=pause+mail")
    assert found.all("form", action="/act/pause_queue")
    assert "Pause mail" in found.text
    await pages.act("pause_queue", queue="mail")
    found = await pages.read("/go?q=mail")
    assert found.all("form", action="/act/resume_queue")
    assert not found.all("form", action="/act/pause_queue")


async def test_many_queues_are_no_burden(app: App, pages: Site) -> None:
    for number in range(120):
        await app.queue(f"tenant-{number:03d}", existing=True).add("send", {})

    found = await pages.read("/go?q=tenant-11")

    assert to(found)[:10] == [f"/queues/tenant-11{digit}" for digit in range(10)]
    assert len(found.elements) < 400


async def test_ways_are_those_that_the_reader_may_go(app: App) -> None:
    access = await guarded(app)
    await access.users.add("part", "part has a password", role="viewer", queues=["mail"])
    for name in ("mail", "secret"):
        await app.queue(name, existing=True).add("send", {})
    async with site(app, access=access) as pages:
        for who, acts, keys in (("viewer", 0, False), ("operator", 1, False), ("admin", 1, True)):
            await enter(pages, who)
            found = await pages.read("/go?q=mail")
            assert len(found.all("form", action="/act/pause_queue")) == acts, who
            assert ("/access" in to(await pages.read("/go?q=keys"))) == keys, who
        await enter(pages, "part")
        assert "/queues/secret" not in to(await pages.read("/go?q=secret"))


async def test_palette_has_a_visible_control(pages: Site) -> None:
    (control,) = (await pages.read("/")).all("a", **{"data-palette": "Go to"})
    assert control["href"] == "/go"


def test_best_fit_comes_first() -> None:
    names = ["a-mail", "xmailx", "mail", "mailing", "b.mail", "other"]
    ways = [Way(label=name, kind="Queue", icon="x", to=name) for name in names]

    assert [one.label for one in best("mail", ways)] == [
        "mail", "mailing", "a-mail", "b.mail", "xmailx",
    ]  # fmt: skip
    assert [one.label for one in best("MAIL b", ways)] == ["b.mail"]
    assert [one.label for one in best("", ways)] == names
    many = [Way(label=f"mail{n}", kind="", icon="", to="x") for n in range(50)]
    assert len(best("mail", many)) == MOST


async def save(pages: Site, name: str, to: str) -> Reader:
    """Save a view, and return the page that is shown then."""
    answer = await pages.post("/views", {"do": "save", "name": name, "to": to})
    if answer.status_code == 303:
        return Reader((await pages.http.get(pages.base + answer.headers["location"])).text)
    return Reader(answer.text)


async def test_view_is_saved_shown_and_forgotten(pages: Site) -> None:
    assert "No view is saved yet" in (await pages.read("/views")).text
    listed = await pages.read("/queues?sort=name")
    (add,) = listed.all("a", **{"class": "saved-add"})
    assert add["href"] == f"/views?to={quote('/queues?sort=name', safe='')}"
    form = await pages.read(add["href"] or "")
    assert form.all("input", name="to", value="/queues?sort=name")
    assert not (await pages.read("/queues")).all("a", **{"class": "saved-add"})

    found = await save(pages, " By   <b>name</b> ", "/queues?sort=name")
    assert "By <b>name</b> is saved." in found.text
    assert found.all("a", href="/queues?sort=name", **{"aria-current": "true"})
    assert found.all("select", name="group"), "it leads back to the page"
    assert "By <b>name</b>" in (await pages.read("/workers")).text, "in the navigation"
    assert "/queues?sort=name" in to(await pages.read("/go?q=by"))
    found = await save(pages, "By <b>name</b>", "/queues?sort=-failed")
    again = await pages.read("/views")
    assert len(again.all("form", action="/views")) == 1, "one of the same name is replaced"
    assert again.all("a", href="/queues?sort=-failed")
    answer = await pages.post("/views", {"do": "forget", "name": "By <b>name</b>"})
    assert answer.status_code == 303
    assert "is forgotten" in (await pages.read("/views")).text
    assert "No view is saved yet" in (await pages.read("/views")).text


async def test_view_is_none_of_another_site(pages: Site) -> None:
    for odd in ("//evil.example", "https://evil.example", "/\\evil", "javascript:alert(1)", "",
                "/a b"):  # fmt: skip
        found = await save(pages, "odd", odd)
        assert "This is no page of the dashboard." in found.text, odd
        found = await pages.read(f"/views?to={quote(odd, safe='')}")
        assert not found.all("input", name="do", value="save"), odd
    for text in ("", "x" * 61, "a\x00b"):
        found = await save(pages, text, "/queues")
        assert "A name has 1 to 60 characters." in found.text
    assert "No view is saved yet" in (await pages.read("/views")).text


@pytest.mark.parametrize(
    "cookie",
    ["%%%", "bm90IGpzb24=", urlsafe_b64encode(b'[["x","//evil.example"]]').decode(),
     urlsafe_b64encode(b'[["","/queues"]]').decode(), "A" * 5000],
)  # fmt: skip
async def test_cookie_of_others_is_left_out(pages: Site, cookie: str) -> None:
    found = await pages.read("/queues", headers={"cookie": f"{COOKIE}={cookie}"})

    assert "evil" not in found.text
    assert not found.all("span", **{"class": "saved-title"})


async def test_no_more_views_than_a_cookie_holds(pages: Site) -> None:
    for number in range(MOST_VIEWS):
        await save(pages, f"view {number}", f"/queues?q={number}")
    found = await save(pages, "one more", "/queues?q=x")
    assert "There is no room for more" in found.text
    assert found.all("input", name="name", value="one more")
    found = await save(pages, "view 3", f"/jobs?q={'x' * 3000}")
    assert "There is no room for more" in found.text, "or no longer ones"
    assert len((await pages.read("/views")).all("input", name="do", value="forget")) == MOST_VIEWS


async def test_views_belong_to_the_place_of_the_mount(app: App) -> None:
    async with site(
        app, within=lambda dashboard: Starlette(routes=[Mount("/ops", app=dashboard)]), path="/ops"
    ) as pages:
        listed = await pages.read("/queues?sort=name")
        (add,) = listed.all("a", **{"class": "saved-add"})
        assert add["href"] == f"/ops/views?to={quote('/queues?sort=name', safe='')}"
        answer = await pages.post("/views", {"do": "save", "name": "v", "to": "/queues?sort=name"})
        assert answer.headers["location"] == "/ops/queues?sort=name"
        cookies = answer.headers.get_list("set-cookie")
        (kept,) = [one for one in cookies if one.startswith(COOKIE)]
        assert "Path=/ops;" in kept
        assert "HttpOnly" in kept
        assert (await pages.read("/workers")).all("a", href="/ops/queues?sort=name")
