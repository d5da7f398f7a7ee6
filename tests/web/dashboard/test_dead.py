"""Dead letters: what is listed, brought back and removed."""

from __future__ import annotations

import re

import pytest
from tests.support.waiting import wait_until
from tests.web.dashboard.support import Reader, Site, site
from tests.web.dashboard.test_frame import CHEAP, enter, guarded

from toril import App, RetryPolicy
from toril.web.access.control import AccessControl


async def die(app: App, url: str, mail: int = 3, bills: int = 1) -> None:
    """Let jobs fail for good, so that they leave letters in two queues."""
    working = App(url)
    once = RetryPolicy(max_attempts=1)

    @working.task(queue="mail", name="send", retry=once, dead_letter="graves")
    async def send(to: str) -> None:
        raise ValueError(f"550 <b>unknown</b> {to}")

    @working.task(queue="bills", name="print", retry=once)
    async def print_(no: int) -> None:
        raise RuntimeError(f"printer {no} is on fire")

    async with working, working.worker(queues=["mail", "bills"]):
        await app.queue("bills", existing=True).set_dead_letter("ashes")
        for n in range(mail):
            await send.enqueue(to=f"jo{n}")
        for n in range(bills):
            await print_.enqueue(no=n)

        async def all_written() -> bool:
            return (await letters(app, "graves"), await letters(app, "ashes")) == (mail, bills)

        await wait_until(all_written)
    await app.queue("mail", existing=True).set_dead_letter("graves")


async def letters(app: App, queue: str, *, redriven: bool | None = None) -> int:
    """Return how many letters a queue has."""
    return len((await app.dead_letters(queue).list(redriven=redriven, limit=500)).letters)


async def waiting(app: App, queue: str) -> int:
    """Return how many jobs of a queue wait."""
    info = await app.queue(queue, existing=True).info()
    assert info is not None
    return info.waiting


def rows_of(html: str) -> list[str]:
    """Return the rows of a page, each as text."""
    return [Reader(part.split("</tr>")[0]).text for part in html.split('<tr id="d-')[1:]]


async def test_page_says_how_to_get_a_dead_letter_queue(pages: Site) -> None:
    page = await pages.read("/dead")
    assert "No queue leaves dead letters" in page.text
    assert '@app.task(queue="mail", dead_letter="dead-letter")' in page.text
    assert "toril dead set mail" in page.text


async def test_queue_whose_jobs_all_do_well_has_no_letters(app: App, pages: Site) -> None:
    await app.queue("mail", existing=True).add("send", {})
    await app.queue("mail", existing=True).set_dead_letter("graves")
    page = await pages.read("/dead")
    assert "No dead letters No letter waits of these queues: mail" in page.text


async def test_letters_of_all_queues_are_listed_with_their_reasons(
    app: App, pages: Site, url: str
) -> None:
    await die(app, url)
    html = (await pages.get("/dead")).text
    rows = rows_of(html)
    assert len(rows) == 4
    assert "ashes 1 graves 3" in Reader(html).text
    assert "of bills print RuntimeError: printer 0 is on fire" in rows[0]
    assert "of mail send ValueError: 550 <b>unknown</b> jo0" in rows[1]
    assert '{"to":"jo0"}' in rows[1]
    assert Reader(html).all("a", href="/queues/mail/jobs/1")
    assert len(rows_of((await pages.get("/dead?letters=ashes")).text)) == 1
    assert len(rows_of((await pages.get("/dead?queue=mail&task=send")).text)) == 3
    assert len(rows_of((await pages.get("/dead?error=JO2")).text)) == 1
    none = await pages.read("/dead?show=back")
    assert "No letter is like that" in none.text


async def test_letters_are_paged_from_queue_to_queue(
    app: App, pages: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.web.dashboard.pages.dead.ROWS", 2)
    await die(app, url, mail=4, bills=2)
    seen: list[str] = []
    place, turns = "/dead", 0
    while place:
        answer = await pages.http.get(f"{pages.base}{place}")
        found = re.findall(r'<tr id="(d-[^"]+)"', answer.text)
        assert len(found) <= 2
        seen += found
        place = next((a["href"] or "" for a in Reader(answer.text).all("a", rel="next")), "")
        turns += 1
        assert turns < 10
    assert len(seen) == len(set(seen)) == 6
    assert [one.split("-")[1] for one in seen] == ["ashes"] * 2 + ["graves"] * 4


async def test_one_job_comes_back(app: App, pages: Site, url: str) -> None:
    await die(app, url)
    letter = (await app.dead_letters("graves").list()).letters[0]
    after = await pages.act(
        "redrive_letter", letters="graves", letter_id=letter.id, next="/dead", reason="fixed"
    )
    assert f"The job of letter {letter.id} is back in line." in after.text
    assert await waiting(app, "mail") == 1
    back = (await pages.get("/dead?show=back")).text
    assert "brought back" in rows_of(back)[0]
    assert not Reader(back).all("form", action="/act/redrive_letter")


async def test_chosen_letters_are_brought_back_or_removed(app: App, pages: Site, url: str) -> None:
    await die(app, url)
    page = await pages.read("/dead")
    values = [each["value"] or "" for each in page.all("input", name="letter")]
    assert len(values) == 4
    form = {"do": "chosen", "next": "/dead"}

    answer = await pages.post("/dead", {**form, "action": "redrive", "letter": values[:2]})

    assert answer.headers["location"] == "/dead"
    assert "2 jobs are back in line." in (await pages.read("/dead")).text
    assert (await waiting(app, "bills"), await waiting(app, "mail")) == (1, 1)
    await pages.post("/dead", {**form, "action": "remove", "letter": values[2:3]})
    assert "1 letter is removed." in (await pages.read("/dead")).text
    assert await letters(app, "graves") == 2
    await pages.post("/dead", {**form, "action": "remove"})
    assert "Choose at least one letter." in (await pages.read("/dead")).text
    await pages.post("/dead", {**form, "action": "remove", "letter": [values[2]]})
    assert "0 done, then: queue 'graves' has no letter" in (await pages.read("/dead")).text
    await pages.post("/dead", {**form, "action": "burn", "letter": values[3:]})
    assert "expected redrive or remove" in (await pages.read("/dead")).text
    assert await letters(app, "graves") == 2


async def test_all_that_match_are_shown_before_they_are_brought_back(
    app: App, pages: Site, url: str
) -> None:
    await die(app, url)
    assert "Choose one dead-letter queue above" in (await pages.read("/dead")).text
    assert not (await pages.read("/dead?bulk=redrive")).all("section")

    plan = await pages.read("/dead?letters=graves&error=jo1&bulk=redrive")

    assert "1 letter of graves would be changed" in plan.text
    (form,) = plan.all("form", action="/act/redrive_letters")
    assert form is not None
    fields = {
        name: each.get("value") or ""
        for each in plan.all("input")
        if (name := each.get("name")) in ("letters", "error")
    }
    after = await pages.act("redrive_letters", **fields, limit="", next="/dead")
    assert "1 jobs are back in line." in after.text
    assert await letters(app, "graves", redriven=True) == 1
    gone = await pages.read("/dead?letters=graves&bulk=remove")
    assert "2 letters of graves would be changed" in gone.text
    assert gone.all("input", name="redriven", value="false")
    await pages.act("remove_letters", letters="graves", redriven="false", next="/dead")
    assert await letters(app, "graves") == 1


async def test_full_page_stays_small(app: App, pages: Site, url: str) -> None:
    await die(app, url, mail=60)
    page = await pages.read("/dead?letters=graves&bulk=redrive")
    assert len(page.all("input", name="letter")) == 35
    assert len(page.elements) <= 1_500


async def test_roles_hide_and_refuse(app: App, url: str) -> None:
    await die(app, url)
    letter = (await app.dead_letters("graves").list()).letters[0]
    form = {"do": "chosen", "action": "redrive", "letter": f"graves:{letter.id}", "next": "/dead"}
    async with site(app, access=await guarded(app)) as pages:
        for role, may in (("viewer", False), ("operator", True)):
            await enter(pages, role)
            page = await pages.read("/dead?letters=graves&bulk=redrive")
            assert bool(page.all("form", action="/act/redrive_letter")) is may
            assert bool(page.all("form", action="/act/redrive_letters")) is may
            assert bool(page.all("input", name="letter")) is may
            await pages.post("/dead", form)
            assert await waiting(app, "mail") == may
            await pages.post("/logout")


async def test_caller_limited_to_queues_sees_its_letters_only(app: App, url: str) -> None:
    await die(app, url)
    access = AccessControl(app, passwords=CHEAP)
    await access.users.add("jo", "jo has a password", role="operator", queues=["mail", "graves"])
    async with site(app, access=access) as pages:
        await enter(pages, "jo")
        html = (await pages.get("/dead")).text
        assert len(rows_of(html)) == 3
        assert ">ashes<" not in html
        assert ">bills<" not in html
        assert "jo0" not in html, "payloads and errors are hidden"
        assert not Reader(html).all("input", name="error")
